"""Several replicas on one PostgreSQL database: what one of them alone promises, they promise together.

Each replica is a `Database` with a writer, a thread and a connection of its own, as in a process of its own.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import LiteralString

import psycopg
import pytest
import sqlalchemy as sa

from remediator.audit.tree import Frontier, leaf_hash
from remediator.clock import SystemClock
from remediator.model import Remediation, State
from remediator.store import postgres as postgresql
from remediator.store.backend import Backend, Work
from remediator.store.base import Change, LostClaim, StoreUnavailable
from remediator.store.budgets_base import BudgetUsed
from remediator.store.database import Database
from remediator.store.log import Log, LogKeys
from remediator.store.opening import open_database, ready
from remediator.store.urls import parsed
from remediator.store.writer import Writer
from remediator.units import Limit
from remediator.verdicts import Bound, Budget, Scope
from tests.logkeys import KEYS
from tests.postgres import Server
from tests.unit.store.examples import LEASE, NOTE, NOW, brought_to, firing, plan, resolved, target

REPLICAS = 3
BODIES = 20
ALERTS = 10


@pytest.fixture
def url(postgres_url: str) -> str:
    return postgres_url


@pytest.fixture
async def replicas(url: str) -> AsyncIterator[Sequence[Database]]:
    opened = [await open_database(url, clock=SystemClock(), keys=KEYS) for _ in range(REPLICAS)]
    yield opened
    for one in opened:
        await one.close()


async def with_backend(url: str, backend: Backend) -> Database:
    """A replica whose writer is told another thing of the database than the truth."""
    log, place = Log(LogKeys()), parsed(url)
    begun, again = partial(ready, place, log, NOW), partial(backend.connect, place)
    return Database(await Writer.open(begun, connect=again, log=log, backend=backend), clock=SystemClock())


@contextmanager
def unlocked(connection: sa.Connection, work: Work) -> Iterator[None]:
    """As if nobody else wrote."""
    with postgresql.begin(connection, Work.READS):
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL READ COMMITTED READ WRITE")
        yield


async def all_queued(replicas: Sequence[Database], count: int) -> list[Remediation]:
    await replicas[0].accept([firing(number) for number in range(count)], at=NOW)
    return list(await replicas[0].claim(owner="first", at=NOW, lease=LEASE, limit=count))


async def is_whole(store: Database) -> bool:
    """Whether the records are dense and the signed head is the root over exactly them."""
    found = await store.records(after=0, limit=100_000)
    standing = await store.log_standing()
    root = Frontier().extended([leaf_hash(record.canonical) for record in found]).root()
    is_dense = [record.seq for record in found] == list(range(1, standing.size + 1))
    return is_dense and standing.root == root and standing.is_signed


# -- accept


async def test_what_all_receive_at_once_is_queued_once(replicas: Sequence[Database]) -> None:
    body = [firing(number) for number in range(ALERTS)]
    answers = await asyncio.gather(*(one.accept(body, at=NOW) for _ in range(BODIES) for one in replicas))
    assert sum(answer.queued for answer in answers) == ALERTS
    assert sum(answer.repeated for answer in answers) == ALERTS * (BODIES * REPLICAS - 1)
    claimed = await replicas[1].claim(owner="b", at=NOW, lease=LEASE, limit=1000)
    assert sorted(one.id for one in claimed) == list(range(1, ALERTS + 1)), "ids grow without holes"
    kinds = Counter(record.kind for record in await replicas[2].records(after=0, limit=1000))
    assert kinds["alert.received"] == ALERTS


async def test_the_log_of_all_has_one_head_which_each_of_them_knows(replicas: Sequence[Database]) -> None:
    """Beyond two tiles, so that tiles are written by turns as well."""
    await asyncio.gather(
        *(
            one.accept([firing(1000 * number + REPLICAS * alert + own) for alert in range(ALERTS)], at=NOW)
            for number in range(BODIES)
            for own, one in enumerate(replicas)
        )
    )
    heads = {(await one.log_standing()).note for one in replicas}
    assert len(heads) == 1
    assert (await replicas[0].log_standing()).size >= ALERTS * BODIES * REPLICAS
    assert [await is_whole(one) for one in replicas] == [True] * REPLICAS
    assert await replicas[0].log_look_over(0, 100) == (None, "")


async def test_a_log_that_several_wrote_is_found_whole_by_the_next_one(url: str, replicas: Sequence[Database]) -> None:
    await asyncio.gather(*(one.accept([firing(number)], at=NOW) for number, one in enumerate(replicas)))
    late = await open_database(url, clock=SystemClock(), keys=KEYS)
    assert (await late.log_standing()).problem == ""
    assert [record.kind for record in await late.records(after=0, limit=100)].count("audit.broken") == 0
    await late.close()


@pytest.mark.parametrize(
    "statement", ["UPDATE records SET canonical = canonical || ' ' WHERE seq = 2", "DELETE FROM records WHERE seq = 2"]
)
async def test_an_epoch_that_one_begins_is_known_to_the_others(url: str, statement: LiteralString) -> None:
    """What is wrong with the log is no memory of the process that found it."""
    first = await open_database(url, clock=SystemClock(), keys=KEYS)
    await first.accept([firing(1), firing(2)], at=NOW)
    await first.close()
    with psycopg.connect(url) as hand:
        hand.execute("SET LOCAL session_replication_role = replica")
        hand.execute(statement)
    one, other = [await open_database(url, clock=SystemClock(), keys=KEYS) for _ in range(2)]
    problems = [(await store.log_standing()).problem for store in (one, other)]
    await one.begin_epoch(at=NOW, by="ada", comment="looked at it")
    await other.accept([firing(3)], at=NOW)
    assert all(problems)
    standings = [await store.log_standing() for store in (one, other)]
    assert [(standing.problem, standing.is_signed) for standing in standings] == [("", True)] * 2
    assert standings[0].note == standings[1].note
    await one.close()
    await other.close()


async def test_without_the_lock_replicas_get_in_each_others_way(url: str) -> None:
    """The negative control: the tests above see it when writers are not alone."""
    backend = replace(postgresql.POSTGRES, begin=unlocked)
    replicas = [await with_backend(url, backend) for _ in range(REPLICAS)]
    answers = []
    for number in range(BODIES):
        calls = (one.accept([firing(100 * number + own)], at=NOW) for own, one in enumerate(replicas))
        answers += await asyncio.gather(*calls, return_exceptions=True)
    assert any(isinstance(answer, StoreUnavailable) for answer in answers)
    for one in replicas:
        await one.close()


# -- claim and act


async def test_each_remediation_is_claimed_by_one(replicas: Sequence[Database]) -> None:
    await replicas[0].accept([firing(number) for number in range(60)], at=NOW)
    claims = await asyncio.gather(
        *(
            one.claim(owner=f"replica-{own}", at=NOW, lease=LEASE, limit=7)
            for _ in range(4)
            for own, one in enumerate(replicas)
        )
    )
    taken = [remediation.id for claim in claims for remediation in claim]
    assert sorted(taken) == list(range(1, 61))


async def test_a_lease_that_ran_out_is_handed_over_and_its_holder_can_write_no_more(
    replicas: Sequence[Database],
) -> None:
    [held] = await all_queued(replicas, 1)
    later = NOW + LEASE + timedelta(seconds=1)
    [taken] = await replicas[1].claim(owner="second", at=later, lease=LEASE, limit=1)
    assert taken.epoch == held.epoch + 1
    with pytest.raises(LostClaim):
        await replicas[0].advance(held, to=State.DIAGNOSING, record=NOTE, at=later)
    moved = await replicas[1].advance(taken, to=State.DIAGNOSING, record=NOTE, at=later)
    assert moved.state is State.DIAGNOSING


async def test_of_all_actors_on_one_target_one_acts(replicas: Sequence[Database]) -> None:
    planned = [
        await brought_to(replicas[0], remediation, State.PLANNED, on=target())
        for remediation in await all_queued(replicas, 12)
    ]
    answers = await asyncio.gather(
        *(
            replicas[number % REPLICAS].advance(
                one, to=State.ACTING, record=NOTE, at=NOW, change=Change(plan=plan(target()))
            )
            for number, one in enumerate(planned)
        ),
        return_exceptions=True,
    )
    assert Counter(type(answer) for answer in answers) == {Remediation: 1, LostClaim: 11}


async def test_a_budget_of_two_is_spent_twice_by_all_of_them(replicas: Sequence[Database]) -> None:
    budget: Bound = Budget(Scope.CLUSTER, Limit(2, timedelta(hours=1)))
    planned = []
    for number, remediation in enumerate(await all_queued(replicas, 12)):
        where = target(f"n{number}", uid=f"uid-{number}")
        planned.append(await brought_to(replicas[0], remediation, State.PLANNED, on=where))
    answers = await asyncio.gather(
        *(
            replicas[number % REPLICAS].advance(
                one,
                to=State.ACTING,
                record=NOTE,
                at=NOW,
                change=Change(rule="a", plan=plan(one.target or target()), budgets=[budget]),
            )
            for number, one in enumerate(planned)
        ),
        return_exceptions=True,
    )
    assert Counter(type(answer) for answer in answers) == {Remediation: 2, BudgetUsed: 10}


async def test_what_one_of_them_is_told_the_others_know(replicas: Sequence[Database]) -> None:
    [held] = await all_queued(replicas, 1)
    await replicas[1].accept([resolved(0)], at=NOW)
    planned = await brought_to(replicas[0], held, State.PLANNED, on=target())
    with pytest.raises(LostClaim, match="resolved"):
        await replicas[2].advance(planned, to=State.ACTING, record=NOTE, at=NOW, change=Change(plan=plan(target())))


# -- one that hangs


async def test_a_paused_replica_loses_its_transaction_and_the_others_go_on(url: str) -> None:
    """Paused in the middle of a write, for as long as the server waits for it (5 s); what it had written is gone."""
    paused = await with_backend(url, postgresql.POSTGRES)
    other = await open_database(url, clock=SystemClock())
    is_inside, may_go_on = threading.Event(), threading.Event()

    def pause(transaction: object) -> None:
        is_inside.set()
        may_go_on.wait(60)

    stopped = asyncio.ensure_future(paused._writer.write(pause))
    lost = asyncio.ensure_future(paused.accept([firing(1)], at=NOW))
    await asyncio.to_thread(is_inside.wait, 60)
    began = time.monotonic()
    assert (await other.accept([firing(2)], at=NOW)).queued == 1
    assert time.monotonic() - began > 1, "the lock was held"
    may_go_on.set()
    assert isinstance((await asyncio.gather(stopped, return_exceptions=True))[0], StoreUnavailable)
    await asyncio.gather(lost, return_exceptions=True)
    assert (await paused.accept([firing(3)], at=NOW)).queued == 1, "it opens another connection"
    await paused.close()
    await other.close()


async def test_who_gets_no_answer_gives_up_and_is_served_afterwards(url: str) -> None:
    """A stranger holds the lock: nothing is answered until patience ends."""
    store = await with_backend(url, replace(postgresql.POSTGRES, patience_seconds=0.3))
    with psycopg.connect(url) as stranger:
        stranger.execute(f"SELECT pg_advisory_xact_lock({postgresql.LOCK})".encode())
        with pytest.raises(StoreUnavailable):
            await store.accept([firing(1)], at=NOW)
        assert await store.records(after=0, limit=10) == [], "who only reads waits for nobody"
        stranger.rollback()
    assert (await store.accept([firing(1)], at=NOW)).queued == 1
    await store.close()


# -- starting together


async def test_replicas_that_start_at_once_on_an_empty_database_migrate_it_once(postgres: Server) -> None:
    url = postgres.url(postgres.empty_database())
    opened = await asyncio.gather(*(open_database(url, clock=SystemClock(), keys=KEYS) for _ in range(4)))
    assert [record.kind for record in await opened[0].records(after=0, limit=10)] == ["audit.began"]
    assert len({(await one.log_standing()).note for one in opened}) == 1
    for one in opened:
        await one.close()
    postgres.drop(url)
