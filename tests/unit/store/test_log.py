"""The audit log in the database: a tree over every record, a signed head, and what is noticed at the beginning."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from remediator.audit.findings import Answer
from remediator.audit.note import checkpoint, new_key, opened, signing_key
from remediator.audit.tree import leaf_hash, root_with, span_of
from remediator.audit.verify import verify
from remediator.clock import SystemClock
from remediator.store import tables
from remediator.store.base import Record
from remediator.store.database import Database
from remediator.store.leaves import TILE
from remediator.store.log import Entry, Log, LogKeys
from remediator.store.opening import open_database
from remediator.store.transaction import Transaction
from tests.unit.store.examples import NOW, firing

KEY, NEXT, STRANGER = (signing_key("lab", new_key()) for _ in range(3))
SIGNED = LogKeys(KEY)


async def begun(path: Path | None = None, keys: LogKeys = SIGNED) -> Database:
    url = "sqlite:///:memory:" if path is None else f"sqlite:///{path}"
    return await open_database(url, clock=SystemClock(), keys=keys, log_name="lab")


async def grown(store: Database, count: int) -> None:
    await store.note([Record("test.noted", {"number": number}) for number in range(count)], at=NOW)


async def root_of_records(store: Database) -> bytes:
    return span_of([leaf_hash(one.canonical) for one in await store.records(after=0, limit=100_000)])


async def change(path: Path, statement: str) -> None:
    """As somebody would who can write the file: the triggers are no obstacle to him."""
    with closing(sqlite3.connect(path)) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute(statement)
        connection.commit()


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize(("keys", "kinds"), [(LogKeys(), []), (SIGNED, ["audit.began"])])
async def test_a_log_that_was_begun_and_never_used_is_whole(
    tmp_path: Path, keys: LogKeys, kinds: list[str], older: bool
) -> None:
    """Without a key nothing is recorded of its beginning; versions before left its head without a note."""
    path = tmp_path / "r.db"
    await (await begun(path, LogKeys())).close()
    if older:
        await change(path, "UPDATE log_head SET note = x'', at = 0")
    store = await begun(path, keys)
    assert (await store.log_standing()).problem == ""
    found = [record.kind for record in await store.records(after=0, limit=10)]
    assert found == (kinds if older or not kinds else ["audit.key-began"])
    await store.close()


@pytest.mark.parametrize("count", [1, TILE - 2, TILE - 1, TILE, 2 * TILE + 3])
async def test_the_signed_head_is_the_root_over_every_record(count: int) -> None:
    store = await begun()
    await grown(store, count)
    standing = await store.log_standing()
    text, _ = opened(standing.note, [KEY.verifying])
    said = checkpoint(text)
    assert (said.origin, said.size) == (standing.origin, count + 1)  # the log's own first record
    assert said.root == await root_of_records(store)
    assert standing.is_signed
    await store.close()


async def test_many_calls_at_once_make_one_tree() -> None:
    store = await begun()
    await asyncio.gather(*(store.accept([firing(number)], at=NOW) for number in range(600)))
    assert (await store.log_standing()).root == await root_of_records(store)
    await store.close()


async def test_a_call_that_fails_leaves_no_leaf() -> None:
    store = await begun()
    bad = Record("test.noted", {"number": float("nan")})
    results = await asyncio.gather(store.note([bad], at=NOW), grown(store, 3), return_exceptions=True)
    assert isinstance(results[0], ValueError)
    standing = await store.log_standing()
    assert (standing.size, standing.root) == (4, await root_of_records(store))
    await store.close()


async def test_the_tree_goes_on_after_a_restart(tmp_path: Path) -> None:
    for number in range(3):
        store = await begun(tmp_path / "r.db")
        await grown(store, TILE - 10 * number)
        standing = await store.log_standing()
        assert standing.root == await root_of_records(store)
        assert standing.is_signed, standing.problem
        await store.close()


async def test_without_a_key_the_tree_grows_unsigned_and_a_key_begins_to_sign_it(tmp_path: Path) -> None:
    store = await begun(tmp_path / "r.db", LogKeys())
    await grown(store, 5)
    unsigned = await store.log_standing()
    assert (unsigned.is_signed, unsigned.has_key, unsigned.problem) == (False, False, "")
    await store.close()
    store = await begun(tmp_path / "r.db")
    [record] = await store.records(after=5, limit=10)
    assert (record.kind, record.body) == ("audit.key-began", {"key": str(KEY.verifying)})
    assert (await store.log_standing()).is_signed
    await store.close()


async def test_a_new_key_is_named_by_a_head_that_both_keys_signed(tmp_path: Path) -> None:
    store = await begun(tmp_path / "r.db")
    await grown(store, 5)
    await store.close()
    store = await begun(tmp_path / "r.db", LogKeys(NEXT, previous=KEY))
    kept = await store.checkpoints(after=0)
    both = [note for _, _, note in kept if len(opened(note, [KEY.verifying, NEXT.verifying])[1]) == 2]
    assert len(both) == 1
    [record] = [one for one in await store.records(after=0, limit=100) if one.kind == "audit.key-rotated"]
    assert record.body == {"old_key": str(KEY.verifying), "new_key": str(NEXT.verifying)}
    assert list(opened((await store.log_standing()).note, [KEY.verifying, NEXT.verifying])[1]) == [NEXT.verifying]
    await store.close()


async def test_a_head_signed_by_a_stranger_is_not_signed_over(tmp_path: Path) -> None:
    store = await begun(tmp_path / "r.db", LogKeys(STRANGER))
    await store.close()
    store = await begun(tmp_path / "r.db")
    standing = await store.log_standing()
    assert not standing.is_signed
    assert "key that is not known" in standing.problem
    await store.close()


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("DELETE FROM records WHERE seq = (SELECT max(seq) FROM records)", "the last one is number"),
        ("UPDATE records SET canonical = replace(canonical, '1', '2') WHERE seq = 290", "not those of the head"),
        ("DELETE FROM records WHERE seq = 290", "missing"),
        ("DELETE FROM log_tiles", "missing"),
        ("UPDATE log_tiles SET root = zeroblob(32)", "not those of the head"),
        ("UPDATE log_head SET nodes = zeroblob(length(nodes))", "not those of the head"),
        ("UPDATE log_head SET note = replace(note, 'a', 'b')", "head"),
        ("UPDATE log_head SET origin = 'x'", "not that of its tree"),
        (
            "INSERT INTO records SELECT seq + 1, at, kind, remediation_id, incident_id, canonical, beside"
            " FROM records ORDER BY seq DESC LIMIT 1",
            "the last one is number",
        ),
    ],
)
async def test_what_was_changed_behind_our_back_is_noticed_and_not_signed(
    tmp_path: Path, statement: str, problem: str
) -> None:
    """Records are still kept, numbered on, and the alert is not lost; a person opens a new epoch."""
    store = await begun(tmp_path / "r.db")
    await grown(store, 300)
    await store.close()
    await change(tmp_path / "r.db", statement)
    store = await begun(tmp_path / "r.db")
    standing = await store.log_standing()
    assert not standing.is_signed
    assert problem in standing.problem
    assert (await store.accept([firing()], at=NOW)).queued == 1
    last = (await store.records(after=300, limit=10))[-1]
    assert last.kind == "alert.received"

    await store.begin_epoch(at=NOW, by="ann", comment="disk was restored by hand")
    await grown(store, 2 * TILE)
    after = await store.log_standing()
    assert after.is_signed, after.problem
    assert after.origin != standing.origin
    await store.close()
    store = await begun(tmp_path / "r.db")
    assert (await store.log_standing()).is_signed
    await store.close()


HOLES = {
    "in a tile": "DELETE FROM records WHERE seq = 100",
    "behind the tiles": "DELETE FROM records WHERE seq = 290",
    "at the end": "DELETE FROM records WHERE seq > 299",
    "in both": "DELETE FROM records WHERE seq IN (1, 100, 101, 102, 290)",
    "a tile, and its records": "DELETE FROM log_tiles; DELETE FROM records WHERE seq IN (100, 290)",
}


@pytest.mark.parametrize("statement", HOLES.values(), ids=HOLES)
async def test_what_is_missing_by_a_person_s_word_is_no_fault_at_the_next_start(tmp_path: Path, statement: str) -> None:
    """Nor to what looks over the log, or proves a record that is there."""
    path = tmp_path / "r.db"
    store = await begun(path)
    await grown(store, 300)
    await store.close()
    for one in statement.split("; "):
        await change(path, one)
    store = await begun(path)
    for comment in ("disk was restored by hand", "and once more"):
        await store.begin_epoch(at=NOW, by="ann", comment=comment)
    before = await store.log_standing()
    await store.close()

    store = await begun(path)
    standing = await store.log_standing()
    assert (standing.problem, standing.root) == ("", before.root)
    assert await store.log_look_over(0, 100) == (None, "")
    for seq in (2, 299, 301):
        for row in await store.log_rows([seq]):
            proof = await store.log_proof_of([seq], standing.size)
            assert root_with({seq - 1: leaf_hash(row.canonical)}, standing.size, proof) == standing.root
    await grown(store, 2 * TILE)
    assert await store.log_look_over(0, 100) == (None, "")
    await store.close()
    found = verify(path, trusted=[KEY.verifying], anchored=[])
    assert found.answer is Answer.COMPLETENESS_NOT_PROVEN, found.reason
    assert [note for note in found.notes if "epoch" in note]


@pytest.mark.parametrize("seq", [100, 290])
async def test_who_puts_a_hash_in_the_place_of_a_record_is_found(tmp_path: Path, seq: int) -> None:
    """By whoever looks: the next start, what looks over the log, and the verifier. No record of an epoch names it."""
    path = tmp_path / "r.db"
    store = await begun(path)
    await grown(store, 300)
    leaf = leaf_hash((await store.records(after=seq - 1, limit=1))[0].canonical)
    await store.close()
    await change(path, f"INSERT INTO log_gaps VALUES ({seq}, x'{leaf.hex()}')")
    await change(path, f"DELETE FROM records WHERE seq = {seq}")
    store = await begun(path)
    assert (await store.log_standing()).problem or (await store.log_look_over(0, 100))[1]
    await store.close()
    found = verify(path, trusted=[KEY.verifying], anchored=[])
    assert (found.answer, found.reason.partition(",")[0]) == (Answer.TAMPERED, f"records: {seq} is missing")


async def test_the_records_of_an_older_version_are_part_of_the_tree(tmp_path: Path) -> None:
    store = await begun(tmp_path / "r.db", LogKeys())
    await grown(store, TILE + 7)
    await store.close()
    for table in ("log_head", "log_tiles", "log_checkpoints"):
        await change(tmp_path / "r.db", f"DELETE FROM {table}")
    store = await begun(tmp_path / "r.db")
    [record] = await store.records(after=TILE + 7, limit=10)
    assert record.body["records_before"] == TILE + 7
    assert (await store.log_standing()).root == await root_of_records(store)
    await store.close()


async def test_a_checkpoint_is_kept_for_what_was_done_and_else_once_a_minute() -> None:
    store = await begun()
    sizes = [size for size, _, _ in await store.checkpoints(after=0)]
    for _ in range(5):
        await grown(store, 1)
    assert [size for size, _, _ in await store.checkpoints(after=0)] == sizes
    await store.note([Record("action.intent", {})], at=NOW)
    assert [size for size, _, _ in await store.checkpoints(after=0)] == [*sizes, 7]
    await store.close()


async def test_the_head_that_moved_under_us_fails_the_batch() -> None:
    """Only somebody's hand in the database can do it; then nothing is committed, and nothing is acknowledged."""
    store = await begun()
    await grown(store, 1)
    await store._writer.write(
        lambda t: t.connection.execute(sa.update(tables.log_head).values(size=tables.log_head.c.size + 1))
    )
    with pytest.raises(Exception, match=r"."):
        await grown(store, 1)
    await store.close()


@pytest.mark.parametrize(
    ("regrown", "problem"),
    [(0, "the head knew 4 records, and now knows 2"), (2, "the 4 records of the head are others now")],
    ids=["turned back", "and others written"],
)
async def test_a_log_that_is_turned_back_while_it_is_open_is_not_signed_any_more(regrown: int, problem: str) -> None:
    """Head and records as they were a while ago, whose signature holds: no start and no verifier would find anything.
    Somebody with rights in a PostgreSQL that several replicas share can do it between two transactions."""
    store = await begun()
    await grown(store, 1)
    before = await store._writer.read(lambda t: dict(t.connection.execute(sa.select(tables.log_head)).mappings().one()))
    await grown(store, 2)

    def turn_back(t: Transaction) -> None:
        t.connection.execute(sa.text("DROP TRIGGER records_no_delete"))
        t.connection.execute(tables.records.delete().where(tables.records.c.seq > before["size"]))
        t.connection.execute(tables.log_head.update().values(before))
        others = [Entry.of(NOW, "test.noted", {"other": number}) for number in range(regrown)]
        if others:
            t.insert(tables.records, Log(SIGNED).append(t.connection, others))

    await store._writer.write(turn_back)
    await grown(store, 1)
    standing = await store.log_standing()
    assert (standing.is_signed, standing.problem) == (False, problem)
    await store.begin_epoch(at=NOW, by="ada", comment="somebody turned it back")
    assert (await store.log_standing()).is_signed
    await store.close()
