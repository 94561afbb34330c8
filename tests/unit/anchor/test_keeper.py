"""What the anchors say of the log at the start, and that they know of an action before it is done."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from remediator.anchor.keeper import NotConfirmed
from remediator.audit.note import new_key, signing_key
from remediator.reasons import Reason
from remediator.store.base import Record
from remediator.store.log import LogKeys
from tests.clocks import FakeClock
from tests.cluster.waiting import wait_for_async
from tests.unit.anchor.keeping import Memory, confirmed, kept, note, reason, size_of


async def test_the_anchor_knows_of_everything_before_it_is_allowed() -> None:
    anchor = Memory()
    async with kept([anchor]) as (store, keeper):
        for number in range(2, 5):
            await note(store, "action.intent")
            assert await keeper.why_not() is None
            assert anchor.note is not None
            assert size_of(anchor.note) == number
        await keeper.why_not()
        assert [size_of(one) for one in anchor.written] == [1, 2, 3, 4], "what it knows is not written again"


async def test_a_crash_before_the_first_write_leaves_a_log_that_its_anchor_knows(tmp_path: Path) -> None:
    """Alerts may come as soon as it listens: what they leave in a new log must not need a person at the next start."""
    anchor = Memory()
    async with kept([anchor], path=tmp_path / "r.db") as (store, _):
        await note(store, "alert.received")  # and here it dies: nobody asked whether a write is allowed
    async with kept([anchor], path=tmp_path / "r.db") as (_, keeper):
        assert await keeper.why_not() is None


async def test_an_anchor_that_is_away_does_not_keep_the_service_from_starting() -> None:
    anchor = Memory()
    anchor.is_away = True
    async with kept([anchor]) as (_, keeper):
        assert await reason(keeper) is Reason.AUDIT_UNCONFIRMED


async def test_an_anchor_that_cannot_be_written_allows_nothing() -> None:
    anchor = Memory()
    async with kept([anchor]) as (store, keeper):
        assert await keeper.why_not() is None
        await note(store)
        anchor.is_away = True
        assert await reason(keeper) is Reason.AUDIT_NOT_ANCHORED
        anchor.is_away = False
        assert await keeper.why_not() is None


async def test_an_anchor_that_cannot_be_read_is_asked_again() -> None:
    anchor = Memory()
    anchor.is_away = True
    async with kept([anchor]) as (_, keeper):
        assert await reason(keeper) is Reason.AUDIT_UNCONFIRMED
        anchor.is_away = False
        assert await keeper.why_not() is None


async def test_without_a_key_nothing_is_allowed_and_no_word_helps() -> None:
    async with kept([Memory()], keys=LogKeys()) as (_, keeper):
        assert await reason(keeper) is Reason.AUDIT_UNSIGNED
        with pytest.raises(NotConfirmed, match="no key"):
            await keeper.confirm(size=0, root="x", by="ann", comment="go on")


async def test_without_an_anchor_a_person_has_to_say_it_at_every_start(tmp_path: Path) -> None:
    for _ in range(2):
        async with kept([], path=tmp_path / "r.db") as (store, keeper):
            assert await reason(keeper) is Reason.AUDIT_UNCONFIRMED
            await note(store)
            await confirmed(keeper)
            assert await keeper.why_not() is None
            last = (await store.records(after=0, limit=100))[-1]
            assert (last.kind, last.body["by"], last.body["comment"]) == ("audit.confirmed", "ann", "as it was")


async def test_what_is_confirmed_must_be_the_log_of_this_start() -> None:
    async with kept([]) as (_, keeper):
        with pytest.raises(NotConfirmed, match="another size or root"):
            await keeper.confirm(size=7, root="A" * 43 + "=", by="ann", comment="?")
        assert await reason(keeper) is Reason.AUDIT_UNCONFIRMED


async def test_nothing_waits_for_a_word_when_all_is_well() -> None:
    async with kept([Memory()]) as (_, keeper):
        with pytest.raises(NotConfirmed, match="nothing waits"):
            await confirmed(keeper)


@pytest.mark.parametrize("back_to", range(1, 6))
async def test_an_older_database_in_its_place_is_noticed(tmp_path: Path, back_to: int) -> None:
    """At every genuine state before the last; a person can only go on under a new name."""
    anchor, copies = Memory(), []
    for number in range(6):
        async with kept([anchor], path=tmp_path / "r.db") as (store, keeper):
            assert await keeper.why_not() is None
            await note(store, "action.intent")
            assert await keeper.why_not() is None
        copies.append(tmp_path / f"copy-{number}.db")
        shutil.copy(tmp_path / "r.db", copies[-1])
    async with kept([anchor], path=copies[back_to - 1]) as (store, keeper):
        doubt = await keeper.why_not()
        assert doubt is not None
        assert (doubt.reason, doubt.needs_epoch) == (Reason.AUDIT_UNCONFIRMED, True)
        assert "older database" in doubt.detail
        before = (await store.log_standing()).origin
        assert await confirmed(keeper) == "a new epoch was begun"
        assert await keeper.why_not() is None
        epoch = (await store.records(after=0, limit=100))[-1]
        assert epoch.kind == "audit.epoch"
        assert before in epoch.body["old_head"]
    async with kept([anchor], path=copies[back_to - 1]) as (_, keeper):
        assert await keeper.why_not() is None, "the anchor knows the new log"


async def test_the_newest_state_is_no_rollback(tmp_path: Path) -> None:
    anchor = Memory()
    for _ in range(3):
        async with kept([anchor], path=tmp_path / "r.db") as (store, keeper):
            assert await keeper.why_not() is None
            await note(store)


async def test_a_log_that_grew_from_an_older_state_is_noticed(tmp_path: Path) -> None:
    """As long as the one that the anchor saw, or longer, but another."""
    anchor = Memory()
    async with kept([anchor], path=tmp_path / "r.db") as (store, keeper):
        await keeper.why_not()
    shutil.copy(tmp_path / "r.db", tmp_path / "older.db")
    async with kept([anchor], path=tmp_path / "r.db") as (store, keeper):
        await note(store, "action.intent")
        await keeper.why_not()
    async with kept([Memory(anchor.written[0])], path=tmp_path / "older.db") as (store, keeper):
        for _ in range(3):
            await note(store)
    async with kept([anchor], path=tmp_path / "older.db") as (_, keeper):
        assert await reason(keeper) is Reason.AUDIT_BROKEN


async def test_an_anchor_that_lost_its_note_needs_a_word(tmp_path: Path) -> None:
    async with kept([Memory()], path=tmp_path / "r.db") as (store, keeper):
        assert await keeper.why_not() is None
        await note(store)
    async with kept([Memory()], path=tmp_path / "r.db") as (_, keeper):
        assert await reason(keeper) is Reason.AUDIT_UNCONFIRMED
        assert await confirmed(keeper) == "the log was confirmed"
        assert await keeper.why_not() is None


@pytest.mark.parametrize("text", [b"", b"nonsense", b"a\n1\nAAAA\n\n"])
async def test_an_anchor_that_holds_something_else_needs_a_word(text: bytes) -> None:
    async with kept([Memory(text)]) as (_, keeper):
        assert await reason(keeper) is Reason.AUDIT_UNCONFIRMED


async def test_an_anchor_signed_by_a_stranger_is_not_believed(tmp_path: Path) -> None:
    anchor = Memory()
    stranger = LogKeys(signing_key("remediator", new_key()))
    async with kept([anchor], path=tmp_path / "a.db", keys=stranger) as (_, keeper):
        assert await keeper.why_not() is None
    async with kept([anchor]) as (_, keeper):
        assert await reason(keeper) is Reason.AUDIT_UNCONFIRMED


async def test_the_anchor_of_another_log_is_noticed(tmp_path: Path) -> None:
    anchor = Memory()
    async with kept([anchor], path=tmp_path / "a.db") as (_, keeper):
        await keeper.why_not()
    async with kept([anchor], path=tmp_path / "b.db") as (_, keeper):
        doubt = await keeper.why_not()
        assert doubt is not None
        assert "another log" in doubt.detail


async def test_what_is_kept_is_printed_once_with_its_note() -> None:
    said: list[str] = []
    async with kept([Memory()], said=said) as (store, keeper):
        running = asyncio.create_task(keeper.run())
        await note(store, "action.intent")
        await wait_for_async(lambda: len(said) == 2, timeout_seconds=5, what="both are printed")
        running.cancel()
        await asyncio.wait([running])
    assert ['"checkpoint": 1,' in said[0], '"checkpoint": 2,' in said[1]] == [True, True]


async def test_an_old_record_that_was_changed_is_found_and_forbids_every_write(tmp_path: Path) -> None:
    """The head and its tiles are as they were; only the record is not. The round over all of them finds it."""
    anchor = Memory()
    async with kept([anchor], path=tmp_path / "r.db") as (store, keeper):
        await store.note([Record("test.noted", {"n": n}) for n in range(3000)], at=FakeClock().now())
        await keeper.why_not()
    with closing(sqlite3.connect(tmp_path / "r.db")) as connection:
        connection.execute("DROP TRIGGER records_no_update")
        connection.execute("UPDATE records SET canonical = replace(canonical, '2400', '2401') WHERE seq = 2402")
        connection.commit()
    async with kept([anchor], path=tmp_path / "r.db") as (_, keeper):
        assert await keeper.why_not() is None, "at the start it looks right"
        for _ in range(2):
            await keeper._look_over()
        doubt = await keeper.why_not()
        assert doubt is not None
        assert (doubt.reason, doubt.detail) == (Reason.AUDIT_BROKEN, "record 2402 is not the one that was written")
        await confirmed(keeper)
        assert await keeper.why_not() is None


async def test_the_round_ends_and_finds_nothing_in_a_sound_log() -> None:
    async with kept([Memory()]) as (store, keeper):
        await store.note([Record("test.noted", {"n": n}) for n in range(5000)], at=FakeClock().now())
        for _ in range(3):
            await keeper._look_over()
        assert keeper._tile is None
        assert await keeper.why_not() is None
