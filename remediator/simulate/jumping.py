"""A clock that stands still until it is moved, and lets everything happen that lies on the way.

`replay.py` moves it from one moment at which something happens to the next; what sleeps on it moves it too.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Protocol

STEP = timedelta(seconds=1)
"""Whatever is due at once happens after this long: kubelets and controllers are not faster."""


class World(Protocol):
    """What time passes for."""

    @property
    def due(self) -> datetime | None:
        """When time alone changes something next; None: never."""

    def pass_time(self) -> None:
        """Let what is due by now happen."""


class JumpClock:
    """`world` is set once it is there."""

    def __init__(self, at: datetime) -> None:
        self._at = at
        self._is_moving = False
        self.world: World | None = None

    def now(self) -> datetime:
        return self._at

    async def sleep(self, seconds: float) -> None:
        self.move_to(self._at + timedelta(seconds=seconds))
        await asyncio.sleep(0)

    def move_to(self, at: datetime) -> None:
        """Go there by way of every moment at which something happens. Going back is standing still."""
        assert not self._is_moving, "what happens on the way may not move the clock"
        self._is_moving = True
        try:
            while (stop := self._next_stop()) is not None and stop <= at:
                self._happen(stop)
            if at > self._at:
                self._happen(at)
        finally:
            self._is_moving = False

    def next_after(self, others: list[datetime]) -> datetime | None:
        """The next moment at which something happens, of the world's and these. Never now."""
        stops = [at for at in (self._next_stop(), *others) if at is not None]
        return max(min(stops), self._at + STEP) if stops else None

    def _next_stop(self) -> datetime | None:
        due = None if self.world is None else self.world.due
        return None if due is None else max(due, self._at + STEP)

    def _happen(self, at: datetime) -> None:
        self._at = at
        if self.world is not None:
            self.world.pass_time()


