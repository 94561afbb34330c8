"""The listening socket: how long and how many clients may stay connected.

`app.py` starts one `HttpServer` with the application and stops it when the process drains.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from remediator.errors import ConfigError

KEEPALIVE_SECONDS = 330.0
"""Above the five minutes for which Alertmanager keeps a connection, so that its POST never meets one that closes."""
HEADERS_SECONDS = 5.0
MAX_CONNECTIONS = 256


class HttpServer:
    """Owns the socket and the connections. `start` once, `stop` once."""

    def __init__(self, application: web.Application, *, grace_seconds: float) -> None:
        """`grace_seconds` is how long running requests may take to finish after `stop`."""
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=grace_seconds)
        self._server: asyncio.Server | None = None

    async def start(self, host: str | None, port: int) -> None:
        """Listen. Host None: all addresses; port 0: any free one. Raises ConfigError when the address is taken."""
        await self._runner.setup()
        manager = self._runner.server
        assert manager is not None
        loop = asyncio.get_running_loop()

        def connection() -> asyncio.Protocol:
            if len(manager.connections) >= MAX_CONNECTIONS:
                return _Refusal()
            return _Connection(
                manager,
                loop=loop,
                keepalive_timeout=KEEPALIVE_SECONDS,
                auto_decompress=False,
                access_log=None,  # type: ignore[arg-type]  # aiohttp's annotation forgets that None means none
            )

        try:
            self._server = await loop.create_server(connection, host, port)
        except OSError as error:
            await self._runner.cleanup()
            raise ConfigError(f"web_listen_address: cannot listen on {host or ''}:{port}: {error.strerror}") from error

    @property
    def port(self) -> int:
        """The port it listens on, after `start`."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        """Take no more connections, let running requests finish, close the rest."""
        if self._server is not None:
            self._server.close()
        await self._runner.cleanup()


class _Connection(web.RequestHandler):
    """A connection that is closed when its first request's headers take too long. aiohttp itself waits for ever."""

    __slots__ = ("_until_headers",)

    _until_headers: asyncio.TimerHandle | None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        loop = asyncio.get_running_loop()
        self._until_headers = loop.call_later(HEADERS_SECONDS, self.force_close)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.headers_arrived()
        super().connection_lost(exc)

    def headers_arrived(self) -> None:
        if self._until_headers is not None:
            self._until_headers.cancel()
            self._until_headers = None


class _Refusal(asyncio.Protocol):
    """Closes at once: the client sees a transport error, which Alertmanager retries."""

    def connection_made(self, transport: Any) -> None:
        transport.abort()


def request_arrived(request: web.Request) -> None:
    """Called at the start of each request: its connection has shown itself to be in earnest."""
    if isinstance(request.protocol, _Connection):
        request.protocol.headers_arrived()
