"""One call to the API server: a place among the concurrent ones, a time limit, and repeats where they do no harm.

Called by `kube/client.py`. What may be repeated follows client-go (`rest/with_retry.go`) and is stricter for writes:
a write is sent again only when it was certainly not handled (no connection, 429, 401).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

import aiohttp
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random, wait_random_exponential

from remediator.bodies import TooLarge
from remediator.clock import Clock, steady_seconds
from remediator.errors import PermanentError, cut
from remediator.kube.base import ReplyLost, TooLate, Unreachable
from remediator.kube.replies import error_of, read_status
from remediator.kube.session import Reply

MAX_ATTEMPTS = 5
MAX_RETRY_AFTER_SECONDS = 32.0
"""The API server's own upper limit for what it asks clients to wait."""

NOT_SENT = (
    aiohttp.ClientConnectorError,  # refused, DNS, TLS, proxy refused
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ServerFingerprintMismatch,
)


@dataclass(frozen=True, slots=True)
class Call:
    """What to ask. `is_repeatable`: doing it twice is the same as doing it once (a read, a dry run). `not_after`: the
    steady second at which the right to ask ends, None: it does not."""

    method: str
    path: str
    is_repeatable: bool
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    not_after: float | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.path}" + (" (dry run)" if "dryRun" in self.query else "")


class Carrying(Protocol):
    """One set of credentials with its way to the server: `session.Connection`, or the embedded cluster's own."""

    @property
    def token(self) -> str: ...

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes | None,
        limit_seconds: float,
    ) -> Reply: ...


class Transport(Protocol):
    """Where calls go: `session.Session`, or the embedded cluster in this process (`simulate/inprocess.py`)."""

    def connection(self) -> AbstractAsyncContextManager[Carrying]: ...

    async def renew(self, rejected: Any) -> bool:
        """`rejected` is one that `connection` gave."""

    async def close(self) -> None: ...


class Exchange:
    """Carries calls to one cluster. `limit_seconds` is for one attempt, `total_seconds` for all and their pauses."""

    def __init__(
        self, session: Transport, clock: Clock, *, limit_seconds: float, total_seconds: float, max_concurrent: int
    ) -> None:
        self._session = session
        self._clock = clock
        self._limit_seconds = limit_seconds
        self.total_seconds = total_seconds
        self._slots = asyncio.Semaphore(max_concurrent)
        self.clock_offset_seconds: float | None = None

    async def perform(self, call: Call) -> bytes:
        """The body of a 2xx answer. Raises the errors of `kube/base.py`."""
        started_at = self._clock.now()
        try:  # nearly always the only one, and tenacity takes as long as all the rest of it
            return await self.attempt(call)
        except Unreachable as error:
            first: Unreachable | None = error

        def is_over(state: RetryCallState) -> bool:
            elapsed = (self._clock.now() - started_at).total_seconds()
            asked = _asked_pause(state) or 0.0
            return (
                state.attempt_number >= MAX_ATTEMPTS
                or asked > MAX_RETRY_AFTER_SECONDS
                or elapsed + state.upcoming_sleep >= self.total_seconds
            )

        retrying = AsyncRetrying(
            retry=retry_if_exception_type(Unreachable),
            wait=_pause,
            stop=is_over,
            sleep=self._clock.sleep,
            reraise=True,
        )

        async def once_more() -> bytes:
            nonlocal first
            if first is not None:
                failed, first = first, None
                raise failed
            return await self.attempt(call)

        return await retrying(once_more)

    async def attempt(self, call: Call) -> bytes:
        """One try, with one repeat after a 401 whose credentials could be read again."""
        async with self._session.connection() as used:
            reply = await self._send(used, call)
        if reply.status == 401 and await self._session.renew(used):
            async with self._session.connection() as used:
                reply = await self._send(used, call)
        self._compare_clocks(reply)
        if 200 <= reply.status < 300:
            return reply.body
        status = read_status(_without_token(reply.body, used.token), reply.headers)
        raise error_of(str(call), reply.status, status, is_repeatable=call.is_repeatable)

    def _compare_clocks(self, reply: Reply) -> None:
        try:
            theirs = parsedate_to_datetime(reply.headers.get("Date", ""))
        except (ValueError, TypeError):
            return
        if theirs.tzinfo is not None:
            self.clock_offset_seconds = round((self._clock.now() - theirs).total_seconds(), 1)

    async def _send(self, connection: Carrying, call: Call) -> Reply:
        async with self._slot(call):
            self._in_time(call)
            try:
                return await connection.request(
                    call.method,
                    call.path,
                    query=call.query,
                    headers=call.headers,
                    body=call.body,
                    limit_seconds=self._limit_seconds,
                )
            except NOT_SENT as error:
                raise Unreachable(f"{call}: not sent: {_reason(error)}") from error
            except aiohttp.InvalidURL as error:
                raise PermanentError(f"{call}: not a usable address") from error
            except TooLarge as error:
                raise _too_large(call, error) from error
            except TimeoutError as error:
                raise _lost(call, f"no answer within {self._limit_seconds:g} s") from error
            except (aiohttp.ClientError, OSError) as error:
                raise _lost(call, f"connection lost: {_reason(error)}") from error

    def _in_time(self, call: Call) -> None:
        """The last thing that is asked before the call leaves, for each attempt anew: the process may have been stopped
        since it was allowed. Raises TooLate."""
        if call.not_after is not None and steady_seconds() + self._limit_seconds > call.not_after:
            raise TooLate(f"{call}: not sent: the claim that allowed it ends within {self._limit_seconds:g} s, or did")

    @asynccontextmanager
    async def _slot(self, call: Call) -> AsyncIterator[None]:
        """A place among `max_concurrent`. Pushes back: callers wait, and give up when their time is over."""
        try:
            async with asyncio.timeout(self._limit_seconds):
                await self._slots.acquire()
        except TimeoutError as error:
            raise Unreachable(f"{call}: not sent: no free slot within {self._limit_seconds:g} s") from error
        try:
            yield
        finally:
            self._slots.release()


def _lost(call: Call, what: str) -> Unreachable | ReplyLost:
    if call.is_repeatable:
        return Unreachable(f"{call}: {what}")
    return ReplyLost(f"{call}: {what}; it may have been done")


def _too_large(call: Call, error: TooLarge) -> PermanentError | ReplyLost:
    """Not to be asked for again: it would be as large."""
    if call.is_repeatable:
        return PermanentError(f"{call}: the answer has {error}")
    return ReplyLost(f"{call}: the answer has {error}; it may have been done")


def _asked_pause(state: RetryCallState) -> float | None:
    error = state.outcome.exception() if state.outcome else None
    return error.retry_after_seconds if isinstance(error, Unreachable) else None


def _pause(state: RetryCallState) -> float:
    asked = _asked_pause(state)
    if asked is not None:
        return asked + wait_random(0, 1)(state)
    return wait_random_exponential(multiplier=0.2, max=5)(state)


def _reason(error: BaseException) -> str:
    """The error in a few words; a proxy's address in it loses its user and password."""
    return cut(re.sub(r"://[^/@\s]*@", "://…@", str(error) or type(error).__name__))


def _without_token(body: bytes, token: str) -> bytes:
    return body.replace(token.encode(), b"<token>") if token else body
