"""What a test and the process that it kills share: the time, and how far the process has come. A page of memory in a
file, so that it outlives the process.

The time stands still until the test moves it, and it moves it only when the process has nothing to do at this time.
"""

from __future__ import annotations

import asyncio
import mmap
from datetime import UTC, datetime, timedelta
from pathlib import Path

NOW, ROUND, IDLE, DUE, PORT, PID = range(6)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
POLL_SECONDS = 0.003


class Board:
    """Numbers of 8 bytes, each of which has one writer. `NOW` and `DUE` are microseconds since 1970, 0: nothing is due.

    `ROUND` is counted up by the test whenever something is new for the process, which writes it to `IDLE` when it has
    done all that there was to do.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(mmap.PAGESIZE))
        with path.open("r+b") as file:
            self._cells = memoryview(mmap.mmap(file.fileno(), mmap.PAGESIZE)).cast("q")
        self.path = path

    def __getitem__(self, cell: int) -> int:
        return self._cells[cell]

    def __setitem__(self, cell: int, value: int) -> None:
        self._cells[cell] = value

    def now(self) -> datetime:
        return EPOCH + timedelta(microseconds=self[NOW])

    async def sleep(self, seconds: float) -> None:
        """Of the shared time; who sleeps has nothing to do until then."""
        until = self[NOW] + round(seconds * 1e6)
        while self[NOW] < until:
            self.rest(self[ROUND], until)
            await asyncio.sleep(POLL_SECONDS)

    def rest(self, round_: int, due: int) -> None:
        """The process has done everything of this round."""
        self[DUE] = due
        self[IDLE] = round_


def micros(at: datetime) -> int:
    return (at - EPOCH) // timedelta(microseconds=1)
