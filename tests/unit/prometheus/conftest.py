from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from remediator.prometheus.client import PrometheusMetrics
from tests.unit.scripted_server import Answer, JumpingClock, ScriptedServer

BEGIN = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)

Make = Callable[..., PrometheusMetrics]


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
async def make(server: ScriptedServer, clock: JumpingClock) -> AsyncIterator[Make]:
    made: list[PrometheusMetrics] = []

    def new(**settings: Any) -> PrometheusMetrics:
        made.append(PrometheusMetrics(**{"url": server.url, "clock": clock, **settings}))
        return made[-1]

    yield new
    for metrics in made:
        await metrics.close()


@pytest.fixture
def metrics(make: Make) -> PrometheusMetrics:
    return make()


def vector(*series: tuple[dict[str, str], str], **more: Any) -> Answer:
    """An instant vector as Prometheus sends it; `more` stands beside `data`."""
    result = [{"metric": labels, "value": [1.7e9, value]} for labels, value in series]
    return Answer(body={"status": "success", "data": {"resultType": "vector", "result": result}, **more})


def failure(code: int, kind: str, error: str = "no") -> Answer:
    return Answer(code, {"status": "error", "errorType": kind, "error": error})


