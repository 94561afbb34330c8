"""Loop time that jumps: `asyncio.timeout` and `asyncio.sleep` end at once when nothing else is left to do.

For coroutines without sockets and threads only: what comes from outside would always come too late.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        super().__init__()
        self._skipped = 0.0

    def time(self) -> float:
        return super().time() + self._skipped

    def _run_once(self) -> None:
        scheduled: list[Any] = self._scheduled  # type: ignore[attr-defined]
        if not self._ready and scheduled:  # type: ignore[attr-defined]
            self._skipped += max(0.0, scheduled[0].when() - self.time())
        super()._run_once()  # type: ignore[misc]


def run_jumping(work: Coroutine[Any, Any, T]) -> tuple[T, float]:
    """The result, and how many seconds of loop time it took."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        started = runner.get_loop().time()
        result = runner.run(work)
        return result, runner.get_loop().time() - started
