"""Several replicas with one log and one anchor: one that is behind, and ones with different keys."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from remediator.anchor.base import Anchor
from remediator.anchor.keeper import LogKeeper
from remediator.audit.note import checkpoint, new_key, opened, signing_key
from remediator.clock import SystemClock
from remediator.reasons import Reason
from remediator.store.database import Database
from remediator.store.log import LogKeys
from remediator.store.opening import open_database
from tests.clocks import FakeClock
from tests.logkeys import KEYS
from tests.unit.anchor.keeping import Memory, kept, never, note, reason


async def test_a_replica_that_is_behind_does_not_turn_the_anchor_back() -> None:
    anchor = Memory()
    async with kept([anchor]) as (store, keeper):
        await note(store)
        behind = await store.log_standing()
        await note(store, "action.intent")
        assert await keeper.why_not() is None
        further = anchor.note
        await anchor.write(behind.note, unless=lambda held: keeper._is_further(held, behind))
        assert anchor.note == further
        await anchor.write(behind.note, unless=never)
        assert anchor.note == behind.note, "the negative control"


async def test_a_log_that_grew_between_its_look_and_the_anchor_s_is_not_taken_for_an_old_one() -> None:
    """Another replica acts while this one starts: the anchor knows more than was there when this one looked first."""

    class Moving(Memory):
        async def read(self) -> bytes | None:
            await note(store, "action.intent")
            return (await store.log_standing()).note

    anchor = Moving()
    store = await open_database("sqlite:///:memory:", clock=FakeClock(), keys=KEYS, log_name="lab")
    keeper = LogKeeper(
        store, [anchor], trusted=KEYS.known, clock=FakeClock(), say=lambda _: None, seen=lambda *_: None
    )
    await keeper.begin()
    assert await keeper.why_not() is None
    await store.close()


OLD, NEW = KEYS.present, signing_key("remediator", new_key())
ROTATED = LogKeys(NEW, previous=OLD)


@asynccontextmanager
async def replica(url: str, keys: LogKeys, anchor: Anchor) -> AsyncIterator[tuple[Database, LogKeeper]]:
    store = await open_database(url, clock=SystemClock(), keys=keys, log_name="lab")
    keeper = LogKeeper(
        store, [anchor], trusted=keys.known, clock=SystemClock(), say=lambda _: None, seen=lambda *_: None
    )
    await keeper.begin()
    try:
        yield store, keeper
    finally:
        await store.close()


async def test_who_has_the_old_key_alone_stops_when_another_has_rotated_it(postgres_url: str) -> None:
    """And the one with both goes on, whoever wrote last."""
    anchor = Memory()
    async with replica(postgres_url, KEYS, anchor) as (old, keeper):
        assert await keeper.why_not() is None
        async with replica(postgres_url, ROTATED, anchor) as (new, rotated):
            await note(new, "action.intent")
            assert await rotated.why_not() is None
            doubt = await keeper.why_not()
            assert doubt is not None
            assert (doubt.reason, "audit_previous_key_file" in doubt.detail) == (Reason.AUDIT_UNSIGNED, True)
            await note(old, "action.intent")
            doubt = await keeper.why_not()
            assert doubt is not None, "its own note does not go over one that it cannot read"
            assert (doubt.reason, "audit_previous_key_file" in doubt.detail) == (Reason.AUDIT_NOT_ANCHORED, True)
            await note(new, "action.intent")
            assert await rotated.why_not() is None
            assert anchor.note is not None
            assert checkpoint(opened(anchor.note, ROTATED.known)[0]).size == (await new.log_standing()).size


async def test_an_anchor_is_not_turned_back_by_who_cannot_read_it(postgres_url: str) -> None:
    """The one with the old key reads how far the log is, and the other anchors more before it writes that."""
    anchor, sizes = Memory(), []

    class Overtaken(Memory):
        async def write(self, held: bytes, *, unless: Callable[[bytes], bool]) -> None:
            if is_overtaken:
                await note(new, "action.intent")
                assert await rotated.why_not() is None
                sizes.append(anchored())
            await anchor.write(held, unless=unless)

        async def read(self) -> bytes | None:
            return await anchor.read()

    def anchored() -> int:
        assert anchor.note is not None
        return checkpoint(opened(anchor.note, ROTATED.known)[0]).size

    is_overtaken = False
    async with replica(postgres_url, KEYS, Overtaken()) as (old, keeper):
        await note(old, "action.intent")
        assert await keeper.why_not() is None
        async with replica(postgres_url, ROTATED, anchor) as (new, rotated):
            await note(old, "action.intent")
            is_overtaken = True
            assert await reason(keeper) is Reason.AUDIT_NOT_ANCHORED
            assert anchored() == sizes[-1]


async def test_a_replica_with_a_wrong_key_does_not_make_another_anchor_what_nobody_signed(postgres_url: str) -> None:
    """Else no start after it could trust the anchor, and all would wait for a person."""
    anchor = Memory()
    strange = LogKeys(signing_key("remediator", new_key()))
    async with replica(postgres_url, KEYS, anchor) as (store, keeper):
        await note(store, "action.intent")
        assert await keeper.why_not() is None
        async with replica(postgres_url, strange, Memory()) as (wrong, unsure):
            assert await reason(unsure) is Reason.AUDIT_BROKEN
            await note(wrong, "alert.received")
            assert await reason(keeper) is Reason.AUDIT_UNSIGNED
            await keeper._anchor_if_sound()
        await note(store, "action.intent")
        assert await keeper.why_not() is None, "it signs again itself, and needs nobody"
        await note(store, "alert.received")
    async with replica(postgres_url, KEYS, anchor) as (_, again):
        assert await again.why_not() is None
