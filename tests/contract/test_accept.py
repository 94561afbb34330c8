"""What every store must do with the alerts that arrive: what is new, what is a repeat, and what is over."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from remediator.authority import UNLIMITED, Authority
from remediator.model import Alert, AlertStatus, State
from remediator.rules.automaton import compile_pattern
from remediator.store.base import Accepted
from remediator.store.database import Database
from remediator.store.episodes import RETURNS_AFTER
from tests.contract.examples import LATER, claimed, kinds
from tests.unit.store.examples import LEASE, NOTE, NOW, SECOND, STARTED, brought_to, firing, queued, resolved

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
