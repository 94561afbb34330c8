"""Group commit: what calls that share a transaction owe each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest
import sqlalchemy as sa

from remediator.clock import SystemClock
from remediator.store.base import LostClaim, StoreUnavailable
from remediator.store.database import Database
from remediator.store.log import Entry, Log, LogKeys
from remediator.store.opening import ready
from remediator.store.tables import alerts
from remediator.store.transaction import Transaction
from remediator.store.urls import backend_of, is_postgres, parsed
from remediator.store.writer import Writer
from tests.unit.store.examples import NOW, firing, resolved


@pytest.fixture
async def writer(database_url: str) -> AsyncIterator[Writer]:
    log, url = Log(LogKeys()), parsed(database_url)
    backend = backend_of(url)
    again = partial(backend.connect, url) if is_postgres(url) else None
    opened = await Writer.open(partial(ready, url, log, NOW), connect=again, log=log, backend=backend)
    yield opened
    await opened.close()


@pytest.fixture
def store(writer: Writer) -> Database:
    return Database(writer, clock=SystemClock())


def spoil_commit(transaction: Transaction) -> None:
    """Break a reference that is checked at COMMIT only, so that COMMIT itself fails."""
    defer = {
        "sqlite": "PRAGMA defer_foreign_keys=ON",
        "postgresql": "ALTER TABLE remediations ALTER CONSTRAINT fk_remediations_alert DEFERRABLE INITIALLY DEFERRED",
    }
    transaction.connection.exec_driver_sql(defer[transaction.connection.dialect.name])
    transaction.connection.exec_driver_sql(
        "INSERT INTO remediations (id, action_id, alert_id, fingerprint, state, reason, progress, created_at, due_at,"
        " epoch, tries) VALUES (999, 'a', 999, 'f', 'queued', '', '{}', 0, 0, 0, 0)"
    )


async def test_a_failed_commit_fails_every_call_of_its_batch(writer: Writer, store: Database) -> None:
    results = await asyncio.gather(
        store.accept([firing(1)], at=NOW),
        writer.write(spoil_commit),
        store.kill_switch(),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [StoreUnavailable] * 3


async def test_after_a_failed_commit_nothing_is_stored_and_the_next_call_is_served(
    writer: Writer, store: Database
) -> None:
    await asyncio.gather(store.accept([firing(1)], at=NOW), writer.write(spoil_commit), return_exceptions=True)
    assert await store.records(after=0, limit=10) == []
    assert (await store.accept([firing(1)], at=NOW)).queued == 1


async def test_calls_that_wait_together_share_a_transaction(writer: Writer) -> None:
    first, *others = await asyncio.gather(*(writer.read(lambda transaction: id(transaction)) for _ in range(10)))
    assert set(others) == {first}


async def test_a_call_that_breaks_a_rule_of_the_database_fails_alone(writer: Writer, store: Database) -> None:
    def twice(transaction: Transaction) -> None:
        for _ in range(2):
            transaction.connection.execute(sa.text("INSERT INTO cursors (sink, seq, moved_at) VALUES ('twice', 1, 0)"))

    failed, accepted = await asyncio.gather(
        writer.write(twice), store.accept([firing()], at=NOW), return_exceptions=True
    )
    assert isinstance(failed, StoreUnavailable)
    assert not isinstance(accepted, BaseException)
    assert await store.cursor("twice") == 0


async def test_a_fault_in_a_call_reaches_its_caller_and_nobody_else(writer: Writer, store: Database) -> None:
    def broken(_: Transaction) -> None:
        raise KeyError("a bug")

    failed, _ = await asyncio.gather(writer.write(broken), store.kill_switch(), return_exceptions=True)
    assert isinstance(failed, KeyError)
    assert not (await store.kill_switch()).engaged


async def test_the_record_of_a_call_that_failed_is_not_written(writer: Writer, store: Database) -> None:
    def record_and_fail(transaction: Transaction) -> None:
        transaction.record(Entry(NOW, "never.happened", None, None, b"{}"))
        transaction.next_id(alerts)
        raise LostClaim("too late")

    failed, _ = await asyncio.gather(
        writer.write(record_and_fail), store.accept([firing()], at=NOW), return_exceptions=True
    )
    assert isinstance(failed, LostClaim)
    assert [(record.seq, record.kind) for record in await store.records(after=0, limit=10)] == [(1, "alert.received")]


async def test_what_does_not_fit_the_queue_is_turned_away(store: Database) -> None:
    body = [resolved()] * 100  # as many as are prepared without a thread: all are in the queue at once
    results = await asyncio.gather(*(store.accept(body, at=NOW) for _ in range(203)), return_exceptions=True)
    assert [isinstance(result, StoreUnavailable) for result in results] == [False] * 200 + [True] * 3


async def test_a_body_larger_than_the_queue_is_served_when_nothing_else_waits(store: Database) -> None:
    assert (await store.accept([resolved()] * 21_000, at=NOW)).repeated == 20_999


async def test_calls_that_were_taken_are_served_before_closing(writer: Writer, store: Database) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(store.accept([firing(number)], at=NOW)) for number in range(10)]
        await asyncio.sleep(0)
        await writer.close()
    assert sum(task.result().queued for task in tasks) == 10


async def test_a_closed_store_says_so(writer: Writer, store: Database) -> None:
    await writer.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.kill_switch()
