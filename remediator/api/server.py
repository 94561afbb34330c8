"""The listening socket: how long and how many clients may stay connected.

`app.py` starts one `HttpServer` with the application and stops it when the process drains.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

from aiohttp import web

from remediator.access.tls import Tls, names_of
from remediator.errors import ConfigError

KEEPALIVE_SECONDS = 330.0
"""Above the five minutes for which Alertmanager keeps a connection, so that its POST never meets one that closes."""
HEADERS_SECONDS = 5.0
MAX_CONNECTIONS = 256


class HttpServer:
    """Owns the socket and the connections. `start` once, `stop` once."""

    def __init__(self, application: web.Application, *, grace_seconds: float, tls: Tls | None = None) -> None:
        """`grace_seconds` is how long running requests may take to finish after `stop`. `tls` None: plain HTTP."""
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=grace_seconds)
        self._server: asyncio.Server | None = None
        self._tls = tls
        self._newest = None if tls is None else _Newest(tls.context)

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
                self._tls,
                manager,
                loop=loop,
                keepalive_timeout=KEEPALIVE_SECONDS,
                auto_decompress=False,
                access_log=None,
            )

        try:
            self._server = await loop.create_server(
                connection,
                host,
                port,
                ssl=self._newest,
                ssl_handshake_timeout=None if self._newest is None else HEADERS_SECONDS,
                ssl_shutdown_timeout=None if self._newest is None else HEADERS_SECONDS,
            )
        except OSError as error:
            await self._runner.cleanup()
            raise ConfigError(f"web_listen_address: cannot listen on {host or ''}:{port}: {error.strerror}") from error

    @property
    def port(self) -> int:
        """The port it listens on, after `start`."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def renew(self, tls: Tls | None) -> None:
        """Serve new connections with this. Where others are trusted than before the old ones end, and with them what
        they ask for now: they were let in by who was trusted then. Alertmanager sends again."""
        if tls is None or self._tls is None or self._newest is None:
            return
        if tls.trust != self._tls.trust and self._runner.server is not None:
            for connection in list(self._runner.server.connections):
                connection.force_close()
        self._tls, self._newest.newest = tls, tls.context

    async def stop(self) -> None:
        """Take no more connections, let running requests finish, close the rest."""
        if self._server is not None:
            self._server.close()
        await self._runner.cleanup()


class _Newest(ssl.SSLContext):
    """Serves each new connection with the newest context; asyncio keeps the one that it was given at the start."""

    newest: ssl.SSLContext

    def __new__(cls, newest: ssl.SSLContext) -> _Newest:
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(self, newest: ssl.SSLContext) -> None:
        self.newest = newest

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        return self.newest.wrap_bio(*args, **options)


class _Connection(web.RequestHandler):
    """A connection that is closed when its first request's headers take too long (aiohttp itself waits for ever), or
    when its client's certificate has none of the names that are let in."""

    __slots__ = ("_tls", "_until_headers")

    _until_headers: asyncio.TimerHandle | None

    def __init__(self, tls: Tls | None, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._tls = tls
        self._until_headers = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self._tls is not None and not self._tls.lets_in(names_of(transport.get_extra_info("peercert"))):
            self.force_close()
            return
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
