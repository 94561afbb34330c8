"""What every store does with escalations: each sentence of `Escalations`, and how they begin and end with the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from remediator.clock import SystemClock
from remediator.model import EscalationId, Remediation, State
from remediator.reasons import Reason
from remediator.store.base import Change, CommittedRecord, LostClaim
from remediator.store.database import Database
from remediator.store.escalations_base import Acknowledgement, Call, Escalation, Following, Further, NotOpen
from remediator.store.opening import open_database
from remediator.verdicts import Gate
from tests.unit.store.examples import LEASE, NOTE, NOW, SECOND, STARTED, brought_to, firing, queued, resolved, target

MINUTE = timedelta(minutes=1)
CALL = Call("pods", "ada", 5 * MINUTE, 2, Reason.ROW_ESCALATES, "the rule escalates for cause unknown")
NEXT = Following(Further.PASSED_ON, "bob", 5 * MINUTE)
STORM = Gate("storm", Reason.STORM, "9 targets alert", 10 * MINUTE)
STORM_CALL = replace(CALL, contact="infrastructure", tell="eve", severity=1, reason=Reason.STORM, detail=STORM.detail)


async def escalated(store: Database, number: int = 1, *, starts_at: Any = STARTED, **changes: Any) -> Remediation:
    """The alert of that number, received now, whose remediation on `shop/deployment/api` needs people."""
    [remediation] = await queued(store, firing(number, starts_at=starts_at))
    diagnosing = await brought_to(store, remediation, State.DIAGNOSING, on=target())
    change = Change(call=replace(CALL, **changes))
    return await store.advance(diagnosing, to=State.ESCALATED, record=NOTE, at=NOW, change=change)


async def acting(store: Database, number: int = 1) -> Remediation:
    """A remediation that has changed something and verifies it."""
    [remediation] = await queued(store, firing(number))
    return await brought_to(store, remediation, State.VERIFYING, on=target())


async def the_one(store: Database) -> Escalation:
    [one] = await store.escalations()
    return one


async def told(store: Database) -> Sequence[CommittedRecord]:
    return [r for r in await store.records(after=0, limit=1000) if r.kind.startswith("escalation.")]


async def steps(store: Database) -> list[str]:
    return [record.kind.removeprefix("escalation.") for record in await told(store)]


async def has_open_incident(store: Database) -> bool:
    return bool(await store.incidents(limit=10, open_only=True))


async def acknowledged(store: Database, **changes: Any) -> Escalation:
    said = Acknowledgement(**{"by": "ada", "comment": "on it", "at": NOW + MINUTE, **changes})
    return await store.acknowledge((await the_one(store)).id, said)


# -- it begins


async def test_it_is_opened_with_what_causes_it_and_keeps_the_incident_open(store: Database) -> None:
    cause = await escalated(store)
    one = await the_one(store)
    assert (one.ref, one.incident_id, one.remediation_id) == ("E-1", cause.incident_id, cause.id)
    assert (one.title, one.target, one.gate) == ("KubePodCrashLooping", target(), None)
    assert (one.contact, one.told, one.level, one.severity) == ("pods", "ada", 1, 2)
    assert (one.opened_at, one.next_at, one.acked_at, one.ended_at) == (NOW, NOW + 5 * MINUTE, None, None)
    assert await has_open_incident(store)


async def test_its_record_comes_after_that_of_its_cause_and_names_who_is_told(store: Database) -> None:
    cause = await escalated(store)
    *_, before, record = await store.records(after=0, limit=10)
    assert (before.kind, record.kind) == (NOTE.kind, "escalation.opened")
    assert (record.remediation_id, record.incident_id) == (cause.id, cause.incident_id)
    where = {"cluster": "lab", "kind": "Deployment", "namespace": "shop", "name": "api", "uid": "uid-1"}
    assert record.body == {
        "escalation": "E-1",
        "contact": "pods",
        "tell": "ada",
        "severity": 2,
        "reason": "row-escalates",
        "detail": "ada is told: the rule escalates for cause unknown",
        "alertname": "KubePodCrashLooping",
        "rule": None,
        "target": "shop/deployment/api",
        "object": where,
    }


async def test_an_end_that_calls_nobody_opens_none(store: Database) -> None:
    [remediation] = await queued(store, firing())
    await brought_to(store, remediation, State.DECLINED, on=target())
    assert (await store.escalations(), await has_open_incident(store)) == ([], False)


async def test_a_lost_claim_opens_none(store: Database) -> None:
    [old] = await queued(store, firing())
    diagnosing = await brought_to(store, old, State.DIAGNOSING, on=target())
    await store.claim(owner="another", at=NOW + 2 * LEASE, lease=LEASE, limit=1)
    with pytest.raises(LostClaim):
        await store.advance(diagnosing, to=State.ESCALATED, record=NOTE, at=NOW, change=Change(call=CALL))
    assert (await store.escalations(), await told(store)) == ([], [])


async def test_one_without_a_target_has_its_own_incident(store: Database) -> None:
    [remediation] = await queued(store, firing())
    diagnosing = await brought_to(store, remediation, State.DIAGNOSING)
    await store.advance(diagnosing, to=State.ESCALATED, record=NOTE, at=NOW, change=Change(call=CALL))
    assert (await the_one(store)).target is None
    [record] = await told(store)
    assert "object" not in record.body


# -- a second cause


async def test_a_second_cause_joins_it_and_nobody_is_told_from_the_start(store: Database) -> None:
    await escalated(store)
    second = await escalated(store, 2, severity=3, wait=60 * MINUTE, detail="something less")
    one = await the_one(store)
    assert (one.severity, one.told, one.level, one.detail) == (2, "ada", 1, CALL.detail)
    assert one.next_at == NOW + 5 * MINUTE
    assert await steps(store) == ["opened", "joined"]
    record = (await told(store))[-1]
    assert (record.remediation_id, record.body["tell"], record.body["severity"]) == (second.id, "ada", 2)
    assert record.body["detail"] == "one more cause, ada is told: something less"


async def test_a_more_severe_cause_makes_it_more_severe_and_faster(store: Database) -> None:
    await escalated(store)
    await escalated(store, 2, severity=1, wait=MINUTE, detail="something worse", reason=Reason.NO_ROW)
    one = await the_one(store)
    assert (one.severity, one.detail, one.reason, one.next_at) == (1, "something worse", Reason.NO_ROW, NOW + MINUTE)


async def test_what_somebody_took_on_is_theirs_also_with_a_further_cause(store: Database) -> None:
    await escalated(store)
    await acknowledged(store)
    await escalated(store, 2)
    one = await the_one(store)
    assert (one.acked_by, one.next_at) == ("ada", None)
    record = (await told(store))[-1]
    assert (record.body["tell"], record.body["detail"]) == (None, f"one more cause, ada has it: {CALL.detail}")


async def test_what_is_more_severe_than_what_they_took_on_is_told_again(store: Database) -> None:
    """Somebody who looks at one slow pod has not taken on an outage."""
    await escalated(store)
    await acknowledged(store)
    await escalated(store, 2, severity=1)
    one = await the_one(store)
    assert (one.acked_at, one.acked_by, one.severity, one.next_at) == (None, None, 1, NOW + 5 * MINUTE)
    assert (await told(store))[-1].body["tell"] == "ada"


async def test_a_further_cause_of_what_nobody_answered_is_told_again(store: Database) -> None:
    await escalated(store)
    await store.pass_on(await the_one(store), Following(Further.UNANSWERED, "ada", None), at=NOW + MINUTE)
    assert (await the_one(store)).next_at is None
    await escalated(store, 2)
    one = await the_one(store)
    assert (one.next_at, one.reminders) == (NOW + 5 * MINUTE, 0)


async def test_a_new_episode_of_the_same_alert_joins_too(store: Database) -> None:
    await escalated(store)
    await store.accept([firing()], at=NOW)
    assert await steps(store) == ["opened"], "a repeat says nothing new"
    await escalated(store, starts_at=STARTED + SECOND)
    assert await steps(store) == ["opened", "joined"]


# -- it ends


async def test_it_ends_with_the_resolution_and_the_incident_with_it(store: Database) -> None:
    await escalated(store)
    await store.accept([resolved()], at=NOW + MINUTE)
    assert (await store.escalations(), await has_open_incident(store)) == ([], False)
    *_, alert, ended = await store.records(after=0, limit=10)
    assert (alert.kind, ended.kind, ended.at) == ("alert.resolved", "escalation.ended", NOW + MINUTE)
    assert ended.body["detail"] == "every alert of it is resolved"


async def test_it_ends_when_all_its_alerts_are_resolved(store: Database) -> None:
    await escalated(store)
    await escalated(store, 2)
    await store.accept([resolved(2)], at=NOW + MINUTE)
    assert len(await store.escalations()) == 1
    await store.accept([resolved(1)], at=NOW + MINUTE)
    assert await store.escalations() == []


async def test_the_resolution_of_a_later_episode_ends_it_as_well(store: Database) -> None:
    await escalated(store)
    await store.accept([resolved(starts_at=STARTED + SECOND)], at=NOW + MINUTE)
    assert await store.escalations() == []


async def test_what_is_still_under_way_keeps_the_incident_open(store: Database) -> None:
    await escalated(store)
    other = await acting(store, 2)
    await store.accept([resolved(1), resolved(2)], at=NOW + MINUTE)
    assert (await store.escalations(), await has_open_incident(store)) == ([], True)
    await store.advance(other, to=State.VERIFIED, record=NOTE, at=NOW + MINUTE)
    assert not await has_open_incident(store)


async def test_what_was_over_before_anything_was_done_needs_nobody(store: Database) -> None:
    """The resolution came between the last look and the commit."""
    [remediation] = await queued(store, firing())
    diagnosing = await brought_to(store, remediation, State.DIAGNOSING, on=target())
    await store.accept([resolved()], at=NOW)
    await store.advance(diagnosing, to=State.ESCALATED, record=NOTE, at=NOW, change=Change(call=CALL))
    assert (await store.escalations(), await told(store), await has_open_incident(store)) == ([], [], False)


async def unknown_after_the_end(store: Database) -> None:
    """We changed something, the alert was resolved, and then nobody could say what became of the change."""
    verifying = await acting(store)
    await store.accept([resolved()], at=NOW)
    await store.advance(verifying, to=State.UNKNOWN, record=NOTE, at=NOW, change=Change(call=CALL))


async def test_what_was_over_after_something_was_done_is_ended_by_a_person(store: Database) -> None:
    await unknown_after_the_end(store)
    assert (await the_one(store)).needs_person
    [remediation] = await queued(store, firing(2))
    await brought_to(store, remediation, State.DECLINED, on=target())
    await store.accept([resolved(2)], at=NOW)
    assert len(await store.escalations()) == 1, "no resolution says that somebody looked"
    after = await acknowledged(store)
    assert (after.ended_at, after.ended) == (NOW + MINUTE, "somebody has it, and nothing of it fires any more")
    assert not await has_open_incident(store)
    assert await steps(store) == ["opened", "acknowledged", "ended"]


async def test_somebody_who_has_it_keeps_it_while_something_fires(store: Database) -> None:
    await unknown_after_the_end(store)
    await escalated(store, 2)
    assert (await acknowledged(store)).ended_at is None
    await store.accept([resolved(2)], at=NOW)
    assert await store.escalations() == []


async def test_it_ends_when_an_action_helped_and_the_rest_is_resolved(store: Database) -> None:
    await escalated(store)
    verifying = await acting(store, 2)
    await store.accept([resolved(1)], at=NOW)
    assert len(await store.escalations()) == 1, "the other alert fires"
    await store.advance(verifying, to=State.VERIFIED, record=NOTE, at=NOW)
    assert (await store.escalations(), await has_open_incident(store)) == ([], False)
    assert "it recovered" in (await told(store))[-1].body["detail"]


async def test_an_action_that_helped_does_not_end_what_fires_beside_it(store: Database) -> None:
    await escalated(store)
    verifying = await acting(store, 2)
    await store.advance(verifying, to=State.VERIFIED, record=NOTE, at=NOW)
    assert len(await store.escalations()) == 1
    await store.accept([resolved(1)], at=NOW)
    assert await store.escalations() == [], "the other was seen to be over"


async def test_what_ended_is_opened_anew_by_the_next_alert(store: Database) -> None:
    first = await escalated(store)
    await store.accept([resolved()], at=NOW)
    second = await escalated(store, starts_at=STARTED + MINUTE)
    assert first.incident_id != second.incident_id
    assert (await the_one(store)).ref == "E-2"


# -- it is passed on


async def test_it_is_due_when_nobody_answered_in_time(store: Database) -> None:
    await escalated(store)
    due = NOW + 5 * MINUTE
    assert await store.due_escalations(at=due - SECOND, limit=10) == []
    assert await store.due_escalations(at=due, limit=10) == [await the_one(store)]


async def test_it_is_passed_on_with_its_record(store: Database) -> None:
    await escalated(store)
    assert await store.pass_on(await the_one(store), NEXT, at=NOW + 6 * MINUTE)
    one = await the_one(store)
    assert (one.told, one.level, one.reminders, one.next_at) == ("bob", 2, 0, NOW + 11 * MINUTE)
    record = (await told(store))[-1]
    assert (record.kind, record.body["tell"], record.body["unanswered_for"]) == ("escalation.passed-on", "bob", "6m")
    assert record.body["detail"] == f"bob is told; no answer from ada, 6m after it was opened: {CALL.detail}"


async def test_the_last_one_is_reminded_and_then_nobody_is(store: Database) -> None:
    await escalated(store)
    await store.pass_on(await the_one(store), Following(Further.REMINDED, "ada", 5 * MINUTE), at=NOW + 5 * MINUTE)
    one = await the_one(store)
    assert (one.told, one.level, one.reminders, one.next_at) == ("ada", 1, 1, NOW + 10 * MINUTE)
    await store.pass_on(one, Following(Further.UNANSWERED, "ada", None), at=NOW + 10 * MINUTE)
    assert (await the_one(store)).next_at is None
    assert await store.due_escalations(at=NOW + 999 * MINUTE, limit=10) == []
    assert [r.body["detail"].partition(":")[0] for r in (await told(store))[1:]] == [
        "ada is told again; no answer for 5m",
        "nobody answered for 10m; nobody is left to tell",
    ]


async def test_of_many_replicas_one_passes_it_on(store: Database) -> None:
    await escalated(store)
    seen = await the_one(store)
    done = await asyncio.gather(*(store.pass_on(seen, NEXT, at=NOW + 5 * MINUTE) for _ in range(20)))
    assert sum(done) == 1
    assert await steps(store) == ["opened", "passed-on"]


@pytest.mark.parametrize("how", ["acknowledged", "resolved", "joined"])
async def test_what_changed_since_it_was_seen_is_not_passed_on(store: Database, how: str) -> None:
    await escalated(store)
    seen = await the_one(store)
    if how == "acknowledged":
        await acknowledged(store)
    elif how == "resolved":
        await store.accept([resolved()], at=NOW)
    else:
        await escalated(store, 2, severity=1, wait=MINUTE)
    before = await steps(store)
    assert not await store.pass_on(seen, NEXT, at=NOW + 5 * MINUTE)
    assert await steps(store) == before


async def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/r.db"
    store = await open_database(url, clock=SystemClock())
    await escalated(store)
    await store.close()
    store = await open_database(url, clock=SystemClock())
    [one] = await store.due_escalations(at=NOW + 5 * MINUTE, limit=10)
    await store.accept([resolved()], at=NOW + 6 * MINUTE)
    after = await steps(store)
    await store.close()
    assert (one.told, one.next_at, after) == ("ada", NOW + 5 * MINUTE, ["opened", "ended"])


# -- it is acknowledged


async def test_an_acknowledgement_is_kept_and_nobody_further_is_told(store: Database) -> None:
    await escalated(store)
    one = await acknowledged(store)
    assert (one.acked_by, one.acked_comment, one.acked_at) == ("ada", "on it", NOW + MINUTE)
    assert await store.due_escalations(at=NOW + 999 * MINUTE, limit=10) == []
    assert await has_open_incident(store), "it is still to be done"
    record = (await told(store))[-1]
    assert (record.kind, record.body["detail"]) == ("escalation.acknowledged", "acknowledged by ada: on it")
    await store.accept([resolved()], at=NOW + 2 * MINUTE)
    assert not await has_open_incident(store)


async def test_it_is_acknowledged_once(store: Database) -> None:
    await escalated(store)
    await acknowledged(store)
    with pytest.raises(NotOpen, match="E-1 was acknowledged by ada: on it"):
        await acknowledged(store, by="bob")


async def test_what_has_ended_or_never_was_cannot_be_acknowledged(store: Database) -> None:
    await escalated(store)
    await store.accept([resolved()], at=NOW)
    said = Acknowledgement("ada", "on it", NOW)
    with pytest.raises(NotOpen, match="E-1 is not open: every alert of it is resolved"):
        await store.acknowledge(EscalationId(1), said)
    with pytest.raises(NotOpen, match="E-9 is not open"):
        await store.acknowledge(EscalationId(9), said)


@pytest.mark.parametrize("is_acked", [False, True])
async def test_a_person_can_close_what_no_resolution_will_come_for(store: Database, is_acked: bool) -> None:
    await escalated(store)
    if is_acked:
        await acknowledged(store)
    one = await acknowledged(store, closes=True, comment="gone for good")
    assert (one.ended, await has_open_incident(store)) == ("closed by ada: gone for good", False)


# -- gates


async def at_a_gate(store: Database, number: int = 1, *, at: Any = NOW) -> None:
    """A remediation that is not done because of a storm."""
    [remediation] = await queued(store, firing(number))
    planned = await brought_to(store, remediation, State.PLANNED, on=target(f"app-{number}"))
    change = Change(gates=(STORM,), gate_calls={STORM.key: STORM_CALL})
    await store.advance(planned, to=State.RECOMMENDED, record=NOTE, at=at, change=change)


async def test_a_gate_that_is_entered_is_told_once_however_many_see_it(store: Database) -> None:
    await at_a_gate(store, 1)
    await at_a_gate(store, 2)
    one = await the_one(store)
    assert (one.gate, one.cluster, one.title, one.incident_id, one.severity) == ("storm", "lab", "storm", None, 1)
    [record] = await told(store)
    assert (record.body["gate"], record.body["contact"], record.body["tell"]) == ("storm", "infrastructure", "eve")
    assert not await has_open_incident(store), "the incidents of its targets are not people's"


async def test_it_ends_when_the_gate_is_left(store: Database) -> None:
    await at_a_gate(store)
    assert await store.end_left_gates(at=NOW + 10 * MINUTE - SECOND) == 0
    assert await store.end_left_gates(at=NOW + 10 * MINUTE) == 1
    assert (await store.escalations(), await steps(store)) == ([], ["opened", "ended"])


async def test_a_gate_that_is_entered_again_is_told_again(store: Database) -> None:
    """Also when nobody ended the former one in between, and when somebody had that one."""
    await at_a_gate(store)
    await acknowledged(store)
    await at_a_gate(store, 2, at=NOW + 11 * MINUTE)
    assert await steps(store) == ["opened", "acknowledged", "ended", "opened"]
    assert (await the_one(store)).acked_at is None


async def test_a_gate_in_sight_is_not_ended_by_an_acknowledgement(store: Database) -> None:
    await at_a_gate(store)
    assert (await acknowledged(store)).ended_at is None
    assert await store.end_left_gates(at=NOW + 10 * MINUTE) == 1


# -- they are read


async def test_the_open_ones_are_listed_most_severe_first(store: Database) -> None:
    await escalated(store)
    await at_a_gate(store, 2)
    assert [one.ref for one in await store.escalations()] == ["E-2", "E-1"]


async def test_the_open_ones_are_counted(store: Database) -> None:
    await escalated(store)
    await acknowledged(store)
    await at_a_gate(store, 2)
    assert await store.open_escalations() == {(1, False): 1, (2, True): 1}


async def test_an_incident_shows_all_that_it_had(store: Database) -> None:
    cause = await escalated(store)
    await store.accept([resolved()], at=NOW)
    assert cause.incident_id is not None
    view = await store.incident(cause.incident_id)
    assert view is not None
    assert [(one.ref, one.ended) for one in view.escalations] == [("E-1", "every alert of it is resolved")]
    assert [r.kind for r in view.records][-3:] == ["escalation.opened", "alert.resolved", "escalation.ended"]
