"""Waiting for a condition instead of sleeping: every wait of the cluster tests goes through here.

`wait_for` blocks and belongs in synchronous tests; `wait_for_async` lets the loop of the test run on.
"""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar, cast, overload

T = TypeVar("T")

POLL_SECONDS = 0.05


class WaitedInVain(AssertionError):
    """The condition did not come about within its time; says what was waited for and the last value seen."""


def wait_for(predicate: Callable[[], T], *, timeout_seconds: float, what: str) -> T:
    """Return the first true value of `predicate`; an AssertionError inside it counts as "not yet"."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        value = _tried(predicate)
        if inspect.isawaitable(value):
            raise TypeError("wait_for takes a synchronous predicate; use wait_for_async")
        if _is_met(value):
            return cast(T, value)
        if time.monotonic() >= deadline:
            raise WaitedInVain(_message(what, timeout_seconds, value))
        time.sleep(POLL_SECONDS)


@overload
async def wait_for_async(
    predicate: Callable[[], Coroutine[Any, Any, T]], *, timeout_seconds: float, what: str
) -> T: ...
@overload
async def wait_for_async(predicate: Callable[[], T], *, timeout_seconds: float, what: str) -> T: ...
async def wait_for_async(predicate: Callable[[], object], *, timeout_seconds: float, what: str) -> object:
    """Like `wait_for`, for a plain predicate or a coroutine function; does not block the loop."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        value = _tried(predicate)
        if inspect.isawaitable(value):
            value = await _tried_async(value)
        if _is_met(value):
            return value
        if time.monotonic() >= deadline:
            raise WaitedInVain(_message(what, timeout_seconds, value))
        await asyncio.sleep(POLL_SECONDS)


def _tried(predicate: Callable[[], object]) -> object:
    try:
        return predicate()
    except AssertionError as not_yet:
        return not_yet


async def _tried_async(value: Awaitable[object]) -> object:
    try:
        return await value
    except AssertionError as not_yet:
        return not_yet


def _is_met(value: object) -> bool:
    return bool(value) and not isinstance(value, AssertionError)


def _message(what: str, timeout_seconds: float, value: object) -> str:
    seen = repr(value)
    if len(seen) > 2000:
        seen = f"{seen[:2000]}... ({len(seen)} characters)"
    return f"waited {timeout_seconds:g} s for {what}; last seen: {seen}"
