"""The log by time: where a period is, in pages, by rule and namespace, and what concerns it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from remediator.clock import SystemClock
from remediator.model import State, Target
from remediator.store import exporting
from remediator.store.base import Change, KillSwitch, Record
from remediator.store.budgets_base import Forgiven, Reset
from remediator.store.database import Database
from remediator.store.exporting_base import Extent, Period
from remediator.store.opening import open_database
from remediator.store.pauses_base import Pause, PauseOf
from remediator.store.transaction import Transaction
from tests.unit.store.examples import LEASE, NOW, firing

HOUR = timedelta(hours=1)


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Database]:
    one = await open_database(database_url, clock=SystemClock())
    yield one
    await one.close()


async def noted(store: Database, *minutes: float) -> None:
    for number, minute in enumerate(minutes):
        await store.note([Record("test.noted", {"number": number})], at=NOW + timedelta(minutes=minute))


async def read(store: Database, period: Period, **how: object) -> Sequence[int]:
    """The numbers of all records of the period."""
    extent, found = await store.exports.extent(period), []
    while extent.count:
        page = await store.exports.records_of(period, extent, **how)  # type: ignore[arg-type]
        found += [record.seq for record in page.records]
        if page.is_end:
            break
        extent = Extent(page.last, extent.upto)
    return found


def between(since: float, until: float, **only: str) -> Period:
    return Period(NOW + timedelta(minutes=since), NOW + timedelta(minutes=until), **only)


async def test_a_period_holds_its_records_and_no_others(store: Database) -> None:
    await noted(store, *range(0, 100, 10))
    assert await read(store, between(20, 50)) == [3, 4, 5]
    assert await read(store, between(-100, -1)) == []
    assert await read(store, between(200, 300)) == []
    assert await read(store, between(-100, 300)) == list(range(1, 11))


async def test_an_empty_log_has_no_extent(store: Database) -> None:
    assert (await store.exports.extent(between(0, 10))).count == 0


async def test_only_the_part_of_the_log_around_the_period_is_looked_at(store: Database) -> None:
    await noted(store, *range(1000))
    extent = await store.exports.extent(between(500, 510))
    assert (extent.after, extent.upto) == (490, 520)


async def test_a_clock_that_was_set_back_loses_no_record(store: Database) -> None:
    await noted(store, 0, 10, 20, 18, 12, 21, 30)
    assert await read(store, between(11, 20.5)) == [3, 4, 5]


async def test_numbers_with_holes_are_no_obstacle(store: Database) -> None:
    await noted(store, *range(0, 100, 10))

    def prune(t: Transaction) -> int:
        # Records are append-only.
        if t.connection.dialect.name == "postgresql":
            t.connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        else:
            triggers = t.connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
            for (name,) in triggers:
                t.connection.exec_driver_sql(f"DROP TRIGGER {name}")
        return t.connection.exec_driver_sql("DELETE FROM records WHERE seq IN (1, 2, 4, 5, 6)").rowcount

    await store._writer.write(prune)
    assert await read(store, between(15, 75)) == [3, 7, 8]


async def test_pages_are_bounded_and_leave_nothing_out(store: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "PAGE", 7)
    monkeypatch.setattr(exporting, "WINDOW", 20)
    await noted(store, *range(100))
    assert await read(store, between(0, 200)) == list(range(1, 101))
    page = await store.exports.records_of(between(0, 200), Extent(0, 100))
    assert len(page.records) == 7


async def decided(store: Database, number: int, *, rule: str, on: Target | None, at: datetime = NOW) -> int:
    """One alert that was looked at and declined; gives its incident."""
    alert = firing(number)
    if on is None:
        alert = replace(alert, labels={**alert.labels, "namespace": "lost"})
    await store.accept([alert], at=at)
    [mine] = await store.claim(owner="w", at=at, lease=LEASE, limit=1)
    for to in (State.DIAGNOSING, State.DECLINED):
        change = Change(rule=rule, target=on) if to is State.DIAGNOSING else Change()
        mine = await store.advance(mine, to=to, record=Record("decision.declined", {}), at=at, change=change)
    assert mine.incident_id is not None
    return mine.incident_id


def on(namespace: str, name: str) -> Target:
    return Target("lab/eu", "Deployment", namespace, name, "uid")


async def people_said(store: Database) -> None:
    """Records 10 to 17: of everything, of two rules, two namespaces, two targets and one ledger."""
    await store.set_kill_switch(KillSwitch(True, "x", "ada", NOW, None))
    for what, subject in (
        (PauseOf.RULE, "one"),
        (PauseOf.RULE, "two"),
        (PauseOf.NAMESPACE, "shop"),
        (PauseOf.NAMESPACE, "pay"),
        (PauseOf.TARGET, "shop/deployment/web"),
        (PauseOf.TARGET, "pay/deployment/web"),
    ):
        await store.set_pause(Pause(what, subject, "ada", "x", NOW, None))
    await store.reset(Reset(Forgiven.TARGET, "lab/eu/shop/Deployment/web", "ada", "x", NOW))


@pytest.fixture
async def busy(store: Database) -> Database:
    """Three incidents of three records each (alert, two steps), then what people said."""
    await decided(store, 1, rule="one", on=on("shop", "web"))
    await decided(store, 2, rule="two", on=on("shop-eu", "web"))
    await decided(store, 3, rule="two", on=None)
    await people_said(store)
    return store


NARROWED: Sequence[tuple[dict[str, str], list[int], list[int]]] = (
    ({}, [1, 2, 3], list(range(1, 18))),
    ({"rule": "one"}, [1], [1, 2, 3, 10, 11, *range(13, 18)]),
    ({"namespace": "shop"}, [1], [1, 2, 3, 10, 11, 12, 13, 15, 17]),
    ({"namespace": "shop-eu"}, [2], [4, 5, 6, 10, 11, 12]),
    ({"namespace": "lost"}, [3], [7, 8, 9, 10, 11, 12]),
    ({"rule": "two", "namespace": "lost"}, [3], [7, 8, 9, 10, 12]),
    ({"rule": "none"}, [], [10, *range(13, 18)]),
)


async def test_a_period_can_be_narrowed(busy: Database) -> None:
    for only, incidents, seqs in NARROWED:
        period = between(-1, 1, **only)
        assert [row.id for row in await busy.exports.incidents_of(period)] == incidents, only
        assert await read(busy, period) == seqs, only


async def test_what_concerns_one_target_is_found_beside_it(busy: Database) -> None:
    target = on("shop", "web")
    found = await read(busy, between(-1, 1, rule="one", namespace="shop"), beside=True, target=target)
    assert found == [10, 11, 13, 15, 17]


async def test_incidents_that_were_open_at_any_time_of_the_period_in_pages(store: Database) -> None:
    for number in range(5):
        await decided(store, number, rule="one", on=on("shop", f"web-{number}"), at=NOW + number * HOUR)
    period = Period(NOW + 1 * HOUR, NOW + 4 * HOUR)
    assert [row.id for row in await store.exports.incidents_of(period)] == [2, 3, 4]
    assert [row.id for row in await store.exports.incidents_of(period, after=2, limit=1)] == [3]
