"""Leases between replicas on every store: duties, and the renewal of a claim that every write asks for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from remediator.clock import SystemClock
from remediator.errors import TransientError
from remediator.model import State
from remediator.replica import LOOKS_LEFT_OUT, MAX_FAILURES, Replica
from remediator.store.base import CommittedRecord, LostClaim, Record
from remediator.store.database import Database
from remediator.store.opening import open_database
from remediator.store.rollouts_base import Look, Overtaken
from remediator.worker import Publisher
from tests.unit.store.examples import LEASE, NOW, SECOND, brought_to, firing, queued

NAMES = ("tell-log", "watch")
MINUTE = timedelta(minutes=1)


class Moved:
    """The machine's clock, which a test moves."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return SystemClock().now() + self.ahead

    async def sleep(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Moved:
    return Moved()


@pytest.fixture
async def store(database_url: str, clock: Moved) -> AsyncIterator[Database]:
    database = await open_database(database_url, clock=clock)
    yield database
    await database.close()


async def held(store: Database, owner: str, *names: str) -> dict[str, int]:
    return dict((await store.hold_duties(names or NAMES, owner=owner, lease=MINUTE)).epochs)


async def test_a_duty_has_one_owner_at_a_time(store: Database) -> None:
    assert await held(store, "a") == {"tell-log": 1, "watch": 1}
    assert await held(store, "b") == {}
    assert await held(store, "b", "score") == {"score": 1}
    assert await held(store, "a") == {"tell-log": 1, "watch": 1}, "prolonged, and no new epoch"
    assert {duty.name: duty.owner for duty in await store.duties()} == {"tell-log": "a", "watch": "a", "score": "b"}


async def test_a_duty_whose_owner_is_gone_is_taken_when_its_lease_is_over(store: Database, clock: Moved) -> None:
    await held(store, "a")
    clock.ahead += MINUTE - SECOND
    assert await held(store, "b") == {}
    clock.ahead += 2 * SECOND
    assert await held(store, "b") == {"tell-log": 2, "watch": 2}
    assert await held(store, "a") == {}, "who wakes up has lost it"


async def test_a_duty_that_is_left_is_taken_at_once(store: Database) -> None:
    await held(store, "a")
    await store.leave_duties(owner="a")
    assert await held(store, "b") == {"tell-log": 2, "watch": 2}


async def test_a_claim_is_renewed_while_it_lives_and_is_ours(store: Database) -> None:
    [remediation] = await queued(store, firing())
    await store.renew(remediation, at=NOW + LEASE - SECOND, lease=LEASE)
    await store.renew(remediation, at=NOW + 2 * LEASE - 2 * SECOND, lease=LEASE)
    assert await store.claim(owner="b", at=NOW + 2 * LEASE, lease=LEASE, limit=1) == []


async def test_a_claim_that_ran_out_is_not_renewed_also_when_nobody_took_it(store: Database) -> None:
    [remediation] = await queued(store, firing())
    with pytest.raises(LostClaim, match="has run out"):
        await store.renew(remediation, at=NOW + LEASE, lease=LEASE)


async def test_a_claim_that_another_took_is_not_renewed_whatever_our_clock_says(store: Database) -> None:
    [remediation] = await queued(store, firing())
    assert await store.claim(owner="b", at=NOW + 2 * LEASE, lease=LEASE, limit=1)
    with pytest.raises(LostClaim):
        await store.renew(remediation, at=NOW, lease=LEASE)


async def test_a_claim_that_was_given_up_is_not_renewed(store: Database) -> None:
    [remediation] = await queued(store, firing())
    await store.release(remediation, due_at=NOW, progress={})
    with pytest.raises(LostClaim):
        await store.renew(remediation, at=NOW, lease=LEASE)


async def test_a_claim_that_moved_on_is_not_renewed_as_it_was(store: Database) -> None:
    [remediation] = await queued(store, firing())
    moved = await brought_to(store, remediation, State.PLANNED, at=NOW)
    with pytest.raises(LostClaim):
        await store.renew(remediation, at=NOW, lease=LEASE)
    await store.renew(moved, at=NOW, lease=LEASE)


async def test_a_look_that_another_one_overtook_is_not_kept(store: Database) -> None:
    first = Look("lab", at=NOW, began_at=NOW)
    await store.rollouts.keep(first)
    with pytest.raises(Overtaken):
        await store.rollouts.keep(first)
    await store.rollouts.keep(replace(first, began_at=NOW + SECOND, after=NOW))
    with pytest.raises(Overtaken):
        await store.rollouts.keep(replace(first, began_at=NOW + MINUTE, after=NOW))
    assert (await store.rollouts.known("lab")).looked_at == NOW + SECOND


def replica(store: Database, name: str) -> Replica:
    return Replica(store, name=name, duties=NAMES, lease_seconds=80, changed=lambda _: None)


async def test_a_replica_has_what_it_holds_and_another_has_it_within_the_lease(clock: Moved) -> None:
    """In memory: where the database has a clock of its own, a clock that is moved is off."""
    store = await open_database("sqlite:///:memory:", clock=clock)
    first, second = replica(store, "a"), replica(store, "b")
    await first.look()
    await second.look()
    assert (first.held, second.held) == (sorted(NAMES), [])
    for _ in range(4):  # as often as it looks within its lease
        clock.ahead += timedelta(seconds=20)
        await second.look()
    assert second.held == sorted(NAMES)
    await store.close()


async def test_a_replica_that_leaves_has_nothing(store: Database, clock: Moved) -> None:
    first, second = replica(store, "a"), replica(store, "b")
    await first.look()
    await first.leave()
    await second.look()
    assert (first.held, second.held) == ([], sorted(NAMES))


class Told:
    """A sink that keeps what it was told, while it can be reached."""

    name = "log"
    silent_on = frozenset[str]()

    def __init__(self, *, is_reached: bool) -> None:
        self.is_reached = is_reached
        self.heard: list[str] = []

    async def tell(self, record: CommittedRecord) -> None:
        if not self.is_reached:
            raise TransientError("this replica does not reach it")
        self.heard.append(record.kind)


async def rounds(store: Database, one: Replica, sink: Told, count: int) -> None:
    """As `Publisher` and `Replica` run, without their pauses."""
    publisher = Publisher(
        sink, reader=store, poll_seconds=0.0, is_ours=partial(one.has, NAMES[0]), went=partial(one.went, NAMES[0])
    )
    for _ in range(count):
        await publisher._publish()


async def test_what_the_owner_cannot_tell_another_replica_tells(store: Database) -> None:
    """The owner is alive, and prolongs its leases; a network policy keeps it from the sink."""
    sick, healthy = replica(store, "a"), replica(store, "b")
    cut_off, reached = Told(is_reached=False), Told(is_reached=True)
    await store.begin_cursors(["log"])
    await store.note([Record("alert.quarantined", {})], at=NOW)
    await sick.look()
    await healthy.look()
    await rounds(store, sick, cut_off, MAX_FAILURES - 1)
    await sick.look()
    await healthy.look()
    assert (sick.held, healthy.held) == (sorted(NAMES), []), "a blip is no reason"
    await rounds(store, sick, cut_off, 1)
    await sick.look()
    await healthy.look()
    await rounds(store, healthy, reached, 1)
    if not store.is_shared:  # a file has one process, and who is alone only loses time by giving up
        assert (sick.held, reached.heard) == (sorted(NAMES), [])
        cut_off.is_reached = True
        await rounds(store, sick, cut_off, 1)
        assert cut_off.heard == ["alert.quarantined"]
        return
    assert (sick.held, healthy.held) == (["watch"], ["tell-log"])
    assert (cut_off.heard, reached.heard) == ([], ["alert.quarantined"])
    for _ in range(LOOKS_LEFT_OUT + 1):
        await sick.look()
    assert healthy.has("tell-log"), "it is prolonged by who has it now"


async def test_an_owner_that_nobody_relieves_takes_its_duty_up_again_and_loses_nothing(store: Database) -> None:
    one, sink = replica(store, "a"), Told(is_reached=False)
    await store.begin_cursors(["log"])
    await store.note([Record("alert.quarantined", {})], at=NOW)
    await one.look()
    await rounds(store, one, sink, MAX_FAILURES)
    sink.is_reached = True
    for _ in range(LOOKS_LEFT_OUT):
        await one.look()
        await rounds(store, one, sink, 1)
        assert bool(sink.heard) != store.is_shared, "in this time another one may take it"
    await one.look()
    await rounds(store, one, sink, 1)
    assert sink.heard == ["alert.quarantined"]


async def test_an_owner_that_nothing_is_heard_of_is_never_relieved(store: Database) -> None:
    """The negative control: the leases alone do not see that a live replica gets nothing done."""
    sick, healthy = replica(store, "a"), replica(store, "b")
    cut_off = Told(is_reached=False)
    await store.begin_cursors(["log"])
    await store.note([Record("alert.quarantined", {})], at=NOW)
    await sick.look()
    publisher = Publisher(cut_off, reader=store, poll_seconds=0.0, is_ours=partial(sick.has, NAMES[0]))
    for _ in range(3 * MAX_FAILURES):
        await publisher._publish()
        await sick.look()
        await healthy.look()
    assert (sick.held, healthy.held) == (sorted(NAMES), [])


@pytest.mark.parametrize("seconds", [-3600.0, -11.0, 11.0, 3600.0])
async def test_a_replica_whose_clock_is_off_the_database_s_has_no_duty_and_may_not_claim(
    database_url: str, clock: Moved, seconds: float
) -> None:
    """More than an eighth of the lease. SQLite's has no clock but ours."""
    store = await open_database(database_url, clock=clock)
    one = replica(store, "a")
    await one.look()
    assert one.held
    clock.ahead = timedelta(seconds=seconds)
    await one.look()
    is_off = database_url.startswith("postgresql")
    assert (bool(one.problem), bool(one.held)) == (is_off, not is_off)
    if is_off:
        assert "ahead of the database's" in one.problem or "behind the database's" in one.problem
        clock.ahead = timedelta()
        other = replica(store, "b")
        await other.look()
        assert other.held == sorted(NAMES), "what it had was given up at once"
        await other.leave()
        await one.look()
        assert (one.problem, one.held) == ("", sorted(NAMES)), "its clock is right again"
    await store.close()


async def test_a_small_difference_of_clocks_is_nothing(store: Database, clock: Moved) -> None:
    clock.ahead = timedelta(seconds=5)
    one = replica(store, "a")
    await one.look()
    assert (one.problem, one.held) == ("", sorted(NAMES))


async def test_who_is_alone_with_the_database_does_not_wait_for_the_leases_of_the_dead(tmp_path: Path) -> None:
    """A file has one process: that the next one could open it says that the one before is gone."""
    url, clock = f"sqlite:///{tmp_path}/r.db", Moved()
    dead = await open_database(url, clock=clock)
    assert (await dead.hold_duties(["tell"], owner="dead", lease=60 * MINUTE)).epochs == {"tell": 1}
    await dead.close()
    store = await open_database(url, clock=clock)
    assert (await store.hold_duties(["tell"], owner="next", lease=60 * MINUTE)).epochs == {"tell": 2}
    await store.close()
