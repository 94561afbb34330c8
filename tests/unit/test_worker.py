"""The loops: one fault stops nothing else, what fails is tried again, and stopping gives back what is under way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from remediator.kube.base import Unreachable
from remediator.model import Remediation, State
from remediator.rules.ruleset import rule_set
from remediator.store.base import CommittedRecord, StoreUnavailable
from remediator.store.database import Database
from remediator.worker import Escalator, Pace, Publisher, Worker
from tests.cluster.waiting import wait_for_async
from tests.pipeline.world import DEPLOYMENT, LEASE, World, rule, world
from tests.workloads import alert

PACE = Pace("test", workers=2, lease=LEASE, poll_seconds=0.01, grace_seconds=0.2, pass_seconds=5)


async def plain(_: Remediation, work: Awaitable[None]) -> None:
    await work


async def run_until(one: World, worker: Worker, kind: str) -> None:
    async with asyncio.TaskGroup() as group:
        running = group.create_task(worker.run())

        async def is_there() -> bool:
            return kind in await one.kinds()

        await wait_for_async(is_there, timeout_seconds=60, what=kind)  # a printed traceback takes seconds
        worker.stop()
        await running


async def test_a_fault_of_ours_is_handed_to_people_and_the_others_go_on() -> None:
    other = replace(alert(), fingerprint="f" * 16, labels={"alertname": "Unknown"})

    async with world() as one:
        one.shop.replies["PATCH", DEPLOYMENT] = ZeroDivisionError("a bug in the client")
        await one.receive(alert(), other)
        await run_until(one, Worker(one.parts, PACE, around=plain), "decision.escalated")
        reasons = {record.body.get("reason") for record in await one.records()}
        assert {"internal-error", "no-rule"} <= reasons
        assert one.shop.writes() == []


async def test_what_cannot_be_read_now_is_tried_again() -> None:
    async with world() as one:
        path = "/api/v1/namespaces/shop/pods/checkout-3-a"
        one.shop.errors[path] = Unreachable("away")
        await one.receive()
        worker = Worker(one.parts, PACE, around=plain)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(worker.run())
            await wait_for_async(lambda: f"GET {path}" in one.shop.calls, timeout_seconds=5, what="a first try")
            one.shop.errors.clear()
            one.clock.jump(seconds=10)

            async def applied() -> bool:
                one.clock.jump(seconds=5)
                return "action.applied" in await one.kinds()

            await wait_for_async(applied, timeout_seconds=5, what="the second try")
            worker.stop()
            await running
        assert len(one.shop.writes()) == 1


async def test_stopping_makes_what_is_under_way_claimable_at_once() -> None:
    started = asyncio.Event()

    async def stuck(_: Remediation, work: Awaitable[None]) -> None:
        started.set()
        try:
            await asyncio.sleep(60)
        finally:
            work.close()  # type: ignore[attr-defined]  # a coroutine that was never begun

    async with world() as one:
        await one.receive()
        worker = Worker(one.parts, PACE, around=stuck)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(worker.run())
            await started.wait()
            worker.stop()
            await running
        assert [remediation.state for remediation in await one.claim()] == [State.QUEUED]


async def test_being_woken_while_every_slot_is_busy_starves_nobody() -> None:
    """The loop waits for a slot; it does not ask again and again without letting anything else run."""
    release = asyncio.Event()

    async def waiting(_: Remediation, work: Awaitable[None]) -> None:
        await release.wait()
        await work

    async with world() as one:
        await one.receive()
        worker = Worker(one.parts, replace(PACE, workers=1, poll_seconds=60), around=waiting)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(worker.run())
            for _ in range(20):
                await asyncio.sleep(0)
                worker.wake()
            release.set()

            async def applied() -> bool:
                return "action.applied" in await one.kinds()

            await wait_for_async(applied, timeout_seconds=5, what="the pass goes on")
            worker.stop()
            await running


async def test_a_claim_that_takes_long_leaves_less_for_the_pass() -> None:
    """On a slow disk the lease runs from before the claim's own commit: what is left is the pass', and no more."""
    async with world() as one:
        loop = asyncio.get_running_loop()
        ends: list[float] = []

        class Slow:
            """The claim's commit takes half of the pass."""

            def __getattr__(self, name: str) -> Any:
                return getattr(one.database, name)

            async def claim(self, **asked: Any) -> Sequence[Remediation]:
                found = await one.database.claim(**asked)
                if found:
                    begun = loop.time()
                    await wait_for_async(lambda: loop.time() >= begun + 0.6, timeout_seconds=5, what="a slow commit")
                return found

        one.store = Slow()  # type: ignore[assignment]
        never = asyncio.Event()

        async def hangs(_: Remediation, work: Awaitable[None]) -> None:
            begun = loop.time()
            try:
                await never.wait()
            finally:
                ends.append(loop.time() - begun)
                work.close()  # type: ignore[attr-defined]

        await one.receive()
        worker = Worker(one.parts, replace(PACE, pass_seconds=1.0), around=hangs)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(worker.run())
            await wait_for_async(lambda: ends, timeout_seconds=10, what="the end of the pass")
            worker.stop()
            await running
        assert ends[0] < 0.6, "what the claim took is not given twice"


async def test_a_fault_after_the_end_changes_nothing() -> None:
    async def breaks_after(_: Remediation, work: Awaitable[None]) -> None:
        await work
        raise ZeroDivisionError("a bug in the tracer")

    silent = replace(alert(), labels={"alertname": "Unknown"})
    async with world() as one:
        await one.receive(silent)
        await run_until(one, Worker(one.parts, PACE, around=breaks_after), "decision.declined")
        assert await one.kinds() == ["step.diagnosing", "decision.declined"]


async def test_the_next_contact_is_told_also_when_the_store_was_away() -> None:
    async with world(rules=rule_set([rule(respond=[{"do": "escalate"}], verify=None)])) as one:
        await one.receive()
        await one.run()
        one.clock.jump(minutes=5)
        one.store = Away(one.database)  # type: ignore[assignment]
        async with asyncio.TaskGroup() as group:
            running = group.create_task(Escalator(one.parts, poll_seconds=0.01).run())

            async def is_told() -> bool:
                return "escalation.reminded" in [record.kind for record in await one.told()]

            await wait_for_async(is_told, timeout_seconds=5, what="somebody is told")
            running.cancel()
        assert one.store.failures == 0


class Away:
    """A store that cannot be asked the first time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.failures = 1

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    async def due_escalations(self, **asked: Any) -> Any:
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("away")
        return await self._database.due_escalations(**asked)


class Deaf:
    """A sink that does not hear the first time."""

    name = "deaf"
    silent_on = ()

    def __init__(self) -> None:
        self.heard: list[int] = []
        self.failures = 1

    async def tell(self, record: CommittedRecord) -> None:
        if self.failures:
            self.failures -= 1
            raise ValueError("a bug in the sink")
        self.heard.append(record.seq)


async def test_a_sink_that_fails_loses_no_record() -> None:
    async with world() as one:
        await one.receive()
        await one.run()
        sink = Deaf()
        publisher = Publisher(sink, reader=one.database, poll_seconds=0.01)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(publisher.run())
            everything = [record.seq for record in await one.records()]
            await wait_for_async(lambda: sink.heard == everything, timeout_seconds=5, what="all records were told")
            publisher.stop()
            await running


def test_a_pass_ends_before_its_lease() -> None:
    assert timedelta(seconds=PACE.pass_seconds) < PACE.lease
