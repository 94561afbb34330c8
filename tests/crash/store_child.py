"""A process with a store, to be killed or starved: `python -m tests.crash.store_child <url> <what>`.

The URL is of SQLite or PostgreSQL. `after-commit` and `before-commit` accept single alerts with 20 concurrent callers
and print each one's number, when the store has answered or (the negative control) before it was asked. `starved` fills
a disk that fails at 400 kB, then lifts the limit; it prints what happened as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
from datetime import UTC, datetime
from itertools import count

from remediator.clock import SystemClock
from remediator.store.base import StoreUnavailable
from remediator.store.database import Database
from remediator.store.opening import open_database
from tests.unit.store.examples import firing


def say(number: int) -> None:
    os.write(1, b"%d\n" % number)  # one short write is one piece in a pipe


async def accept_for_ever(store: Database, *, first: int, promise_early: bool) -> None:
    numbers = count(first)

    async def caller() -> None:
        for number in numbers:
            if promise_early:
                say(number)
            await store.accept([firing(number)], at=datetime.now(UTC))
            if not promise_early:
                say(number)

    async with asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(caller())


async def starve(store: Database) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))
    kept, error = 0, ""
    for number in count():
        try:
            await store.accept([firing(number)], at=datetime.now(UTC))
            kept += 1
        except StoreUnavailable as failure:
            error = str(failure)
            break
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    after = await store.accept([firing(1_000_000)], at=datetime.now(UTC))
    records = await store.records(after=0, limit=1_000_000)
    print(json.dumps({"kept": kept, "error": error, "queued_after": after.queued, "records": len(records)}))


async def main(url: str, what: str) -> None:
    store = await open_database(url, clock=SystemClock())
    if what == "starved":
        await starve(store)
        await store.close()
    else:
        seen = await store.records(after=0, limit=1_000_000)
        await accept_for_ever(store, first=len(seen) + 1_000_000, promise_early=what == "before-commit")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
