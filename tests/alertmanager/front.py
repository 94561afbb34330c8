"""A proxy that plays what lies between Alertmanager and the service: it refuses, cuts off, redirects, is slow."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Self

from aiohttp import ClientSession, web

from tests.cluster.processes import free_ports

PATH = "/api/v1/alerts"


class Does(Enum):
    PASS = "hand it on"
    RESET = "close before anybody has read it"
    LOSE_REPLY = "hand it on, and close instead of the answer"
    HOLD = "hand it on, and keep the answer until `release`"


Behaviour = Does | int | str
"""An int is answered in place of the service; a str is redirected to, by the status before its first blank."""


@dataclass(frozen=True, slots=True)
class Arrival:
    method: str
    body: bytes
    behaviour: Behaviour


@dataclass
class Front:
    """Use as a context manager. Plays `script` one after the other, the last for ever."""

    service_url: str
    script: Sequence[Behaviour] = (Does.PASS,)
    arrivals: list[Arrival] = field(default_factory=list)
    answered: list[int] = field(default_factory=list)
    """What the service said, in order."""

    def __post_init__(self) -> None:
        self._port = free_ports(1)[0]
        self._released = asyncio.Event()
        self._runner = web.ServerRunner(web.Server(self._handle))  # type: ignore[arg-type]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}{PATH}"

    @property
    def bodies(self) -> list[bytes]:
        return [arrival.body for arrival in self.arrivals if arrival.method == "POST"]

    def release(self) -> None:
        self._released.set()

    async def listen(self) -> None:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()

    async def __aenter__(self) -> Self:
        self._client = ClientSession()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._released.set()
        await self._runner.cleanup()
        await self._client.close()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        does = self.script[min(len(self.arrivals), len(self.script) - 1)]
        self.arrivals.append(Arrival(request.method, body, does))
        if isinstance(does, int):
            return web.Response(status=does, headers={"Retry-After": "60"})
        if isinstance(does, str):
            status, _, place = does.partition(" ")
            return web.Response(status=int(status), headers={"Location": place})
        if does is Does.RESET:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        async with self._client.post(
            self.service_url + PATH, data=body, headers={"Content-Type": request.headers["Content-Type"]}
        ) as reply:
            status, content = reply.status, await reply.read()
        self.answered.append(status)
        if does is Does.HOLD:
            await self._released.wait()
        if does is Does.LOSE_REPLY:
            assert request.transport is not None
            request.transport.abort()
        return web.Response(status=status, body=content)
