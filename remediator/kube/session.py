"""The open HTTP session to one API server, and its renewal when a token or certificate file changes.

Called by `kube/exchange.py` for each attempt. Requests go over the library's connections, not through its `call_api`:
that one re-serialises bodies, follows redirects and, without preloading, checks no status. Nor through its session,
which looks for ~/.netrc and the environment's proxies on a thread, twice for each request: that takes five times as
long as the request.
Proxies: HTTPS_PROXY, HTTP_PROXY and NO_PROXY of the environment are honoured, as is `proxy-url` of a kubeconfig. They
are read when the connection is made, as client-go reads them once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import aiohttp
from yarl import URL

from remediator.bodies import whole
from remediator.errors import ConfigError
from remediator.kube.credentials import Access, Source, load
from remediator.kube.library import ApiClient
from remediator.proxies import proxy_of_environment

log = logging.getLogger(__name__)

READ_BUFFER_BYTES = 2**21
"""As the library has it: one large object, so that a list does not stop at aiohttp's 64 KiB again and again."""

MAX_BYTES = 16 * 1024 * 1024
"""Of one answer: an object has at most 1.5 MiB (etcd's limit), a page of a list a hundred objects, of 20 KB mostly."""

Fingerprint = tuple[tuple[int, int, int] | None, ...]
Handler = Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]]


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it came, whatever its status."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class SentTwice(aiohttp.ClientError):
    """aiohttp wanted to repeat a request on its own after a lost connection."""


class Connection:
    """One set of credentials with its connection pool; closed when it is retired and its last answer is in."""

    def __init__(self, access: Access, *, max_connections: int, user_agent: str, fingerprint: Fingerprint) -> None:
        access.configuration.connection_pool_maxsize = max_connections
        self._api: Any = ApiClient(access.configuration)
        rest = self._api.rest_client
        self._session = aiohttp.ClientSession(
            connector=rest.pool_manager.connector, connector_owner=False, read_bufsize=READ_BUFFER_BYTES
        )
        self._proxy = rest.proxy or proxy_of_environment(access.configuration.host)
        self._user_agent = user_agent
        self.files = access.files
        self.fingerprint = fingerprint
        self.users = 0
        self.is_retired = False

    @property
    def token(self) -> str:
        """The bearer token, for removing it from texts; empty when there is none."""
        key: str = self._api.configuration.api_key.get("BearerToken") or ""
        return key.partition(" ")[2]

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes | None,
        limit_seconds: float,
    ) -> Reply:
        """Send once and read the whole answer. Raises TimeoutError, aiohttp.ClientError, OSError, InvalidURL, TooLarge.
        """
        authorization = self._api.configuration.api_key.get("BearerToken")
        own = {"User-Agent": self._user_agent} | ({"Authorization": authorization} if authorization else {})
        was_sent = False

        async def once(request: aiohttp.ClientRequest, handler: Handler) -> aiohttp.ClientResponse:
            # aiohttp repeats PUT and DELETE by itself when a reused connection drops; the first may have been done.
            nonlocal was_sent
            if was_sent:
                raise SentTwice(f"connection lost after {method} was sent")
            was_sent = True
            return await handler(request)

        rest = self._api.rest_client
        extra = {"server_hostname": rest.server_hostname} if rest.server_hostname else {}
        async with (
            asyncio.timeout(limit_seconds),
            self._session.request(
                method,
                URL(self._api.configuration.host + path).update_query(dict(query)),
                headers={**own, **headers},
                data=body,
                # A connection that does not come up in half the time has certainly not carried the request yet.
                timeout=aiohttp.ClientTimeout(total=None, connect=limit_seconds / 2),
                allow_redirects=False,
                middlewares=(once,),
                proxy=self._proxy,
                proxy_headers=rest.proxy_headers,
                **extra,
            ) as response,
        ):
            body = await whole(response.content.iter_any(), max_bytes=MAX_BYTES)
            return Reply(response.status, response.headers, body)

    async def close(self) -> None:
        await self._session.close()
        await self._api.close()


class Session:
    """The current `Connection` of one cluster, replaced when what it was built from has changed."""

    def __init__(self, source: Source, *, max_connections: int, user_agent: str, limit_seconds: float) -> None:
        self._source = source
        self._max_connections = max_connections
        self._user_agent = user_agent
        self._limit_seconds = limit_seconds
        self._lock = asyncio.Lock()
        self._current: Connection

    @classmethod
    async def open(cls, source: Source, *, max_connections: int, user_agent: str, limit_seconds: float) -> Self:
        """Raises ConfigError when the source cannot be used. Nothing is sent yet."""
        session = cls(source, max_connections=max_connections, user_agent=user_agent, limit_seconds=limit_seconds)
        session._current = await session._build()
        return session

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """The connection to use now; what is under way on an older one may end first."""
        if _fingerprint(self._current.files) != self._current.fingerprint:
            await self._replace(self._current)
        used = self._current
        used.users += 1
        try:
            yield used
        finally:
            used.users -= 1
            await _close_if_done(used)

    async def renew(self, rejected: Connection) -> bool:
        """Read the credentials again after a 401. False when there are none to read, or they cannot be read."""
        return self._source.has_credentials and await self._replace(rejected)

    async def _replace(self, old: Connection) -> bool:
        async with self._lock:
            if self._current is not old:
                return True
            # Noted before the attempt: a file that is no use is not read again until it changes again.
            old.fingerprint = _fingerprint(old.files)
            try:
                self._current = await self._build()
            except ConfigError as error:
                log.warning("credentials not renewed, keeping the old ones: %s", error)
                return False
            if self._current.files == old.files:
                # A file that changed while we read it is read again at the next request.
                self._current.fingerprint = old.fingerprint
            old.is_retired = True
        await _close_if_done(old)
        return True

    async def _build(self) -> Connection:
        access = await load(self._source, limit_seconds=self._limit_seconds)
        try:
            return Connection(
                access,
                max_connections=self._max_connections,
                user_agent=self._user_agent,
                fingerprint=_fingerprint(access.files),
            )
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError: a file that is no certificate
            raise ConfigError(f"{self._source}: certificates cannot be loaded: {type(error).__name__}") from error

    async def close(self) -> None:
        self._current.is_retired = True
        await self._current.close()


async def _close_if_done(connection: Connection) -> None:
    if connection.is_retired and connection.users == 0:
        await connection.close()


def _fingerprint(files: tuple[Path, ...]) -> Fingerprint:
    return tuple(_identity(path) for path in files)


def _identity(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
