"""What is given up and what stays: proofs go on, nothing goes that is still needed, and it is a record."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from remediator.audit.findings import Answer
from remediator.audit.note import checkpoint, opened
from remediator.audit.verify import verify
from remediator.export.bundle import write_bundle
from remediator.model import Remediation, State
from remediator.reasons import Reason
from remediator.store import gates
from remediator.store.approvals_base import Approval
from remediator.store.base import Change, Record, StoreUnavailable
from remediator.store.database import Database
from remediator.store.escalations_base import Acknowledgement, Call
from remediator.store.leaves import TILE
from remediator.store.opening import open_database
from remediator.store.tables import escalations, remediations
from remediator.store.transaction import Transaction
from remediator.verdicts import Gate
from tests.clocks import FakeClock
from tests.logkeys import KEYS
from tests.unit.store.examples import NOTE, NOW, brought_to, escalated, firing, queued, resolved, target

DAY = timedelta(days=1)
CALL = Call("pods", "ada", timedelta(minutes=5), 2, Reason.ROW_ESCALATES, "the rule escalates")


async def opened_at(path: Path) -> Database:
    return await open_database(f"sqlite:///{path}", clock=FakeClock(NOW - 100 * DAY), keys=KEYS, log_name="lab")


async def filled(store: Database, count: int, *, days_ago: int) -> None:
    await store.note([Record("test.noted", {"n": n, "comment": "x"}) for n in range(count)], at=NOW - days_ago * DAY)


async def sequence(store: Database) -> list[int]:
    return [record.seq for record in await store.records(after=0, limit=100_000)]


async def test_whole_tiles_from_before_go_and_the_rest_still_verifies(tmp_path: Path) -> None:
    store = await opened_at(tmp_path / "r.db")
    await filled(store, 2 * TILE + 100, days_ago=90)
    anchor = (await store.log_standing()).note
    await filled(store, 300, days_ago=1)
    before = await store.log_standing()
    root = await store.log_root_at(before.size)
    assert await store.prune(before=NOW - 60 * DAY) == 2 * TILE
    assert await store.prune(before=NOW - 60 * DAY) == 0
    assert (await sequence(store))[0] == 2 * TILE + 1
    assert await store.log_root_at(before.size) == root
    last = (await store.records(after=before.size, limit=10))[-1]
    assert (last.kind, last.body["first"], last.body["last"]) == ("audit.pruned", 1, 2 * TILE)
    with (tmp_path / "b.zip").open("wb") as out:
        await write_bundle(out, store, scope="x", seqs=[600, 700, last.seq], files=())
    await store.close()
    for file, pruned in ((tmp_path / "r.db", 2 * TILE), (tmp_path / "b.zip", 0)):
        report = verify(file, trusted=KEYS.known, anchored=[anchor])
        assert (report.answer, report.pruned) == (Answer.VERIFIED, pruned), report.reason
    store = await opened_at(tmp_path / "r.db")
    standing = await store.log_standing()
    assert standing.is_signed, standing.problem
    assert checkpoint(opened(standing.note, KEYS.known)[0]).size == last.seq
    await store.close()


async def test_a_bundle_of_what_was_given_up_is_refused_not_shortened(tmp_path: Path) -> None:
    store = await opened_at(tmp_path / "r.db")
    await filled(store, TILE, days_ago=90)
    await store.prune(before=NOW)
    with (tmp_path / "b.zip").open("wb") as out, pytest.raises(StoreUnavailable, match="given up by retention"):
        await write_bundle(out, store, scope="x", seqs=[3, 4], files=())
    await store.close()


@pytest.mark.parametrize("days_ago", [90, 1])
async def test_only_what_is_old_enough_goes(tmp_path: Path, days_ago: int) -> None:
    store = await opened_at(tmp_path / "r.db")
    await filled(store, 2 * TILE, days_ago=days_ago)
    assert bool(await store.prune(before=NOW - 60 * DAY)) is (days_ago == 90)
    await store.close()


async def test_what_a_sink_was_not_told_stays(tmp_path: Path) -> None:
    store = await opened_at(tmp_path / "r.db")
    await filled(store, 2 * TILE, days_ago=90)
    await store.move_cursor("webhook", after=0, to=TILE + 5)
    assert await store.prune(before=NOW) == TILE
    await store.close()


async def test_what_belongs_to_an_open_incident_stays_with_its_rows(tmp_path: Path) -> None:
    store = await opened_at(tmp_path / "r.db")
    [remediation] = await queued(store, firing(), at=NOW - 90 * DAY)
    await filled(store, 2 * TILE, days_ago=80)
    assert await store.prune(before=NOW) == 0
    step = await store.advance(
        remediation, to=State.DIAGNOSING, record=NOTE, at=NOW - 70 * DAY, change=Change(target=target())
    )
    await store.advance(step, to=State.CANCELLED, record=NOTE, at=NOW - 70 * DAY)
    await store.accept([resolved()], at=NOW - 70 * DAY)
    await filled(store, TILE, days_ago=65)
    assert await store.prune(before=NOW - 60 * DAY) == 3 * TILE
    assert await store.incidents(limit=10, open_only=False) == []
    assert (await store.accept([firing()], at=NOW)).queued == 1, "nothing of it is left"
    await store.close()


async def test_an_alert_that_still_fires_is_not_forgotten(tmp_path: Path) -> None:
    """Else its next repeat would be taken for a new episode, and be acted on again."""
    store = await opened_at(tmp_path / "r.db")
    [remediation] = await queued(store, firing(), at=NOW - 90 * DAY)
    step = await store.advance(remediation, to=State.DIAGNOSING, record=NOTE, at=NOW - 90 * DAY)
    await store.advance(step, to=State.DECLINED, record=NOTE, at=NOW - 90 * DAY)
    await filled(store, 2 * TILE, days_ago=80)
    assert await store.prune(before=NOW - 60 * DAY) == 2 * TILE
    assert (await store.accept([firing()], at=NOW)).repeated == 1
    await store.close()


@pytest.fixture
async def each(database_url: str) -> AsyncIterator[Database]:
    """As `opened_at`, in each kind of store."""
    store = await open_database(database_url, clock=FakeClock(NOW - 100 * DAY), keys=KEYS, log_name="lab")
    yield store
    await store.close()


async def test_what_people_were_called_for_goes_with_its_incident(each: Database) -> None:
    """One that refers to what is to go would keep everything, for ever."""
    ended = await escalated(each, firing(), CALL, on=target(), at=NOW - 90 * DAY)
    said = Acknowledgement("ada", "mine", at=NOW - 90 * DAY, closes=False)
    [one] = await each.escalations()
    await each.acknowledge(one.id, said)
    await each.accept([resolved()], at=NOW - 89 * DAY)
    await filled(each, 2 * TILE, days_ago=80)
    assert await each.prune(before=NOW - 60 * DAY) == 2 * TILE
    assert ended.incident_id is not None
    assert (await each.incident(ended.incident_id), await rows_of(each, escalations)) == (None, 0)


async def test_what_people_were_called_for_lately_stays_with_its_incident(each: Database) -> None:
    """The negative control."""
    ended = await escalated(each, firing(), CALL, on=target(), at=NOW - 90 * DAY)
    await filled(each, 2 * TILE, days_ago=80)
    assert await each.prune(before=NOW - 60 * DAY) == 0, "somebody is still to see to it"
    await each.accept([resolved()], at=NOW - 50 * DAY)
    assert await each.prune(before=NOW - 60 * DAY) == 2 * TILE
    assert ended.incident_id is not None
    found = await each.incident(ended.incident_id)
    assert found is not None
    assert [one.told for one in found.escalations] == ["ada"]


async def test_what_was_called_for_a_storm_goes_too(each: Database) -> None:
    gate = Gate("storm", Reason.STORM, "5 targets", timedelta(minutes=10))

    def enter(transaction: Transaction) -> None:
        gates.enter(transaction, gate, CALL, cluster="lab", at=NOW - 90 * DAY)

    await each._writer.write(enter)
    assert len(await each.escalations()) == 1
    await filled(each, 2 * TILE, days_ago=80)
    await each.end_left_gates(at=NOW - 79 * DAY)
    assert await each.prune(before=NOW - 60 * DAY) == 2 * TILE
    assert await rows_of(each, escalations) == 0


async def test_what_was_said_of_a_plan_goes_with_its_attempt(each: Database) -> None:
    """It holds who said it, and why."""
    [remediation] = await queued(each, firing(), at=NOW - 90 * DAY)
    planned = await brought_to(each, remediation, State.PLANNED, on=target(), at=NOW - 90 * DAY)
    asked = Record("decision.awaiting-approval", {"plan_hash": "h", "detail": "x"})
    due = Change(due_at=NOW - 90 * DAY + timedelta(minutes=15))
    waiting = await each.advance(planned, to=State.AWAITING_APPROVAL, record=asked, at=NOW - 90 * DAY, change=due)
    said = Approval(waiting.id, "h", is_granted=False, by="ada", comment="not now", at=NOW - 90 * DAY)
    await each.answer(said)
    [claimed] = await each.claim(owner="a", at=NOW - 89 * DAY, lease=timedelta(minutes=1), limit=1)
    await each.advance(claimed, to=State.CANCELLED, record=NOTE, at=NOW - 89 * DAY)
    await each.accept([resolved()], at=NOW - 89 * DAY)
    assert await each.approval(waiting.id) == said
    await filled(each, 2 * TILE, days_ago=80)
    assert await each.prune(before=NOW - 60 * DAY) == 2 * TILE
    assert await each.approval(waiting.id) is None


async def test_a_number_that_was_given_up_with_its_row_is_not_given_to_another(each: Database) -> None:
    """The log, its exports and the ledger of budgets know things by their numbers, for longer than the rows live."""

    async def one(number: int, at: datetime) -> Remediation:
        ended = await escalated(each, firing(number), CALL, on=target(f"t{number}", uid=f"u{number}"), at=at)
        await each.accept([resolved(number)], at=at)
        return ended

    first, second = await one(1, NOW - 90 * DAY), await one(2, NOW - 90 * DAY)
    await filled(each, 2 * TILE, days_ago=80)
    assert await each.prune(before=NOW - 60 * DAY) == 2 * TILE
    assert await rows_of(each, remediations) == 0
    third = await one(3, NOW - 50 * DAY)
    assert [each.id for each in (first, second, third)] == [1, 2, 3]
    assert [each.incident_id for each in (first, second, third)] == [1, 2, 3]
    assert await each._writer.read(lambda t: t.connection.execute(sa.select(escalations.c.id)).scalars().all()) == [3]
    await filled(each, 2 * TILE, days_ago=45)
    assert await each.prune(before=NOW - 40 * DAY) > 0
    assert (await one(4, NOW)).id == 4, "also the second time"


async def rows_of(store: Database, table: sa.Table) -> int:
    counted = sa.select(sa.func.count()).select_from(table)
    return await store._writer.read(lambda t: int(t.connection.execute(counted).scalar_one()))


async def test_nothing_else_can_be_deleted(tmp_path: Path) -> None:
    store = await opened_at(tmp_path / "r.db")
    await filled(store, TILE, days_ago=90)
    with pytest.raises(StoreUnavailable, match="append-only"):
        await store._writer.write(lambda t: t.connection.exec_driver_sql("DELETE FROM records WHERE seq = 3"))
    await store.close()
