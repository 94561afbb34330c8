"""The only source of time. Everything that waits or reads the hour gets a `Clock` as an argument. How long ago
something was, whatever is done to the hour meanwhile, `steady_seconds` tells."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

_STEADY = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))
"""Linux' CLOCK_MONOTONIC stands still while the machine sleeps, CLOCK_BOOTTIME does not."""


def steady_seconds() -> float:
    """Seconds since some moment, which nobody sets; they pass also while this process is stopped or the machine sleeps.

    What a hypervisor takes away from a whole machine no clock of it sees: then only the API server can refuse.
    """
    return time.monotonic() if _STEADY is None else time.clock_gettime(_STEADY)


class Clock(Protocol):
    """Wall-clock time in UTC, and waiting in the same time."""

    def now(self) -> datetime: ...

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class FastClock:
    """A clock that runs `speed` times as fast, so that the demo can verify for two minutes in one second."""

    def __init__(self, *, speed: float, start: datetime | None = None) -> None:
        self._speed = speed
        self._origin = datetime.now(UTC)
        self._start = start or self._origin

    def now(self) -> datetime:
        elapsed = (datetime.now(UTC) - self._origin).total_seconds()
        return self._start + timedelta(seconds=elapsed * self._speed)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._speed)


def rfc3339(instant: datetime) -> str:
    """UTC instant as Kubernetes and Prometheus print it: `2026-11-23T12:00:07Z`, with microseconds when it has any."""
    text = instant.astimezone(UTC).isoformat()
    return text.replace("+00:00", "Z")


def parse_rfc3339(text: str) -> datetime:
    """The reverse of `rfc3339`; takes zero to nine fraction digits and any offset (Go prints nine).

    Raises ValueError on anything else, and on a time without a zone.
    """
    body, dot, rest = text.partition(".")
    if dot:
        digits = len(rest) - len(rest.lstrip("0123456789"))
        text = f"{body}.{rest[:digits][:6].ljust(6, '0')}{rest[digits:]}"
    instant = datetime.fromisoformat(text.replace("Z", "+00:00"))
    if instant.tzinfo is None:
        raise ValueError(f"time without a zone: {text!r}")
    try:
        return instant.astimezone(UTC)
    except OverflowError:  # Go's zero time with an offset lies before year 1 in UTC
        return datetime.min.replace(tzinfo=UTC)
