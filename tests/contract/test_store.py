"""What every store must do, whatever database is under it: each sentence of `Store` and `IncidentReader`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from remediator.audit.record import canonical_json
from remediator.authority import UNLIMITED, Authority
from remediator.clock import SystemClock
from remediator.model import Alert, AlertStatus, IncidentId, Mode, Reason, Remediation, State
from remediator.rules.automaton import compile_pattern
from remediator.store.base import Accepted, Change, CommittedRecord, KillSwitch, LostClaim, Record, TemplateEvent
from remediator.store.database import Database, open_database
from remediator.store.episodes import RETURNS_AFTER
from tests.unit.store.examples import (
    LEASE,
    NOTE,
    NOW,
    SECOND,
    STARTED,
    brought_to,
    firing,
    plan,
    queued,
    resolved,
    target,
)

LATER = NOW + timedelta(hours=1)


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Database]:
    database = await open_database(database_url, clock=SystemClock())
    yield database
    await database.close()


async def kinds(store: Database) -> list[str]:
    return [record.kind for record in await store.records(after=0, limit=1000)]


async def claimed(store: Database, *, limit: int = 100) -> Sequence[Remediation]:
    return await store.claim(owner="worker-2", at=LATER, lease=LEASE, limit=limit)


# -- accept


async def test_queues_each_new_firing_episode(store: Database) -> None:
    assert await store.accept([firing(1), firing(2)], at=NOW) == Accepted(queued=2)
    found = await store.claim(owner="worker-1", at=NOW, lease=LEASE, limit=10)
    assert [remediation.alert for remediation in found] == [firing(1), firing(2)]
    assert {remediation.state for remediation in found} == {State.QUEUED}


async def test_gives_each_remediation_its_own_action_id(store: Database) -> None:
    found = await queued(store, firing(1), firing(2))
    assert len({remediation.action_id for remediation in found}) == 2


async def test_a_repeat_queues_nothing(store: Database) -> None:
    await store.accept([firing()], at=NOW)
    assert await store.accept([firing()], at=LATER) == Accepted(repeated=1)
    assert len(await claimed(store)) == 1


async def test_a_repeat_inside_one_body_queues_nothing(store: Database) -> None:
    assert await store.accept([firing(), firing()], at=NOW) == Accepted(queued=1, repeated=1)


async def test_a_repeat_queues_nothing_when_the_first_is_finished(store: Database) -> None:
    [remediation] = await queued(store, firing())
    await brought_to(store, remediation, State.DECLINED)
    assert await store.accept([firing()], at=LATER) == Accepted(repeated=1)
    assert await claimed(store) == []


async def test_a_firing_repeat_of_a_resolved_episode_stays_resolved(store: Database) -> None:
    await store.accept([firing()], at=NOW)
    await store.accept([resolved()], at=NOW)
    assert await store.accept([firing()], at=NOW + SECOND) == Accepted(repeated=1)
    assert await store.is_resolved(firing().fingerprint, STARTED)


async def test_what_fires_again_long_after_its_resolution_is_taken_up_again(store: Database) -> None:
    """The way from Prometheus was cut for longer than a lease: the same episode, with its old beginning, fires on."""
    long_after = NOW + RETURNS_AFTER
    await store.accept([firing(1)], at=NOW)
    [first] = await claimed(store)
    await store.accept([resolved(1)], at=NOW)
    await store.advance(first, to=State.CANCELLED, record=NOTE, at=NOW)
    assert (await store.accept([firing(1)], at=long_after - SECOND)).repeated == 1, "it may be an old body"
    assert (await store.accept([firing(1)], at=long_after)).queued == 1
    [again] = await claimed(store)
    assert (again.alert.fingerprint, again.id != first.id, again.alert.ends_at) == (firing(1).fingerprint, True, None)
    assert not await store.is_resolved(firing(1).fingerprint, STARTED)
    assert (await store.accept([firing(1)], at=long_after + SECOND)).repeated == 1
    assert (await store.accept([resolved(1)], at=long_after + SECOND)).resolved == 1
    assert (await kinds(store)).count("alert.received") == 2


async def test_what_still_waits_for_it_goes_on_and_no_other_begins(store: Database) -> None:
    await store.accept([firing(1)], at=NOW)
    await store.accept([resolved(1)], at=NOW)
    assert (await store.accept([firing(1)], at=NOW + RETURNS_AFTER)).queued == 1
    assert len(await claimed(store)) == 1
    assert not await store.is_resolved(firing(1).fingerprint, STARTED)


async def test_a_new_start_of_the_same_fingerprint_is_a_new_episode(store: Database) -> None:
    await store.accept([firing()], at=NOW)
    assert await store.accept([firing(starts_at=STARTED + SECOND)], at=NOW) == Accepted(queued=1)
    assert len(await claimed(store)) == 2


async def test_starts_that_differ_by_a_microsecond_are_two_episodes(store: Database) -> None:
    later = STARTED + timedelta(microseconds=1)
    assert await store.accept([firing(), firing(starts_at=later)], at=NOW) == Accepted(queued=2)


async def test_a_resolved_alert_that_never_fired_queues_nothing(store: Database) -> None:
    assert await store.accept([resolved()], at=NOW) == Accepted(resolved=1)
    assert await claimed(store) == []
    assert await store.is_resolved(resolved().fingerprint, STARTED)


async def test_a_repeated_resolved_alert_is_a_repeat(store: Database) -> None:
    await store.accept([resolved()], at=NOW)
    assert await store.accept([resolved()], at=NOW) == Accepted(repeated=1)


async def test_fired_and_resolved_in_one_body_are_both_kept(store: Database) -> None:
    assert await store.accept([firing(), resolved()], at=NOW) == Accepted(queued=1, resolved=1)
    assert await store.is_resolved(firing().fingerprint, STARTED)


async def test_each_change_has_one_record_and_a_repeat_none(store: Database) -> None:
    for alert in (firing(), firing(), resolved(), resolved()):
        await store.accept([alert], at=NOW)
    assert await kinds(store) == ["alert.received", "alert.resolved"]


async def test_the_record_of_an_alert_holds_all_of_it(store: Database) -> None:
    await store.accept([firing()], at=NOW)
    [record] = await store.records(after=0, limit=10)
    assert record.body == {
        "annotations": firing().annotations,
        "credential": "",
        "ends_at": None,
        "fingerprint": firing().fingerprint,
        "generator_url": firing().generator_url,
        "group_key": firing().group_key,
        "labels": firing().labels,
        "receiver": "remediator",
        "starts_at": "2026-11-23T11:55:00.000001Z",
        "status": "firing",
        "truncated": 0,
    }


SHOP, PAY = (Authority(namespaces=compile_pattern(name)) for name in ("shop", "pay"))
BOTH = Authority(namespaces=compile_pattern("shop|pay"))


def by(credential: str, alert: Alert, **labels: str) -> Alert:
    return replace(alert, credential=credential, labels={**alert.labels, **labels})


async def test_an_episode_keeps_the_credential_that_it_was_first_seen_by(store: Database) -> None:
    await store.accept([by("a", firing())], at=NOW, authority=SHOP)
    assert await store.accept([by("b", firing())], at=NOW, authority=BOTH) == Accepted(repeated=1)
    [remediation] = await claimed(store)
    assert remediation.alert.credential == "a"


@pytest.mark.parametrize("authority", [SHOP, BOTH, UNLIMITED])
async def test_whoever_may_speak_of_an_episode_resolves_it(store: Database, authority: Authority) -> None:
    await store.accept([by("a", firing())], at=NOW, authority=SHOP)
    assert await store.accept([by("b", resolved())], at=NOW, authority=authority) == Accepted(resolved=1)
    assert await store.is_resolved(firing().fingerprint, STARTED)
    received, ended = await store.records(after=0, limit=10)
    assert [one.body["credential"] for one in (received, ended)] == ["a", "b"]


@pytest.mark.parametrize("alert", [firing(), resolved(), firing(starts_at=STARTED + SECOND), resolved(starts_at=LATER)])
@pytest.mark.parametrize("first", [SHOP, UNLIMITED])
async def test_a_fingerprint_made_to_be_anothers_touches_nothing(
    store: Database, alert: Alert, first: Authority
) -> None:
    """Who may choose labels may choose them so that they have any FNV-1a fingerprint."""
    await store.accept([by("a", firing())], at=NOW, authority=first)
    forged = by("b", alert, namespace="pay")
    assert await store.accept([forged, firing(2)], at=NOW, authority=PAY) == Accepted(foreign=1, queued=1)
    assert await store.accept([forged], at=LATER, authority=PAY) == Accepted(foreign=1)
    assert not await store.is_resolved(firing().fingerprint, STARTED)
    assert [one.alert.fingerprint for one in await claimed(store)] == [firing().fingerprint, firing(2).fingerprint]
    aside = [one.body for one in await store.records(after=0, limit=10) if one.kind == "alert.quarantined"]
    assert [one["credential"] for one in aside] == ["b", "b"]
    assert f"{firing().fingerprint} stands for an alert that is outside" in aside[0]["problem"]


async def test_a_forged_fingerprint_of_the_same_body_touches_nothing_either(store: Database) -> None:
    waiting = [
        asyncio.ensure_future(store.accept([by("a", firing())], at=NOW, authority=SHOP)),
        asyncio.ensure_future(store.accept([by("b", resolved(), namespace="pay")], at=NOW, authority=PAY)),
    ]
    assert await asyncio.gather(*waiting) == [Accepted(queued=1), Accepted(foreign=1)]


async def test_each_episode_that_a_resolution_ends_has_its_record_under_its_remediation(store: Database) -> None:
    newer = STARTED + SECOND
    remediations = await queued(store, firing(), firing(starts_at=newer))
    await store.accept([resolved(starts_at=newer)], at=NOW)
    ended = [r for r in await store.records(after=0, limit=10) if r.kind == "alert.resolved"]
    assert {record.remediation_id for record in ended} == {remediation.id for remediation in remediations}


async def test_a_resolution_makes_what_waits_due_at_once(store: Database) -> None:
    [remediation] = await queued(store, firing())
    held = await brought_to(store, remediation, State.HELD)
    await store.release(held, due_at=LATER + LEASE, progress={})
    await store.accept([resolved()], at=NOW + SECOND)
    [again] = await store.claim(owner="worker-2", at=NOW + SECOND, lease=LEASE, limit=10)
    assert again.id == held.id


async def test_an_empty_body_changes_nothing(store: Database) -> None:
    assert await store.accept([], at=NOW) == Accepted()


async def test_a_poison_alert_is_refused_before_anything_of_its_body_is_stored(store: Database) -> None:
    poison = replace(firing(2), labels={"alertname": "\ud800"})
    with pytest.raises(ValueError, match="surrogates"):
        await store.accept([firing(1), poison], at=NOW)
    assert await kinds(store) == []


async def test_a_poison_alert_harms_no_other_body_that_is_stored_with_it(store: Database) -> None:
    poison = replace(firing(2), truncated=2**70)
    results = await asyncio.gather(
        *(store.accept([alert], at=NOW) for alert in (firing(1), poison, firing(3))), return_exceptions=True
    )
    assert [isinstance(result, Exception) for result in results] == [False, True, False]
    assert len(await claimed(store)) == 2


async def test_many_concurrent_bodies_with_the_same_alert_queue_one(store: Database) -> None:
    accepted = await asyncio.gather(*(store.accept([firing()], at=NOW) for _ in range(50)))
    assert sum(result.queued for result in accepted) == 1
    assert sum(result.repeated for result in accepted) == 49


# -- is_resolved


@pytest.mark.parametrize(
    ("offset", "expected"),
    [(-SECOND, True), (timedelta(0), True), (SECOND, False)],
    ids=["earlier episode", "same episode", "later episode"],
)
async def test_a_resolution_covers_its_episode_and_earlier_ones(
    store: Database, offset: timedelta, expected: bool
) -> None:
    await store.accept([resolved()], at=NOW)
    assert await store.is_resolved(resolved().fingerprint, STARTED + offset) is expected


async def test_a_resolution_says_nothing_of_another_fingerprint(store: Database) -> None:
    await store.accept([resolved(1)], at=NOW)
    assert not await store.is_resolved(firing(2).fingerprint, STARTED)


# -- claim


async def test_a_claim_counts_the_epoch_up(store: Database) -> None:
    [first] = await queued(store, firing())
    [second] = await claimed(store)
    assert (first.epoch, second.epoch) == (1, 2)


async def test_what_is_leased_cannot_be_claimed(store: Database) -> None:
    await queued(store, firing())
    assert await store.claim(owner="worker-2", at=NOW + LEASE, lease=LEASE, limit=10) == []


async def test_a_lease_that_ran_out_can_be_claimed(store: Database) -> None:
    [remediation] = await queued(store, firing())
    microsecond = timedelta(microseconds=1)
    [again] = await store.claim(owner="worker-2", at=NOW + LEASE + microsecond, lease=LEASE, limit=10)
    assert again.id == remediation.id


async def test_a_crashed_step_is_found_in_its_last_committed_state(store: Database) -> None:
    [remediation] = await queued(store, firing())
    acting = await brought_to(store, remediation, State.ACTING, on=target())
    [again] = await claimed(store)
    assert again == replace(acting, epoch=acting.epoch + 1)


async def test_what_is_not_due_cannot_be_claimed(store: Database) -> None:
    [remediation] = await queued(store, firing())
    await store.release(remediation, due_at=NOW + SECOND, progress={})
    assert await store.claim(owner="worker-2", at=NOW, lease=LEASE, limit=10) == []
    assert len(await store.claim(owner="worker-2", at=NOW + SECOND, lease=LEASE, limit=10)) == 1


async def test_what_is_final_cannot_be_claimed(store: Database) -> None:
    [remediation] = await queued(store, firing())
    await brought_to(store, remediation, State.DECLINED)
    assert await claimed(store) == []


async def test_claims_the_most_severe_first_then_the_oldest(store: Database) -> None:
    for number in (1, 2, 3, 4):
        await store.accept([firing(number)], at=NOW + number * SECOND)
    severities = {1: 4, 2: None, 3: 1, 4: 3}  # none counts as 3
    for remediation in await store.claim(owner="worker-1", at=LATER - LEASE, lease=SECOND, limit=10):
        severity = severities[int(remediation.fingerprint, 16)]
        step = await store.advance(
            remediation, to=State.DIAGNOSING, record=NOTE, at=NOW, change=Change(severity=severity)
        )
        await store.release(step, due_at=NOW, progress={})
    assert [int(remediation.fingerprint, 16) for remediation in await claimed(store)] == [3, 2, 4, 1]


async def test_claims_no_more_than_the_limit(store: Database) -> None:
    await store.accept([firing(number) for number in range(5)], at=NOW)
    assert len(await claimed(store, limit=3)) == 3
    assert len(await claimed(store, limit=3)) == 2


async def test_concurrent_claims_never_give_one_remediation_twice(store: Database) -> None:
    await store.accept([firing(number) for number in range(100)], at=NOW)
    claims = await asyncio.gather(*(store.claim(owner=f"worker-{n}", at=NOW, lease=LEASE, limit=3) for n in range(50)))
    ids = [remediation.id for claim in claims for remediation in claim]
    assert len(ids) == len(set(ids)) == 100


# -- advance


async def test_advance_returns_what_a_claim_would_read(store: Database) -> None:
    [remediation] = await queued(store, firing())
    change = Change(
        reason=Reason.COOLDOWN,
        rule="crash-loop",
        severity=1,
        mode=Mode.ACTIVE,
        target=target(),
        plan=plan(target()),
        acted_at=NOW,
        due_at=NOW + SECOND,
        tries=2,
        progress={"seen": [1, 2.5, None]},
        diagnosis={"cause": "code-error"},
    )
    advanced = await store.advance(remediation, to=State.DIAGNOSING, record=NOTE, at=NOW, change=change)
    [read] = await claimed(store)
    assert replace(read, epoch=advanced.epoch) == advanced
    assert read.plan == plan(target())


async def test_what_a_change_does_not_name_stays(store: Database) -> None:
    [remediation] = await queued(store, firing())
    change = Change(severity=2, rule="crash-loop", progress={"a": 1})
    first = await store.advance(remediation, to=State.DIAGNOSING, record=NOTE, at=NOW, change=change)
    second = await store.advance(first, to=State.PLANNED, record=NOTE, at=NOW)
    assert second == replace(first, state=State.PLANNED)


async def test_a_transition_that_does_not_exist_is_a_fault(store: Database) -> None:
    [remediation] = await queued(store, firing())
    with pytest.raises(ValueError, match="no transition from queued to verified"):
        await store.advance(remediation, to=State.VERIFIED, record=NOTE, at=NOW)


async def test_an_older_epoch_has_lost_its_claim(store: Database) -> None:
    [old] = await queued(store, firing())
    await claimed(store)
    with pytest.raises(LostClaim):
        await store.advance(old, to=State.DIAGNOSING, record=NOTE, at=LATER)
    assert await kinds(store) == ["alert.received"]


async def test_a_state_that_moved_on_is_a_lost_claim(store: Database) -> None:
    [remediation] = await queued(store, firing())
    await store.advance(remediation, to=State.DIAGNOSING, record=NOTE, at=NOW)
    with pytest.raises(LostClaim):
        await store.advance(remediation, to=State.CANCELLED, record=NOTE, at=NOW)


async def test_of_many_concurrent_advances_exactly_one_wins(store: Database) -> None:
    [remediation] = await queued(store, firing())
    results = await asyncio.gather(
        *(store.advance(remediation, to=State.DIAGNOSING, record=NOTE, at=NOW) for _ in range(50)),
        return_exceptions=True,
    )
    assert sum(isinstance(result, Remediation) for result in results) == 1
    assert sum(isinstance(result, LostClaim) for result in results) == 49
    assert await kinds(store) == ["alert.received", NOTE.kind]


async def test_a_record_that_cannot_be_written_leaves_the_state_as_it_was(store: Database) -> None:
    [remediation] = await queued(store, firing())
    with pytest.raises(ValueError, match="JSON"):
        await store.advance(remediation, to=State.DIAGNOSING, record=Record("x", {"ratio": float("nan")}), at=NOW)
    [again] = await claimed(store)
    assert again.state is State.QUEUED


async def test_a_change_that_cannot_be_written_leaves_no_record(store: Database) -> None:
    [remediation] = await queued(store, firing())
    with pytest.raises(Exception, match=r"large|out of range"):
        await store.advance(
            remediation, to=State.DIAGNOSING, record=NOTE, at=NOW, change=Change(target=target(), severity=2**70)
        )
    assert await kinds(store) == ["alert.received"]
    assert await store.incidents(limit=10, open_only=False) == []


async def test_a_failing_call_leaves_concurrent_ones_alone(store: Database) -> None:
    lost, *others = await queued(store, *(firing(number) for number in range(10)))
    await store.advance(lost, to=State.DIAGNOSING, record=NOTE, at=NOW)
    results = await asyncio.gather(
        *(store.advance(r, to=State.DIAGNOSING, record=NOTE, at=NOW) for r in [*others[:4], lost, *others[4:]]),
        return_exceptions=True,
    )
    assert [isinstance(result, LostClaim) for result in results].index(True) == 4
    assert sum(isinstance(result, Remediation) for result in results) == 9


# -- notes


async def test_notes_are_records_of_no_remediation(store: Database) -> None:
    await store.note([Record("alert.quarantined", {"place": "alerts[1]"}), Record("alert.quarantined", {})], at=NOW)
    kept = await store.records(after=0, limit=10)
    assert [(one.seq, one.kind, one.remediation_id, one.body) for one in kept] == [
        (1, "alert.quarantined", None, {"place": "alerts[1]"}),
        (2, "alert.quarantined", None, {}),
    ]


# -- acting


async def test_acting_notes_when_it_acted(store: Database) -> None:
    [remediation] = await queued(store, firing())
    planned = await brought_to(store, remediation, State.PLANNED, on=target())
    acting = await store.advance(planned, to=State.ACTING, record=NOTE, at=NOW, change=Change(acted_at=NOW + SECOND))
    assert acting.acted_at == NOW + SECOND
    assert await store.last_action_at(target()) == NOW + SECOND


async def test_acting_counts_as_an_action_from_now_when_nothing_else_is_said(store: Database) -> None:
    [remediation] = await queued(store, firing())
    await brought_to(store, remediation, State.ACTING, on=target())
    assert await store.last_action_at(target()) == NOW


async def test_acting_without_a_target_is_a_fault(store: Database) -> None:
    [remediation] = await queued(store, firing())
    planned = await brought_to(store, remediation, State.PLANNED)
    with pytest.raises(ValueError, match="needs a target"):
        await store.advance(planned, to=State.ACTING, record=NOTE, at=NOW)


@pytest.mark.parametrize("offset", [timedelta(0), SECOND], ids=["same episode", "later episode"])
async def test_acting_is_refused_when_the_alert_was_resolved(store: Database, offset: timedelta) -> None:
    [remediation] = await queued(store, firing())
    planned = await brought_to(store, remediation, State.PLANNED, on=target())
    await store.accept([resolved(starts_at=STARTED + offset)], at=NOW)
    with pytest.raises(LostClaim, match="resolved"):
        await store.advance(planned, to=State.ACTING, record=NOTE, at=NOW)
    assert await store.last_action_at(target()) is None


@pytest.mark.parametrize("state", [State.ACTING, State.VERIFYING, State.FAILED, State.REVERTING])
async def test_acting_is_refused_while_another_acts_on_the_target(store: Database, state: State) -> None:
    first, second = await queued(store, firing(1), firing(2))
    planned = await brought_to(store, second, State.PLANNED, on=target(uid="uid-2"))
    await brought_to(store, first, state, on=target())
    with pytest.raises(LostClaim, match="already acting"):
        await store.advance(planned, to=State.ACTING, record=NOTE, at=NOW)


async def test_acting_is_possible_when_the_other_is_done(store: Database) -> None:
    first, second = await queued(store, firing(1), firing(2))
    planned = await brought_to(store, second, State.PLANNED, on=target())
    verifying = await brought_to(store, first, State.VERIFYING, on=target())
    await store.advance(verifying, to=State.VERIFIED, record=NOTE, at=NOW)
    assert (await store.advance(planned, to=State.ACTING, record=NOTE, at=NOW)).state is State.ACTING


async def test_acting_on_another_target_is_free(store: Database) -> None:
    first, second = await queued(store, firing(1), firing(2))
    await brought_to(store, first, State.ACTING, on=target("api"))
    assert (await brought_to(store, second, State.ACTING, on=target("web"))).state is State.ACTING


async def test_of_many_concurrent_actors_on_one_target_exactly_one_acts(store: Database) -> None:
    remediations = await queued(store, *(firing(number) for number in range(20)))
    planned = [await brought_to(store, remediation, State.PLANNED, on=target()) for remediation in remediations]
    results = await asyncio.gather(
        *(store.advance(p, to=State.ACTING, record=NOTE, at=NOW) for p in planned), return_exceptions=True
    )
    assert sum(isinstance(result, Remediation) for result in results) == 1


# -- release


async def test_release_keeps_the_state_and_the_progress(store: Database) -> None:
    [remediation] = await queued(store, firing())
    await store.release(remediation, due_at=NOW, progress={"looks": 3})
    [again] = await store.claim(owner="worker-2", at=NOW, lease=LEASE, limit=10)
    assert (again.state, again.progress) == (State.QUEUED, {"looks": 3})


async def test_release_by_an_older_epoch_has_lost_its_claim(store: Database) -> None:
    [old] = await queued(store, firing())
    await claimed(store)
    with pytest.raises(LostClaim):
        await store.release(old, due_at=NOW, progress={})


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


# -- kill switch


async def test_the_kill_switch_is_released_at_first(store: Database) -> None:
    assert not (await store.kill_switch()).engaged


@pytest.mark.parametrize("until", [None, LATER])
async def test_the_kill_switch_keeps_what_was_set(store: Database, until: object) -> None:
    switch = KillSwitch(True, "storm", "alice", NOW, until)  # type: ignore[arg-type]
    await store.set_kill_switch(switch)
    assert await store.kill_switch() == switch


async def test_each_turn_of_the_kill_switch_has_its_record(store: Database) -> None:
    await store.set_kill_switch(KillSwitch(True, "storm", "alice", NOW, LATER))
    await store.set_kill_switch(KillSwitch(False, "calm", "bob", LATER, None))
    engaged, released = await store.records(after=0, limit=10)
    assert (engaged.kind, released.kind) == ("switch.engaged", "switch.released")
    assert engaged.body == {"by": "alice", "comment": "storm", "until": "2026-11-23T13:00:00.123456Z"}


# -- records and cursors


async def test_records_are_dense_also_under_concurrency(store: Database) -> None:
    async def one(number: int) -> None:
        await store.accept([firing(number)], at=NOW)
        for remediation in await store.claim(owner="worker-1", at=NOW, lease=LEASE, limit=1):
            await store.advance(remediation, to=State.DIAGNOSING, record=NOTE, at=NOW)

    await asyncio.gather(*(one(number) for number in range(50)))
    records = await store.records(after=0, limit=1000)
    assert [record.seq for record in records] == list(range(1, 101))


async def test_a_failed_call_leaves_no_hole_in_the_records(store: Database) -> None:
    [remediation] = await queued(store, firing(1))
    poison = Change(target=target(), ledger=[TemplateEvent("uid-1", "h", "installed", NOW.replace(tzinfo=None))])
    await asyncio.gather(
        store.advance(remediation, to=State.DIAGNOSING, record=NOTE, at=NOW, change=poison),
        store.accept([firing(2)], at=NOW),
        return_exceptions=True,
    )
    await store.accept([firing(3)], at=NOW)
    assert [record.seq for record in await store.records(after=0, limit=10)] == [1, 2, 3]


async def test_records_are_read_in_pages(store: Database) -> None:
    await store.accept([firing(number) for number in range(5)], at=NOW)
    assert [record.seq for record in await store.records(after=2, limit=2)] == [3, 4]
    assert await store.records(after=5, limit=2) == []


async def test_the_stored_bytes_are_the_canonical_form_of_the_whole_entry(store: Database) -> None:
    [remediation] = await queued(store, firing())
    record = Record("decision.noted", {"z": 1, "a": "ü"})
    step = await store.advance(remediation, to=State.DIAGNOSING, record=record, at=NOW, change=Change(target=target()))
    committed: CommittedRecord = (await store.records(after=1, limit=1))[0]
    assert committed.canonical == canonical_json(
        {
            "at": "2026-11-23T12:00:00.123456Z",
            "body": {"a": "ü", "z": 1},
            "incident": step.incident_id,
            "kind": "decision.noted",
            "remediation": remediation.id,
            "seq": 2,
        }
    )
    assert json.loads(committed.canonical)["body"] == committed.body == record.body


async def test_a_cursor_begins_at_zero_and_stays_where_it_was_moved(store: Database) -> None:
    assert await store.cursor("slack") == 0
    assert await store.move_cursor("slack", after=0, to=3)
    assert await store.move_cursor("slack", after=3, to=7)
    assert not await store.move_cursor("slack", after=3, to=9), "another replica has told these"
    assert not await store.move_cursor("webhook", after=3, to=9)
    assert (await store.cursor("slack"), await store.cursor("webhook")) == (7, 0)


async def test_what_a_sink_is_silent_on_is_not_read_and_not_looked_at_again(store: Database) -> None:
    await store.note([Record(kind, {"n": 1}) for kind in ("alert.received", "gate.entered", "alert.received")], at=NOW)
    silent = await store.untold("log", but=["gate.entered"], limit=1)
    assert ([record.seq for record in silent.records], silent.after, silent.upto) == ([1], 0, 1)
    page = await store.untold("log", but=["alert.received"], limit=2)
    assert ([record.kind for record in page.records], page.upto) == (["gate.entered"], 3)
    await store.move_cursor("log", after=0, to=page.upto)
    page = await store.untold("log", but=["alert.received"], limit=2)
    assert (page.records, page.after, page.upto) == ([], 3, 3)


async def test_a_sink_that_is_new_begins_at_the_present_and_a_known_one_goes_on(store: Database) -> None:
    assert await store.begin_cursors(["log"]) == {"log": 0}, "new with the database: it is told everything"
    await store.accept([firing(number) for number in range(5)], at=NOW)
    await store.move_cursor("log", after=0, to=2)
    assert await store.begin_cursors(["log", "webhook"]) == {"webhook": 5}
    assert (await store.cursor("log"), await store.cursor("webhook")) == (2, 5)
    await store.accept([firing(9)], at=NOW)
    assert await store.begin_cursors(["log", "webhook"]) == {}
    assert await store.cursor("webhook") == 5, "what came since is told"


async def test_a_cancelled_caller_leaves_the_others_alone(store: Database) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(store.accept([firing(number)], at=NOW)) for number in range(20)]
        await asyncio.sleep(0)
        tasks[3].cancel()
    assert sum(task.result().queued for task in tasks if not task.cancelled()) == 19


async def test_an_alert_comes_back_as_it_was_queued_also_after_it_was_resolved(store: Database) -> None:
    await store.accept([firing(), resolved()], at=NOW)
    [remediation] = await claimed(store)
    assert remediation.alert.status is AlertStatus.FIRING
    assert remediation.alert == firing()
