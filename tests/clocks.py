"""A clock that a test moves. Sleeping moves it too, and takes no time. And a gate that lets every write through."""

from __future__ import annotations

from datetime import datetime, timedelta

from remediator.clock import steady_seconds
from tests.workloads import NOW


class FakeClock:
    """Starts at `NOW`; `jump` and `sleep` move it forward."""

    def __init__(self, at: datetime = NOW) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)

    def jump(self, **delta: float) -> None:
        self.at += timedelta(**delta)


async def open_gate() -> float:
    """For whoever has no claim: it is good for a minute."""
    return steady_seconds() + 60
