"""A circuit breaker: after several timeouts in a row, calls fail at once for a while. Pure but for its own counters.

`prometheus/client.py` asks it before each request, since a thread that waits for a hung server cannot be cancelled.
"""

from __future__ import annotations

from datetime import datetime, timedelta


class Breaker:
    """Opens after `max_timeouts` in a row for `pause`; then one call at a time is let through until one is answered."""

    def __init__(self, *, max_timeouts: int, pause: timedelta) -> None:
        self._max_timeouts = max_timeouts
        self._pause = pause
        self._timeouts = 0
        self._open_until: datetime | None = None

    def next_try_at(self, now: datetime) -> datetime | None:
        """None when a call may go out now. Saying so after a pause takes the one place until its result is in."""
        if self._open_until is None:
            return None
        if now < self._open_until:
            return self._open_until
        self._open_until = now + self._pause
        return None

    def answered(self) -> None:
        """Any answer in time, also an error."""
        self._timeouts = 0
        self._open_until = None

    def timed_out(self, now: datetime) -> None:
        self._timeouts += 1
        if self._timeouts >= self._max_timeouts:
            self._open_until = now + self._pause
