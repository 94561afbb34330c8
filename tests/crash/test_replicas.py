"""Several replicas on one PostgreSQL: all receive and claim, one acts, and what one was at another brings to its end.

The replicas are the real service. Those that are stopped or killed are processes, stopped at a named point of a write;
the embedded API server counts what reaches it. `--long` stops 54 times.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import time
from typing import Any

import psycopg
import pytest
from aiohttp import ClientSession

from remediator.app import Service, open_service
from remediator.clock import SystemClock
from remediator.settings import Settings
from tests.cluster.waiting import wait_for_async
from tests.crash.fleet import Child, Town, settings_of, town
from tests.crash.replica_child import AFTER_GATE, BEFORE_GATE, ON_THE_WIRE
from tests.postgres import Server
from tests.unit.scripted_server import Answer, ScriptedServer

pytestmark = pytest.mark.crash

LEASE_SECONDS = 5.0
PATIENCE_SECONDS = 60
INTENT_MICROS = 200_000_000
"""More than the time within which a request that got no reply may still arrive."""

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def url(postgres_url: str) -> str:
    return postgres_url


async def post(port: int, body: bytes) -> int:
    url = f"http://127.0.0.1:{port}/api/v1/alerts"
    async with ClientSession() as client, client.post(url, data=body, headers=JSON) as answer:
        return answer.status


async def asked(port: int, path: str) -> Any:
    async with ClientSession() as client, client.get(f"http://127.0.0.1:{port}{path}") as answer:
        return await answer.json() if "json" in answer.content_type else await answer.text()


# -- three at once


@asynccontextmanager
async def three(one: Town, url: str, folder: Path, webhook: str) -> AsyncIterator[Sequence[Service]]:
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        services = []
        for _ in range(3):
            settings = Settings.load(None, settings_of(one, url, folder, webhook_url=webhook))
            service = await stack.enter_async_context(open_service(settings, clock=SystemClock()))
            services.append(service)
        running = [group.create_task(service.run()) for service in services]
        yield services
        for service in services:
            service.stop()
        await asyncio.wait(running)


async def test_the_same_payload_a_hundred_times_to_each_of_three_is_one_incident_and_one_action(
    url: str, tmp_path: Path
) -> None:
    webhook = ScriptedServer()
    await webhook.start()
    webhook.answers(Answer())
    async with town(1) as one, three(one, url, tmp_path, webhook.url) as services:
        ports = [service.port for service in services]
        body = one.body("w0")
        answers = await asyncio.gather(*(post(port, body) for port in ports for _ in range(100)))
        assert Counter(answers) == {200: 300}

        async def is_told() -> bool:
            return "outcome.verified" in [event["type"].rpartition("remediator.")[2] for event in told(webhook)]

        await wait_for_async(is_told, timeout_seconds=PATIENCE_SECONDS, what="the outcome to be told")
        rows = (await asked(ports[0], "/api/v1/incidents"))["incidents"]
        assert [(row["id"], row["outcome"]) for row in rows] == [(1, "verified")]
        assert [call.status for call in one.writes("w0")] == [200]
        assert one.changes("w0") == 1
        last = len(await services[0].database.records(after=0, limit=1000))
        for sink in ("log", "metrics", "kubernetes-event", "webhook"):
            is_at = partial(_is_at, services[0], sink, last)
            await wait_for_async(is_at, timeout_seconds=PATIENCE_SECONDS, what=f"{sink} is told")
        ids = Counter(event["id"] for event in told(webhook))
        assert set(ids.values()) == {1}, "the webhook was told something twice"
        events = [call for call in one.cluster.requests if call.path.endswith("/events") and call.method == "POST"]
        assert events
        assert {call.status for call in events} == {201}, "an Event was sent twice"
        pages = [await asked(port, "/metrics") for port in ports]
        assert summed(pages, 'remediator_decisions_total{action="rollback",decision="executed",rule="crash-loop"}') == 1
        assert summed(pages, 'remediator_alerts_received_total{status="firing"}') == 300
        assert summed(pages, 'remediator_queue_depth{state="queued"}') == 0
        assert sum(page.count('remediator_queue_depth{state="queued"}') for page in pages) == 1
        for duty in ("tell-webhook", "escalate", "count"):
            assert summed(pages, f'remediator_duty_held{{duty="{duty}"}}') == 1
        assert len({line for page in pages for line in page.splitlines() if "remediator_replica_info{" in line}) == 3
        status = await asked(ports[2], "/api/v1/status")
        assert {duty["name"] for duty in status["duties"]} >= {"tell-webhook", "watch-rollouts", "prune"}
        ready = await asked(ports[2], "/-/ready")
        assert f"replica: ready: {status['replica']}, duties: " in ready
    await webhook.stop()


async def _is_at(service: Service, sink: str, last: int) -> bool:
    return await service.database.cursor(sink) >= last


def told(webhook: ScriptedServer) -> list[Any]:
    return [json.loads(one.body) for one in webhook.asked]


def summed(pages: Sequence[str], series: str) -> float:
    return sum(
        float(line.rpartition(" ")[2]) for page in pages for line in page.splitlines() if line.startswith(f"{series} ")
    )


# -- stopped and killed in the middle of a write


@dataclass(frozen=True, slots=True)
class Row:
    epoch: int
    owner: str | None
    state: str


@dataclass
class Fleet:
    """Two replicas, of which the first that comes to the trap is stopped there."""

    town: Town
    url: str
    folder: Path
    replicas: dict[str, Child]

    def newest(self) -> Row:
        [row] = self._execute("SELECT epoch, lease_owner, state FROM remediations ORDER BY id DESC LIMIT 1")
        return Row(*row)

    def age_the_intent(self) -> None:
        """As if minutes had gone by since it was committed, and it is looked at now."""
        self._execute(
            f"UPDATE remediations SET acted_at = acted_at - {INTENT_MICROS}, due_at = created_at WHERE state = 'acting'"
        )

    async def trap(self, name: str, point: str, number: signal.Signals) -> Child:
        """Post the alert of a workload; who was caught on the way of its write."""
        taken = self.folder / "trap.taken"
        taken.unlink(missing_ok=True)
        (self.folder / "trap").write_text(f"{point} {number.value}")
        first = next(iter(self.replicas.values()))
        assert await post(first.port, self.town.body(name)) == 200

        def is_taken() -> bool:
            self.age_the_intent()  # on a slow machine a pass may have been cut right before the trap
            return taken.exists()

        await wait_for_async(is_taken, timeout_seconds=PATIENCE_SECONDS, what=f"a write of {name} at {point}")
        caught = self.replicas[taken.read_text()]
        await wait_for_async(lambda: caught.is_stopped, timeout_seconds=PATIENCE_SECONDS, what="it is stopped")
        return caught

    async def verified(self) -> None:
        def is_verified() -> bool:
            return self.newest().state == "verified"

        await wait_for_async(is_verified, timeout_seconds=PATIENCE_SECONDS, what="the rollback is verified")

    def kinds(self) -> list[str]:
        newest = "SELECT max(id) FROM remediations"
        rows = self._execute(f"SELECT kind FROM records WHERE remediation_id = ({newest}) ORDER BY seq")
        return [row[0] for row in rows]

    def duties(self) -> dict[str, str]:
        return {row[0]: row[1] for row in self._execute("SELECT name, owner FROM duties")}

    def writes_of(self, caught: Child, name: str) -> list[int]:
        return [call.status for call in self.town.writes(name) if call.user_agent == f"remediator/{caught.name}"]

    def _execute(self, statement: str) -> list[Any]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return [] if cursor.description is None else cursor.fetchall()


@asynccontextmanager
async def fleet(url: str, folder: Path, count: int, **more: Any) -> AsyncIterator[Fleet]:
    """With one more workload, whose rollback has gone well: a rule that is new acts on one target first."""
    async with town(count + 1) as one:
        children = [
            Child(one, url, folder, name=name, lease_seconds=LEASE_SECONDS, **more) for name in ("first", "second")
        ]
        made = Fleet(one, url, folder, {child.name: child for child in children})
        try:
            await asyncio.gather(*(child.start() for child in children))
            assert await post(children[1].port, one.body(f"w{count}")) == 200

            def is_done() -> bool:
                made.age_the_intent()
                return one.changes(f"w{count}") == 1

            await wait_for_async(is_done, timeout_seconds=PATIENCE_SECONDS, what="a first rollback")
            await made.verified()
            yield made
        except BaseException:
            for child in children:
                print(f"--- {child.name}\n{child.log[-6000:]}")
            raise
        finally:
            for child in children:
                child.end()


async def stopped_for_twice_its_lease(one: Fleet, name: str, point: str) -> Child:
    """Its claim is taken over, and the write done by another, before it goes on; gives who was stopped, when it has
    come to know of it."""
    caught = await one.trap(name, point, signal.SIGSTOP)
    stopped_at, before, said = time(), one.newest(), len(caught.log)

    def is_taken_over() -> bool:
        return one.newest().epoch > before.epoch

    await wait_for_async(is_taken_over, timeout_seconds=PATIENCE_SECONDS, what="another takes it over")

    def is_done_by_another() -> bool:
        one.age_the_intent()
        return [call.status for call in one.town.writes(name)].count(200) == 1

    await wait_for_async(is_done_by_another, timeout_seconds=PATIENCE_SECONDS, what="another does it")
    await one.verified()

    def has_waited() -> bool:
        return time() - stopped_at >= 2 * LEASE_SECONDS

    await wait_for_async(has_waited, timeout_seconds=PATIENCE_SECONDS, what="twice the lease")
    caught.resume()
    ends = ("someone else has it", "will try again", "the lease will run out")

    def has_given_up() -> bool:
        late = point != ON_THE_WIRE or one.writes_of(caught, name)
        return bool(late) and any(end in caught.log[said:] for end in ends)

    await wait_for_async(has_given_up, timeout_seconds=PATIENCE_SECONDS, what=f"{caught.name} to give up")
    return caught


POINTS = (AFTER_GATE, ON_THE_WIRE, BEFORE_GATE)
LONG_BATCHES = 9
"""Of six stops and one kill each."""


async def test_who_is_stopped_or_killed_in_the_middle_of_a_write_does_not_do_it_again_and_another_ends_it(
    postgres: Server, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    is_long = request.config.getoption("--long")
    batches = LONG_BATCHES * [[*POINTS, *POINTS]] if is_long else [[*POINTS[:2]]]
    for number, points in enumerate(batches):
        url = await postgres.database()
        folder = tmp_path / str(number)
        folder.mkdir()
        async with fleet(url, folder, len(points) + 1) as one:
            for which, point in enumerate(points):
                await is_stopped_at(one, f"w{which}", point)
            await is_killed(one, f"w{len(points)}")
        postgres.give_back(url)


async def is_stopped_at(one: Fleet, name: str, point: str) -> None:
    caught = await stopped_for_twice_its_lease(one, name, point)
    late = one.writes_of(caught, name)
    if point == ON_THE_WIRE:  # it had passed all that we can look at: the API server refuses it
        assert late == [422], "no late write was there to be refused, or it was not"
    else:
        assert late == [], f"a late write went out at {point}"
    assert one.town.changes(name) == 1, point
    assert one.kinds().count("action.applied") == 1
    assert one.newest().state == "verified"
    print(f"stopped at {point}; late writes: {late}")


async def is_killed(one: Fleet, name: str) -> None:
    """What it was at, and its duties, are handed over within its lease."""
    caught = await one.trap(name, AFTER_GATE, signal.SIGKILL)
    died_at, before = time(), one.newest()

    def is_taken_over() -> bool:
        return one.newest().epoch > before.epoch

    await wait_for_async(is_taken_over, timeout_seconds=PATIENCE_SECONDS, what="another takes it over")
    claimed = time() - died_at

    def has_no_duty() -> bool:
        return before.owner not in one.duties().values()

    await wait_for_async(has_no_duty, timeout_seconds=PATIENCE_SECONDS, what="its duties are taken over")
    took = time() - died_at
    print(f"killed: its claim was taken over after {claimed:.1f} s, its last duty after {took:.1f} s")
    assert max(claimed, took) < LEASE_SECONDS + 10, "the lease, a poll, and a slow machine"

    def is_done() -> bool:
        one.age_the_intent()
        return one.town.changes(name) == 1

    await wait_for_async(is_done, timeout_seconds=PATIENCE_SECONDS, what="the other does it")
    await one.verified()
    assert one.writes_of(caught, name) == []


async def test_without_the_gate_a_late_write_goes_out(
    url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The negative control. What keeps even this one from being done twice is its precondition."""
    if not request.config.getoption("--long"):
        pytest.skip("20 s; the gate's negative control of every run is in tests/pipeline/test_race.py")
    async with fleet(url, tmp_path, 1, has_gate=False) as one:
        caught = await stopped_for_twice_its_lease(one, "w0", AFTER_GATE)
        assert one.writes_of(caught, "w0") == [422]
        assert one.town.changes("w0") == 1
