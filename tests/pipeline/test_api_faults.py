"""Each fault of the API server and of the way to it, with each action, on the embedded cluster behind the proxy of the
rig's tests: nothing is done twice, and what became of it is read, not guessed.

`--long` is a hundred runs for each fault; in CI each pair is there once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from remediator.kube.base import ReplyLost
from remediator.kube.client import connect
from remediator.kube.rollout import rollout_status
from remediator.model import Json, Request, State
from remediator.simulate.apiserver import Call, EmbeddedCluster
from remediator.simulate.podstatus import FAILS
from remediator.simulate.workloads import deployment
from tests.clocks import FakeClock
from tests.cluster.lossy import Fate, LossyProxy
from tests.lost_writes import ACTIONS, FATES, WRITES, Told, check, in_trouble, remedied

GOOD, BAD = "shop:1.4", "shop:1.5-crash"
PATIENCE_SECONDS = 1.0
"""How long our client waits for an answer. What takes longer is lost, which is as good a fault as any."""

AT_ONCE = 5


class Still:
    """The cluster's view of the test's clock: it ticks when the test says so."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.now = clock.now

    async def sleep(self, seconds: float) -> None:
        await asyncio.Event().wait()


class Small:
    """An embedded cluster with one Deployment, in the trouble that the action is for."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.cluster = EmbeddedCluster(Still(self.clock))

    def let_pass(self, seconds: int) -> None:
        for _ in range(seconds):
            self.clock.jump(seconds=1)
            self.cluster.tick()

    def prepare(self, action: str) -> None:
        self.cluster.apply(deployment("shop", "checkout", image=GOOD, replicas=2))
        self.let_pass(10)
        assert rollout_status(self.cluster.get("Deployment", "shop", "checkout")).is_complete
        self.clock.jump(hours=2)
        self.cluster.tick()
        if action == "rollback":
            self.cluster.patch_image("shop", "checkout", BAD)
            self.let_pass(60)
        if action == "evict":
            pod = self.cluster.list("Pod", "shop")[0]
            pod["metadata"].setdefault("annotations", {})[FAILS] = "crash"
            self.cluster.apply(pod)
            self.let_pass(60)

    def done(self) -> Sequence[Call]:
        """What the API server's own log has of writes to workloads that were done."""
        return [call for call in self.cluster.writes if call.user_agent == "remediator"]


Around = Callable[[Any], Any]


async def run(fate: Fate, action: str, around: Around = lambda client: client) -> tuple[Told, int, int]:
    """How it ended, how many writes went out, and how many were done."""
    small = Small()
    small.prepare(action)

    async def wait(state: State) -> None:
        # A look reads the cluster as it is; what was sent and not yet done is given a moment of the real time, too.
        await asyncio.sleep(0)
        small.let_pass(2)

    method, under = WRITES[action]
    async with small.cluster:
        with LossyProxy(small.cluster.url, fate, losing=method, under=under, times=1) as proxy:
            client = await connect(
                name="test", server=proxy.url, request_timeout_seconds=PATIENCE_SECONDS, clock=small.clock
            )
            try:
                about = in_trouble(small.clock, "shop", "checkout")
                told = await remedied(about, action, cluster=around(client), clock=small.clock, wait=wait)
            finally:
                await client.close()
    return told, len(proxy.writes), len(small.done())


@pytest.mark.parametrize("fate", FATES, ids=lambda fate: fate.name)
async def test_what_was_done_is_read_and_never_done_twice(fate: Fate, request: pytest.FixtureRequest) -> None:
    runs = 25 if request.config.getoption("--long") else 1
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(action: str) -> tuple[Told, int, int]:
        async with slots:
            return await run(fate, action)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(action), name=action) for action in ACTIONS * runs]
    for task in tasks:
        told, sent, done = task.result()
        check(told, fate, action=task.get_name(), sent=sent, done=done)




class Blind:
    """A client that sends again what was not answered."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def send(self, request: Request, *, dry_run: bool) -> Json:
        try:
            return await self._client.send(request, dry_run=dry_run)
        except ReplyLost:
            return await self._client.send(self._without_tests(request), dry_run=dry_run)

    def _without_tests(self, request: Request) -> Request:
        """What it was decided on does not hold any more after the first one."""
        if not isinstance(request.body, list):
            return request
        return replace(request, body=[step for step in request.body if step["op"] != "test"])


@pytest.mark.parametrize("action", ["rollback", "restart"])
async def test_one_that_sends_again_blindly_is_seen(action: str) -> None:
    """The negative control: with neither read-back nor preconditions the object is written twice."""
    told, sent, done = await run(Fate.ERROR_AFTER, action, Blind)
    assert (sent, done) == (2, 2)
    with pytest.raises(AssertionError, match="2 writes were done"):
        check(told, Fate.ERROR_AFTER, action=action, sent=sent, done=done)
