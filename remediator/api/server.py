"""The listening socket. Who stays connected, and for how long, is `connections.py`'s.

`app.py` starts one `HttpServer` with the application and stops it when the process drains.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

from aiohttp import web

from remediator.access.tls import Tls
from remediator.api.connections import HEADERS_SECONDS, LOOK_SECONDS, Connection, Connections
from remediator.errors import ConfigError

MAX_CONNECTIONS = 256
MAX_CONNECTIONS_PER_PEER = 32


class HttpServer:
    """Owns the socket and the connections. `start` once, `stop` once."""

    def __init__(
        self,
        application: web.Application,
        *,
        grace_seconds: float,
        tls: Tls | None = None,
        max_connections: int = MAX_CONNECTIONS,
        max_connections_per_peer: int = MAX_CONNECTIONS_PER_PEER,
        refused: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`grace_seconds` is how long running requests may take to finish after `stop`. `tls` None: plain HTTP.
        `refused` is told why a connection was ended by us before it had asked for anything."""
        self.connections = Connections(
            at_most=max_connections, at_most_per_peer=max_connections_per_peer, refused=refused
        )
        self._looking: asyncio.TimerHandle | None = None
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
            return Connection(
                self.connections, self._tls, manager, loop=loop, auto_decompress=False, access_log=None
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
        self._look()

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
        if self._looking is not None:
            self._looking.cancel()
        if self._server is not None:
            self._server.close()
        await self._runner.cleanup()

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        self.connections.look(loop.time())
        self._looking = loop.call_later(LOOK_SECONDS, self._look)


class _Newest(ssl.SSLContext):
    """Serves each new connection with the newest context; asyncio keeps the one that it was given at the start."""

    newest: ssl.SSLContext

    def __new__(cls, newest: ssl.SSLContext) -> _Newest:
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(self, newest: ssl.SSLContext) -> None:
        self.newest = newest

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        return self.newest.wrap_bio(*args, **options)
