"""What outlives the process that is killed: the API server and the Prometheus of a story, on loopback.

Both answer from the story's own stage. The API server can kill who asks, once the request is there or done.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from remediator.clock import rfc3339
from remediator.prometheus.base import PrometheusUnavailable
from remediator.simulate.api import REVIEW_PATH, Asked
from remediator.simulate.apiserver import WRITE_METHODS, EmbeddedCluster, asked_of
from remediator.simulate.observers import StoryPrometheus
from tests.crash.points import Wire


@dataclass(frozen=True, slots=True)
class Attempt:
    """A real write as it arrived; `status` is how it was answered, or would have been."""

    method: str
    path: str
    audit_id: str
    status: int

    @property
    def is_done(self) -> bool:
        return self.status < 400


@dataclass
class ApiServer:
    """`attempts` are the real writes to workloads, done or refused, in order. While `trap` is set, the `nth` of them
    calls `kill`."""

    cluster: EmbeddedCluster
    attempts: list[Attempt] = field(default_factory=list)
    trap: Wire | None = None
    nth: int = 1
    kill: Callable[[], None] = lambda: None
    release: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a late request may be done."""
    _arrived: int = 0

    async def handle(self, request: web.Request) -> web.Response:
        asked = await asked_of(request)
        if not _is_action(asked):
            return _response(*self.cluster.ask(asked))
        self._arrived += 1
        trap = self.trap if self._arrived == self.nth else None
        if trap is Wire.LATE:
            self.kill()
            await self.release.wait()
        code, answer = self.cluster.ask(asked)
        self.attempts.append(Attempt(asked.method, asked.path, request.headers.get("Audit-ID", ""), code))
        if trap is Wire.DONE:
            self.kill()
        return _response(code, answer)


def _is_action(asked: Asked) -> bool:
    is_event = asked.path.endswith("/events") or "/events/" in asked.path
    return asked.method in WRITE_METHODS and not asked.is_dry and asked.path != REVIEW_PATH and not is_event


def _response(code: int, answer: Any) -> web.Response:
    if isinstance(answer, bytes):
        return web.Response(body=answer, content_type="text/plain", status=code)
    return web.json_response(answer, status=code)


def prometheus(metrics: StoryPrometheus) -> Callable[[web.Request], Any]:
    """The handler of its query API; what the story has no answer to is 503, as it is in a story."""

    async def handle(request: web.Request) -> web.Response:
        form = await request.post() if request.method == "POST" else {}
        asked = {**request.query, **{key: str(value) for key, value in form.items()}}
        if request.path == "/api/v1/rules":
            return _success({"groups": [await _group(metrics, request.query.getall("rule_name[]", []))]})
        if request.path != "/api/v1/query":
            return web.Response(text="Prometheus Server is Ready.\n")
        at = datetime.fromtimestamp(float(asked["time"]), UTC) if "time" in asked else None
        try:
            samples = await metrics.query(asked["query"], at=at)
        except PrometheusUnavailable as error:
            return web.json_response({"status": "error", "errorType": "internal", "error": str(error)}, status=503)
        series = [{"metric": dict(one.labels), "value": [0, repr(one.value)]} for one in samples]
        return _success({"resultType": "vector", "result": series})

    return handle


async def _group(metrics: StoryPrometheus, names: Sequence[str]) -> Any:
    rules = [rule for name in names for rule in await metrics.alerting_rules(name)]
    return {
        "name": "story",
        "file": "story.yaml",
        "interval": 30,
        "rules": [
            {
                "type": "alerting",
                "name": rule.name,
                "query": rule.query,
                "labels": dict(rule.labels),
                "annotations": {},
                "duration": 0,
                "alerts": [],
                "health": rule.health,
                "lastEvaluation": rfc3339(rule.last_evaluated_at) if rule.last_evaluated_at else "",
            }
            for rule in rules
        ],
    }


def _success(data: Any) -> web.Response:
    return web.json_response({"status": "success", "data": data})


@asynccontextmanager
async def serving(handler: Callable[[web.Request], Any]) -> AsyncIterator[str]:
    """Its URL, on a free port."""
    application = web.Application(client_max_size=16 * 2**20)
    application.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
