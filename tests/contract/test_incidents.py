"""What every store must know of targets: their incidents, and what was done to them before."""

from __future__ import annotations

import pytest

from remediator.model import IncidentId, State
from remediator.reasons import Reason
from remediator.store.base import Change, LostClaim, TemplateEvent
from remediator.store.database import Database
from tests.contract.examples import LATER, claimed
from tests.unit.store.examples import NOTE, NOW, SECOND, brought_to, firing, queued, target

# -- incidents


async def test_a_first_target_opens_an_incident(store: Database) -> None:
    [remediation] = await queued(store, firing())
    diagnosing = await brought_to(store, remediation, State.DIAGNOSING, on=target())
    [row] = await store.incidents(limit=10, open_only=True)
    assert (row.id, row.title, row.target, row.opened_at) == (
        diagnosing.incident_id,
        "KubePodCrashLooping",
        "shop/deployment/api",
        NOW,
    )


async def test_a_second_alert_of_the_target_joins_its_open_incident(store: Database) -> None:
    first, second = await queued(store, firing(1), firing(2))
    joined = await brought_to(store, second, State.DIAGNOSING, on=target())
    opened = await brought_to(store, first, State.DIAGNOSING, on=target(uid="uid-2"))
    assert joined.incident_id == opened.incident_id is not None


async def test_another_target_has_another_incident(store: Database) -> None:
    first, second = await queued(store, firing(1), firing(2))
    one = await brought_to(store, first, State.DIAGNOSING, on=target("api"))
    other = await brought_to(store, second, State.DIAGNOSING, on=target("web"))
    assert one.incident_id != other.incident_id


async def test_an_incident_closes_when_nothing_of_it_is_open(store: Database) -> None:
    first, second = await queued(store, firing(1), firing(2))
    first = await brought_to(store, first, State.DIAGNOSING, on=target())
    second = await brought_to(store, second, State.DIAGNOSING, on=target())
    await store.advance(first, to=State.DECLINED, record=NOTE, at=NOW)
    assert len(await store.incidents(limit=10, open_only=True)) == 1
    await store.advance(second, to=State.ESCALATED, record=NOTE, at=LATER)
    assert await store.incidents(limit=10, open_only=True) == []
    [row] = await store.incidents(limit=10, open_only=False)
    assert (row.closed_at, row.outcome) == (LATER, "escalated")


async def test_an_alert_after_the_incident_closed_opens_a_new_one(store: Database) -> None:
    first, second = await queued(store, firing(1), firing(2))
    done = await brought_to(store, first, State.DECLINED, on=target())
    fresh = await brought_to(store, second, State.DIAGNOSING, on=target())
    assert fresh.incident_id != done.incident_id


async def test_a_final_state_without_a_target_has_a_closed_incident_of_its_own(store: Database) -> None:
    [remediation] = await queued(store, firing())
    change = Change(reason=Reason.TARGET_NOT_FOUND, severity=2, rule="crash-loop")
    diagnosing = await store.advance(remediation, to=State.DIAGNOSING, record=NOTE, at=NOW, change=change)
    await store.advance(diagnosing, to=State.DECLINED, record=NOTE, at=LATER)
    [row] = await store.incidents(limit=10, open_only=False)
    assert (row.target, row.outcome, row.reason, row.severity, row.rule) == (
        "",
        "declined",
        "target-not-found",
        2,
        "crash-loop",
    )
    assert row.closed_at == LATER


async def test_incidents_are_listed_newest_first_up_to_the_limit(store: Database) -> None:
    for number, remediation in enumerate(await queued(store, *(firing(number) for number in range(3)))):
        await brought_to(store, remediation, State.DIAGNOSING, on=target(f"app-{number}"))
    rows = await store.incidents(limit=2, open_only=False)
    assert [row.target for row in rows] == ["shop/deployment/app-2", "shop/deployment/app-1"]


async def test_an_incident_shows_its_remediations_diagnoses_and_records(store: Database) -> None:
    first, second = await queued(store, firing(1), firing(2))
    await queued(store, firing(3))
    change = Change(target=target(), diagnosis={"cause": "leak"})
    first = await store.advance(first, to=State.DIAGNOSING, record=NOTE, at=NOW, change=change)
    second = await brought_to(store, second, State.DIAGNOSING, on=target())
    assert first.incident_id is not None
    view = await store.incident(first.incident_id)
    assert view is not None
    assert [remediation.id for remediation in view.remediations] == [first.id, second.id]
    assert view.diagnoses == {first.id: {"cause": "leak"}}
    assert [record.kind for record in view.records] == ["alert.received", "alert.received", NOTE.kind, NOTE.kind]
    assert view.row.outcome == "diagnosing"


async def test_an_incident_that_does_not_exist_is_none(store: Database) -> None:
    assert await store.incident(IncidentId(99)) is None


async def test_the_queue_depth_counts_states_that_are_not_final(store: Database) -> None:
    first, second, _ = await queued(store, *(firing(number) for number in range(3)))
    await brought_to(store, first, State.DECLINED)
    await brought_to(store, second, State.HELD)
    assert await store.queue_depth() == {"held": 1, "queued": 1}


# -- actions and templates before


async def test_alerts_are_unseen_until_their_target_is_known_or_they_are_done_with(store: Database) -> None:
    await store.accept([firing(0)], at=NOW - SECOND)
    await store.accept([firing(number) for number in range(1, 5)], at=NOW)
    [_, planned, declined, *_] = await claimed(store)
    await brought_to(store, planned, State.PLANNED, on=target())
    await brought_to(store, declined, State.DECLINED)

    assert await store.alerts_unseen(since=NOW - SECOND, at_most=10) == 2
    assert await store.alerts_unseen(since=NOW - SECOND, at_most=1) == 1
    assert await store.alerts_unseen(since=NOW, at_most=10) == 0


async def test_a_target_that_was_never_acted_on_has_no_last_action(store: Database) -> None:
    assert await store.last_action_at(target()) is None


async def test_the_last_action_is_found_by_key_also_after_the_object_was_made_anew(store: Database) -> None:
    [remediation] = await queued(store, firing())
    await brought_to(store, remediation, State.ACTING, on=target())
    assert await store.last_action_at(target(uid="another")) == NOW


async def test_the_ledger_is_written_with_the_step_and_read_oldest_first(store: Database) -> None:
    [remediation] = await queued(store, firing())
    newer = TemplateEvent("uid-1", "hash-2", "installed", LATER)
    older = TemplateEvent("uid-1", "hash-1", "rolled-back-from", NOW)
    change = Change(target=target(), ledger=[newer, older])
    await store.advance(remediation, to=State.DIAGNOSING, record=NOTE, at=NOW, change=change)
    assert await store.template_events(target()) == [older, newer]
    assert await store.template_events(target("web")) == []


async def test_a_lost_claim_writes_no_ledger(store: Database) -> None:
    [old] = await queued(store, firing())
    await claimed(store)
    change = Change(target=target(), ledger=[TemplateEvent("uid-1", "hash-1", "installed", NOW)])
    with pytest.raises(LostClaim):
        await store.advance(old, to=State.DIAGNOSING, record=NOTE, at=NOW, change=change)
    assert await store.template_events(target()) == []
