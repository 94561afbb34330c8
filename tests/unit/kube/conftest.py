from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from remediator.kube.client import KubernetesCluster, connect
from tests.unit.scripted_server import JumpingClock, ScriptedServer

Connect = Callable[..., Awaitable[KubernetesCluster]]


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    scripted = ScriptedServer()
    await scripted.start()
    yield scripted
    await scripted.stop()


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock()


@pytest.fixture
async def connect_to(clock: JumpingClock) -> AsyncIterator[Connect]:
    """`connect` with the test's clock and a short limit; what it made is closed at the end."""
    made: list[KubernetesCluster] = []

    async def make(**settings: Any) -> KubernetesCluster:
        cluster = await connect(**{"name": "test", "request_timeout_seconds": 2.0, "clock": clock, **settings})
        made.append(cluster)
        return cluster

    yield make
    for cluster in made:
        await cluster.close()


@pytest.fixture
async def cluster(server: ScriptedServer, connect_to: Connect) -> KubernetesCluster:
    return await connect_to(server=server.url)
