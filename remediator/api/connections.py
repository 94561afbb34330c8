"""Which clients stay connected, and for how long: aiohttp itself waits for half a request, and for who does not read
its answer, for ever.

`server.py` makes a `Connection` for each socket and looks after all of them twice a second; `application.py` says when
a request came and when it was answered. The parser, the keep-alive and the answers stay aiohttp's.

Two needs pull at the idle time: Alertmanager keeps a connection for five minutes and meets an error where it is closed
under its POST, but 15 s is all that a stranger should get. So a connection by which alerts were delivered stays for
longer than Alertmanager keeps it, every other one for 15 s; and where sockets are short, who waits longest goes first.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection
from enum import Enum, auto
from typing import Any

import structlog
from aiohttp import web

from remediator.access.tls import Tls, names_of
from remediator.api.answers import SECURITY_HEADERS, problem
from remediator.errors import cut

HEADERS_SECONDS = 5.0
"""From the connection, or the first byte of a later request, to the end of the headers."""
REQUEST_SECONDS = 8.0
"""From there to the end of the body: with the answer and what lingers, the socket is free after 10 s."""
IDLE_SECONDS = 15.0
KEEPALIVE_SECONDS = 330.0
"""Above the five minutes for which Alertmanager keeps a connection, so that its POST never meets one that closes."""
UNREAD_SECONDS = 10.0
"""For how long an answer may lie unread before its connection is given up."""
LINGERING_SECONDS = 0.5
"""For which the rest of a refused body is read and dropped, so that the client sees the refusal."""
LOOK_SECONDS = 0.5
PROMPT_SECONDS = 0.5
"""Within which who has just connected is expected to ask: as many come from one Alertmanager when many groups flush."""
_LEAST_PROGRESS_BYTES = 1024

_log = structlog.get_logger(__name__)


class BodyTooSlow(TimeoutError):
    """Raised where the handler reads the body."""


class Standing(Enum):
    COMING = auto()
    """Connected, or in the middle of headers."""
    ASKED = auto()
    """A request is being answered; its body may still be on the way."""
    IDLE = auto()
    DELIVERED = auto()
    """Idle, and alerts were delivered by it."""


class Connections:
    """All connections of a server. `refused` is told why one was not let in, or ended before it had asked."""

    def __init__(self, *, at_most: int, at_most_per_peer: int, refused: Callable[[str], None]) -> None:
        self._at_most = at_most
        self._at_most_per_peer = at_most_per_peer
        self.refused = refused
        self._all: set[Connection] = set()
        self._of_peer: Counter[str] = Counter()

    def take_in(self, one: Connection) -> bool:
        """Whether there is room, or who waits longest makes it: a client that sends its request at once is never that
        one, also when somebody opens sockets faster than they run out."""
        if self._of_peer[one.peer] >= self._at_most_per_peer:
            room = self._make_room("peer", one.peer)
        else:
            room = len(self._all) < self._at_most or self._make_room("all", None)
        if room:
            self._all.add(one)
            self._of_peer[one.peer] += 1
        return room

    def leave(self, one: Connection) -> None:
        if one in self._all:
            self._all.remove(one)
            self._of_peer[one.peer] -= 1
            if not self._of_peer[one.peer]:
                del self._of_peer[one.peer]

    def all(self) -> Collection[Connection]:
        return frozenset(self._all)

    def look(self, now: float) -> None:
        """End whoever took too long."""
        for one in list(self._all):
            if (why := one.overdue(now)) is not None:
                self._end(one, why)

    def _make_room(self, short: str, peer: str | None) -> bool:
        waiting = [one for one in self._all if one.is_awaited and peer in (None, one.peer)]
        if not waiting:
            self.refused(f"connections_{short}")
            return False
        now = asyncio.get_running_loop().time()
        self._end(min(waiting, key=lambda one: (one.right_to_wait(now), one.since)), f"connections_{short}")
        return True

    def _end(self, one: Connection, why: str) -> None:
        self.leave(one)
        if one.standing is not Standing.IDLE or why != "idle":
            self.refused(why)
            _log.debug("connection ended", why=why, peer=one.peer)
        one.end()


class Connection(web.RequestHandler):
    """One client. `since` is when its standing began, on the loop's clock."""

    __slots__ = ("_connections", "_looked_at", "_request", "_tls", "_unread", "peer", "since", "standing")

    def __init__(self, connections: Connections, tls: Tls | None, *args: Any, **options: Any) -> None:
        super().__init__(*args, keepalive_timeout=KEEPALIVE_SECONDS, lingering_time=LINGERING_SECONDS, **options)
        self._connections = connections
        self._tls = tls
        self._request: web.Request | None = None
        self._unread = 0
        self._looked_at = 0.0
        self.peer = ""
        self.standing = Standing.COMING
        self.since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        address = transport.get_extra_info("peername")
        self.peer = str(address[0]) if address else ""
        self.since = self._looked_at = asyncio.get_running_loop().time()
        super().connection_made(transport)
        certified = self._tls is None or self._tls.lets_in(names_of(transport.get_extra_info("peercert")))
        if not certified or not self._connections.take_in(self):
            self.end()  # the client sees a transport error, which Alertmanager retries

    def connection_lost(self, exc: BaseException | None) -> None:
        self._connections.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.standing is Standing.IDLE or self.standing is Standing.DELIVERED:
            self._turn(Standing.COMING)
        super().data_received(data)

    def asked(self, request: web.Request) -> None:
        """A request's headers are there."""
        if self.standing is not Standing.COMING:
            self.since = asyncio.get_running_loop().time()  # it came together with the one before
        self.standing = Standing.ASKED
        self._request = request
        if not self.connected:  # it ended before its handler had a turn
            self._break_off()

    def answered(self, *, is_delivery: bool) -> None:
        self._request = None
        self._turn(Standing.DELIVERED if is_delivery else Standing.IDLE)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What is no HTTP is answered and counted. aiohttp would print a stack trace for each: whoever reaches the port
        could fill the log."""
        if status >= 500:
            return super().handle_error(request, status, exc, message)
        self._connections.refused("malformed")
        _log.debug("not HTTP", problem=cut(str(message)), peer=self.peer)
        answer = problem(status, f"not HTTP: {message.splitlines()[0] if message else type(exc).__name__}")
        answer.headers.update(SECURITY_HEADERS)
        answer.force_close()
        return answer

    @property
    def is_awaited(self) -> bool:
        """Whether it is the client's turn: nothing is lost but its time where the connection ends now."""
        return self.standing is not Standing.ASKED or (self._request is not None and not self._request.content.is_eof())

    def right_to_wait(self, now: float) -> int:
        """The less, the sooner it goes where sockets are short: who idles, who is slow with a request, who idles after
        a delivery (and loses nothing by connecting anew), and last who has only just begun."""
        if self.standing is Standing.IDLE:
            return 0
        if self.standing is Standing.DELIVERED:
            return 2
        return 1 if now - self.since >= PROMPT_SECONDS else 3

    def overdue(self, now: float) -> str | None:
        """Why the connection is to end now, if it is. A body that is too slow ends the request first."""
        if (why := self._left_unread(now)) is not None:
            return why
        waited = now - self.since
        if self.standing is Standing.COMING and waited >= HEADERS_SECONDS:
            return "headers"
        if self.standing is Standing.IDLE and waited >= IDLE_SECONDS:
            return "idle"
        if self.standing is Standing.ASKED and waited >= REQUEST_SECONDS and self._request is not None:
            self._give_up_body(self._request)
        return None

    def end(self) -> None:
        """Close; what was written is not waited for."""
        transport = self.transport
        self.force_close()
        self._break_off()
        if transport is not None and (self._unread or self.standing is Standing.ASKED):
            transport.abort()

    def _break_off(self) -> None:
        """Let whoever reads the body hear that no more of it comes. aiohttp would raise RuntimeError there, as for a
        fault of ours, and whoever opens sockets fast enough could fill the log with its traces."""
        body = None if self._request is None else self._request.content
        if body is not None and not body.is_eof() and body.exception() is None:
            body.set_exception(ConnectionResetError("the connection has ended"))

    def _give_up_body(self, request: web.Request) -> None:
        if not request.content.is_eof() and request.content.exception() is None:
            self._connections.refused("body")
            request.content.set_exception(BodyTooSlow(f"the body did not arrive within {REQUEST_SECONDS:g} s"))

    def _left_unread(self, now: float) -> str | None:
        """Whether the client takes nothing of what was written to it."""
        transport = self.transport
        size = 0 if transport is None else transport.get_write_buffer_size()
        if not size or size > self._unread or size <= self._unread - _LEAST_PROGRESS_BYTES:
            self._unread, self._looked_at = size, now
        return "unread" if size and now - self._looked_at >= UNREAD_SECONDS else None

    def _turn(self, standing: Standing) -> None:
        self.standing = standing
        self.since = asyncio.get_running_loop().time()


def request_arrived(request: web.Request) -> None:
    """Called at the start of each request."""
    if isinstance(request.protocol, Connection):
        request.protocol.asked(request)


def request_answered(request: web.Request, *, is_delivery: bool) -> None:
    """Called at its end. `is_delivery`: it brought alerts that were kept."""
    if isinstance(request.protocol, Connection):
        request.protocol.answered(is_delivery=is_delivery)
