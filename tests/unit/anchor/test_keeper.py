"""What the anchors say of the log at the start, and that they know of an action before it is done."""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from remediator.anchor.base import Anchor, AnchorUnavailable
from remediator.anchor.config_map import ConfigMapAnchor
from remediator.anchor.file import FileAnchor
from remediator.anchor.keeper import LogKeeper, NotConfirmed
from remediator.audit.note import checkpoint, new_key, opened, signing_key
from remediator.clock import SystemClock
from remediator.kube.base import Conflict, Forbidden, Unreachable
from remediator.model import Json, Reason, Request
from remediator.store.base import Record
from remediator.store.database import Database
from remediator.store.log import LogKeys
from remediator.store.opening import open_database
from tests.clocks import FakeClock
from tests.cluster.waiting import wait_for_async
from tests.fakes import FakeCluster
from tests.logkeys import KEYS

PLACE = "/api/v1/namespaces/ops/configmaps/anchor"


class Memory:
    """An anchor in memory, that can be away."""

    name = "memory"

    def __init__(self, note: bytes | None = None) -> None:
        self.note = note
        self.is_away = False
        self.written: list[bytes] = []

    async def read(self) -> bytes | None:
        if self.is_away:
            raise AnchorUnavailable("away")
        return self.note

    async def write(self, note: bytes, *, unless: Callable[[bytes], bool]) -> None:
        if self.is_away:
            raise AnchorUnavailable("away")
        if self.note is not None and unless(self.note):
            return
        self.note = note
        self.written.append(note)


@asynccontextmanager
async def kept(
    anchors: Sequence[Anchor], *, path: Path | None = None, keys: LogKeys = KEYS, said: list[str] | None = None
) -> AsyncIterator[tuple[Database, LogKeeper]]:
    clock = FakeClock()
    url = "sqlite:///:memory:" if path is None else f"sqlite:///{path}"
    store = await open_database(url, clock=clock, keys=keys, log_name="lab")
    out = said if said is not None else []
    keeper = LogKeeper(store, anchors, trusted=keys.known, clock=clock, say=out.append, seen=lambda *_: None)
    await keeper.begin()
    try:
        yield store, keeper
    finally:
        await store.close()


async def note(store: Database, kind: str = "test.noted") -> None:
    await store.note([Record(kind, {})], at=FakeClock().now())


def size_of(one: bytes) -> int:
    return checkpoint(opened(one, KEYS.known)[0]).size


def never(_: bytes) -> bool:
    return False


async def reason(keeper: LogKeeper) -> Reason | None:
    doubt = await keeper.why_not()
    return None if doubt is None else doubt.reason


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


async def confirmed(keeper: LogKeeper) -> str:
    begun = keeper.standing_at_start
    assert begun is not None
    root = base64.b64encode(begun.root).decode()
    return await keeper.confirm(size=begun.size, root=root, by="ann", comment="as it was")


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


async def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    anchor = FileAnchor(tmp_path / "anchor")
    assert await anchor.read() is None
    await anchor.write(b"one", unless=never)
    await anchor.write(b"two", unless=never)
    assert await anchor.read() == b"two"
    assert sorted(os.listdir(tmp_path)) == [".anchor.lock", "anchor"]


async def test_a_file_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    anchor = FileAnchor(tmp_path / "gone" / "anchor")
    with pytest.raises(AnchorUnavailable, match=r"file .*anchor: No such file"):
        await anchor.write(b"one", unless=never)


async def test_a_config_map_is_made_and_then_changed_at_the_version_that_was_read() -> None:
    cluster = FakeCluster()

    def store(request: Request, dry_run: bool) -> Json:
        cluster.add({**request.body, "metadata": {**request.body["metadata"], "resourceVersion": "7"}})
        return request.body

    cluster.replies["POST", PLACE.rpartition("/")[0]] = store
    anchor = ConfigMapAnchor(cluster, namespace="ops", name="anchor")
    assert await anchor.read() is None
    await anchor.write(b"one", unless=never)
    assert await anchor.read() == b"one"
    await anchor.write(b"two", unless=never)
    request, _ = cluster.sent[-1]
    assert (request.method, request.body["metadata"]) == ("PATCH", {"resourceVersion": "7"})


@pytest.mark.parametrize("error", [Conflict("newer"), Forbidden("no"), Unreachable("away")])
async def test_a_config_map_that_cannot_be_written_says_so(error: Exception) -> None:
    cluster = FakeCluster()
    cluster.replies["POST", PLACE.rpartition("/")[0]] = error
    with pytest.raises(AnchorUnavailable, match="ConfigMap ops/anchor"):
        await ConfigMapAnchor(cluster, namespace="ops", name="anchor").write(b"one", unless=never)


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


async def test_replicas_that_write_a_config_map_at_once_all_succeed() -> None:
    """One finds the other's version, looks again, and leaves what is further."""
    metadata = {"name": "anchor", "namespace": "ops", "resourceVersion": "1"}
    cluster = FakeCluster({"kind": "ConfigMap", "metadata": metadata})
    answers = [Conflict("someone else"), {}]

    def reply(request: Request, dry_run: bool) -> Json:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    cluster.replies["PATCH", PLACE] = reply
    await ConfigMapAnchor(cluster, namespace="ops", name="anchor").write(b"one", unless=never)
    assert answers == []


# -- replicas with different keys

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
