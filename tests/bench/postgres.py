"""What a store on PostgreSQL does with 1, 2 and 4 replicas, beside one on SQLite.

Run `python -m tests.bench.postgres`. In one run, on a server that the run starts (with `fsync`, on loopback) and a file
in the same folder: alerts accepted per second, by 16 callers of each replica with 10 alerts a call; then remediations
decided per second, each claimed, moved to `diagnosing` and declined. Each replica is a process with a store and nothing
else. Ratios are against SQLite, which has one process. Writers take turns by an advisory lock, so replicas do not add
up: they are there for when one of them dies. What they lose against one is what turns cost.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from remediator.clock import SystemClock
from remediator.model import State
from remediator.store.base import LostClaim, Record
from remediator.store.database import Database
from remediator.store.opening import open_database
from tests.postgres import serving
from tests.unit.store.examples import firing

REPLICAS = (1, 2, 4)
SECONDS = 5.0
CALLERS = 16
ALERTS = 10
CLAIMS = 10
LEASE = timedelta(minutes=5)
NOTE = Record("decision.declined", {"why": "a benchmark"})
MAX_MEMORY_BYTES = 2 * 1024**3
OWN = 100_000_000
"""Fingerprints of each replica begin here, times its number."""


async def accept(store: Database, *, first: int, seconds: float) -> int:
    """How many alerts were stored until the time was over."""
    numbers, stored, until = count(first), 0, time.monotonic() + seconds

    async def caller() -> None:
        nonlocal stored
        while time.monotonic() < until:
            body = [firing(next(numbers)) for _ in range(ALERTS)]
            accepted = await store.accept(body, at=datetime.now(UTC))
            stored += accepted.queued  # not in one line: what it was before is read before the wait

    async with asyncio.TaskGroup() as group:
        for _ in range(CALLERS):
            group.create_task(caller())
    return stored


async def decide(store: Database, *, owner: str, seconds: float) -> int:
    """How many remediations were brought to their end until the time was over, or nothing was left."""
    decided, until = 0, time.monotonic() + seconds

    async def worker(number: int) -> None:
        nonlocal decided
        while time.monotonic() < until:
            found = await store.claim(owner=f"{owner}-{number}", at=datetime.now(UTC), lease=LEASE, limit=CLAIMS)
            if not found:
                return
            for one in found:
                try:
                    for state in (State.DIAGNOSING, State.DECLINED):
                        one = await store.advance(one, to=state, record=NOTE, at=datetime.now(UTC))
                except LostClaim:
                    continue
                decided += 1

    async with asyncio.TaskGroup() as group:
        for number in range(4):
            group.create_task(worker(number))
    return decided


async def replica(url: str, number: int, seconds: float) -> None:
    """Does each part when it is told to by a line, and says how many."""
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    store = await open_database(url, clock=SystemClock())
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    print(await accept(store, first=OWN * (number + 1), seconds=seconds), flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    print(await decide(store, owner=str(number), seconds=seconds), flush=True)
    await store.close()


async def together(url: str, replicas: int, seconds: float) -> list[float]:
    """Accepted and decided per second, by so many replicas at once."""
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.bench.postgres", "--seconds", str(seconds), "--replica", url, str(number)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for number in range(replicas)
    ]
    rates = []
    try:
        async with asyncio.timeout(60 + 4 * seconds):
            await asyncio.gather(*(said(process) for process in processes))
            for _ in range(2):
                began = time.perf_counter()
                for process in processes:
                    assert process.stdin is not None
                    process.stdin.write(b"go\n")
                counts = await asyncio.gather(*(said(process) for process in processes))
                rates.append(sum(int(number) for number in counts) / (time.perf_counter() - began))
            await asyncio.gather(*(process.wait() for process in processes))
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
    return rates


async def said(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout is not None
    return await process.stdout.readline()


async def measure(seconds: float, replicas: Sequence[int]) -> AsyncIterator[tuple[str, list[float], list[float]]]:
    """Of each store in turn its name, what it accepted and decided per second, and both to what SQLite did."""
    with tempfile.TemporaryDirectory() as folder, closing(serving()) as servers:
        bare = await together(f"sqlite:///{Path(folder) / 'r.db'}", 1, seconds)
        yield "SQLite", bare, [1.0, 1.0]
        server = next(servers)
        for number in replicas:
            rates = await together(await server.database(), number, seconds)
            ratios = [rate / one for rate, one in zip(rates, bare, strict=True)]
            yield f"PostgreSQL, {number} replica{'s' * (number > 1)}", rates, ratios


async def main(seconds: float, replicas: Sequence[int]) -> None:
    row = "{:24} {:>12} {:>8} {:>12} {:>8}"
    print(row.format("store", "accepted/s", "ratio", "decided/s", "ratio"))
    async for name, rates, ratios in measure(seconds, replicas):
        shown = [text for pair in zip(rates, ratios, strict=True) for text in (f"{pair[0]:.0f}", f"{pair[1]:.2f}")]
        print(row.format(name, *shown), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for each part of each row (default: 5)")
    parser.add_argument("--replica", nargs=2, metavar=("URL", "NUMBER"), help="be one replica; for the run itself")
    given = parser.parse_args()
    if given.replica:
        asyncio.run(replica(given.replica[0], int(given.replica[1]), given.seconds))
    else:
        asyncio.run(main(given.seconds, REPLICAS))
