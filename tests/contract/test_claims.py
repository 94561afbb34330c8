"""What every store must do for who works on a remediation: claim, advance, act, release."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from remediator.model import Mode, Remediation, State
from remediator.reasons import Reason
from remediator.store.base import Change, LostClaim, Record
from remediator.store.database import Database
from tests.contract.examples import LATER, claimed, kinds
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
