"""A small HTTP server on a free port of 127.0.0.1, for the embedded cluster and the embedded Prometheus."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from aiohttp import web

from remediator.clock import Clock

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Loopback:
    """Serves every path with one handler, and calls `tick` each `tick_seconds` of the clock, while entered."""

    def __init__(self, handler: Handler, clock: Clock, *, tick: Callable[[], None], tick_seconds: float) -> None:
        self._handler = handler
        self._clock = clock
        self._tick = tick
        self._tick_seconds = tick_seconds
        self._tasks = asyncio.TaskGroup()
        self.url = ""

    async def __aenter__(self) -> Self:
        application = web.Application(client_max_size=16 * 2**20)
        application.router.add_route("*", "/{path:.*}", self._handler)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        await self._tasks.__aenter__()
        self._ticking = self._tasks.create_task(self._tick_forever())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ticking.cancel()
        try:
            await self._tasks.__aexit__(None, None, None)
        finally:
            await self._runner.cleanup()

    async def _tick_forever(self) -> None:
        while True:
            await self._clock.sleep(self._tick_seconds)
            self._tick()
