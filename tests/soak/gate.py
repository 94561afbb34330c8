"""The network before the API server: it loses, delays, refuses and repeats nothing; and it remembers each write."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from aiohttp import web

from remediator.clock import Clock
from remediator.simulate.answers import broken
from remediator.simulate.api import REVIEW_PATH, Asked
from remediator.simulate.apiserver import WRITE_METHODS, EmbeddedCluster, asked_of
from remediator.simulate.loopback import Loopback

SHARE = 0.35
"""So many of the requests meet the present trouble, which is enough to break a way of twenty of them."""

SLOW_SECONDS = (0.2, 2.0)
CONFLICT = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Conflict", "code": 409}


@dataclass(frozen=True, slots=True)
class Written:
    """A write that changed the cluster: `began` and `done` in monotonic seconds, `at` of the clock."""

    began: float
    done: float
    at: datetime
    method: str
    path: str
    audit_id: str


class Gate:
    """An async context manager. `trouble` is what befalls requests now, "" nothing."""

    def __init__(self, cluster: EmbeddedCluster, clock: Clock, *, chance: random.Random) -> None:
        self._cluster = cluster
        self._clock = clock
        self._chance = chance
        self._server = Loopback(self._serve, clock, tick=lambda: None, tick_seconds=3600)
        self.trouble = ""
        self.writes: list[Written] = []
        self.met: dict[str, int] = {}
        self.dry_runs = 0

    async def __aenter__(self) -> Gate:
        await self._server.__aenter__()
        return self

    async def __aexit__(self, *failed: Any) -> None:
        await self._server.__aexit__(*failed)

    @property
    def url(self) -> str:
        return self._server.url

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        began = time.monotonic()
        asked = await asked_of(request)
        trouble = self.trouble if self.trouble and self._chance.random() < SHARE else ""
        if trouble:
            self.met[trouble] = self.met.get(trouble, 0) + 1
        match trouble:
            case "500" | "503" | "429":
                return self._answer(int(trouble), broken(int(trouble)).body, {"Retry-After": "1"})
            case "409" if asked.method == "PATCH":
                return self._answer(409, CONFLICT)
            case "reset":
                return _reset(request)
            case "slow":
                await asyncio.sleep(self._chance.uniform(*SLOW_SECONDS))
        code, answer = self._ask(request, asked, began)
        if trouble == "lost":
            return _reset(request)
        if isinstance(answer, bytes):
            return web.Response(body=answer, content_type="text/plain", status=code)
        return self._answer(code, answer)

    def _ask(self, request: web.Request, asked: Asked, began: float) -> tuple[int, Any]:
        code, answer = self._cluster.ask(asked)
        del self._cluster.requests[:]  # hours of them would be our own leak
        is_write = asked.method in WRITE_METHODS and asked.path != REVIEW_PATH and not asked.path.endswith("/events")
        self.dry_runs += is_write and asked.is_dry
        if is_write and not asked.is_dry and code < 400:
            name = request.headers.get("Audit-ID", "")
            one = Written(began, time.monotonic(), self._clock.now(), asked.method, asked.path, name)
            self.writes.append(one)
        return code, answer

    def _answer(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> web.Response:
        date = format_datetime(self._clock.now().astimezone(UTC), usegmt=True)
        return web.json_response(body, status=status, headers={"Date": date, **(headers or {})})


def _reset(request: web.Request) -> web.Response:
    """The connection ends without a word."""
    transport = request.transport
    if transport is not None:
        # Lingering for no time: the kernel sends RST instead of an orderly end.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response()
