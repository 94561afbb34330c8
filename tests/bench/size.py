"""How large the service is, how fast it is there, and whether an alert costs more when many incidents are open.

Run `python -m tests.bench.size`. Memory is PSS of `remediator serve` at idle, and with 10,000 open incidents; start to
ready is from exec to 200 on `/-/ready`, beside a bare Python that imports the largest libraries, in turns; both from
compiled files, as the image has them, wherever this is run. The cost of an alert is CPU of the store for accept, claim
and a decision, with 10 to 10,000 open incidents, by the first.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from remediator.clock import SystemClock
from remediator.model import Remediation, State, Target
from remediator.simulate.apiserver import EmbeddedCluster
from remediator.store.base import Change, Record
from remediator.store.database import Database
from remediator.store.opening import open_database
from tests.unit.store.examples import firing

MEMORY_GOAL_MIB, START_GOAL_SECONDS = 100.0, 1.0
OPEN = (10, 100, 1_000, 10_000)
IDLE_SECONDS = 3.0
READY_SECONDS = 60.0
SAMPLE = 40
"""Alerts that are timed at each size, one after the other, as they come when nothing is wrong."""

BEGIN = datetime.now(UTC)
"""What is held until tomorrow is then not due while its memory is measured."""
BARE = "import aiohttp, pydantic, sqlalchemy"


# --- the process


def pss_mib(pid: int) -> float:
    """What the process needs of the memory: its own pages, and its share of those that others use too."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no Pss in smaps_rollup")


def as_installed(folder: Path) -> dict[str, str]:
    """The environment of a process that finds its code compiled in this folder, or leaves it there for the next one:
    where nothing may be written beside the code, each start would compile all of it."""
    given = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**given, "PYTHONPYCACHEPREFIX": str(folder)}


@contextlib.contextmanager
def served(
    database: Path, *, api: str, port: int, environment: Mapping[str, str]
) -> Iterator[tuple[int, float, float]]:
    """`remediator serve` itself: its process id, and the seconds and the CPU seconds from exec to ready."""
    command = [sys.executable, "-m", "remediator", "serve", "--storage.url", f"sqlite:///{database}"]
    command += ["--web.listen-address", f"127.0.0.1:{port}", "--log.level", "error"]
    around = {**environment, "REMEDIATOR_KUBE_SERVER": api}
    began = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=around) as process:
        try:
            while not _is_ready(port):
                if process.poll() is not None or time.monotonic() - began > READY_SECONDS:
                    raise RuntimeError("remediator serve does not become ready")
                time.sleep(0.01)
            yield process.pid, time.monotonic() - began, cpu_seconds(process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/-/ready")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def bare(environment: Mapping[str, str]) -> tuple[float, float]:
    """Seconds and MiB of a Python that imports the largest libraries and does nothing."""
    began = time.monotonic()
    command = [sys.executable, "-c", f"{BARE}; print(flush=True); input()"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, env=dict(environment)) as process:
        assert process.stdout is not None
        process.stdout.readline()
        seconds, memory = time.monotonic() - began, pss_mib(process.pid)
        process.kill()
    return seconds, memory


# --- the store


async def fill(store: Database, first: int, count: int) -> None:
    """As many incidents as that, each open since an hour: its alert fires, and its remediation is held for a while."""
    at = BEGIN - timedelta(hours=1)
    for start in range(first, first + count, 500):
        numbers = range(start, min(start + 500, first + count))
        await store.accept([firing(number, starts_at=at) for number in numbers], at=at)
        while claimed := await store.claim(owner="bench", at=at, lease=timedelta(hours=1), limit=500):
            await asyncio.gather(*(decide(store, one, at) for one in claimed))


async def decide(store: Database, mine: Remediation, at: datetime) -> None:
    on = Target("lab", "Deployment", f"team{mine.id % 50}", f"api-{mine.id}", f"uid-{mine.id}")
    known = Change(target=on, rule="bench", severity=2)
    mine = await store.advance(mine, to=State.DIAGNOSING, record=Record("step.diagnosing", {}), at=at, change=known)
    record = Record("decision.held", {"rule": "bench", "detail": "because"})
    held = Change(due_at=BEGIN + timedelta(days=1))
    await store.advance(mine, to=State.HELD, record=record, at=at, change=held)


async def cost(store: Database, first: int) -> dict[str, float]:
    """Median CPU seconds of the process for one alert, by what is done with it."""
    spent: dict[str, list[float]] = {}

    @contextlib.asynccontextmanager
    async def spending(what: str) -> AsyncIterator[None]:
        begun = time.process_time()
        yield
        spent.setdefault(what, []).append(time.process_time() - begun)

    for number in range(first, first + SAMPLE):
        at = BEGIN + timedelta(seconds=number - first + 1)
        async with spending("accept"):
            await store.accept([firing(number, starts_at=at)], at=at)
        async with spending("claim"):
            [mine] = await store.claim(owner="bench", at=at, lease=timedelta(hours=1), limit=4)
        async with spending("decide"):
            await decide(store, mine, at)
        async with spending("guards"):
            await store.alerting_targets(cluster="lab", since=at - timedelta(seconds=60))
            await store.alerts_unseen(since=at - timedelta(seconds=60), at_most=5)
            await store.affected_pods(cluster="lab", since=at - timedelta(seconds=60))
        async with spending("gauges"):
            await store.queue_depth()
            await store.open_escalations()
            await store.next_due()
    return {what: statistics.median(values) for what, values in spent.items()}


async def costs(path: Path, sizes: Sequence[int]) -> dict[int, dict[str, float]]:
    found, store = {}, await open_database(f"sqlite:///{path}", clock=SystemClock())
    try:
        filled = 0
        for size in sizes:
            await fill(store, filled, size - filled)
            found[size] = await cost(store, 1_000_000 + size)
            filled = size
            _progress(f"{size} incidents are open")
    finally:
        await store.close()
    return found


# --- what is said


def show_costs(found: dict[int, dict[str, float]]) -> None:
    first = found[min(found)]
    print(f"open incidents   {'':>4}" + "".join(f"{what:>10}" for what in first) + "   CPU, ratio to the first")
    for size, spent in found.items():
        print(f"{size:>14}   {'':>4}" + "".join(f"{spent[what] / first[what]:>10.2f}" for what in first))


async def at_rest(folder: Path, database: Path, *, rounds: int) -> dict[str, float]:
    """Start and memory of `remediator serve` over this file, beside a bare import in turns."""
    environment = as_installed(folder / "compiled")
    starts, cpu, sizes, beside = list[float](), list[float](), list[float](), list[tuple[float, float]]()
    async with EmbeddedCluster(SystemClock(), tick_seconds=30) as cluster:

        def one() -> None:
            bare(environment)
            with served(folder / "first.db", api=cluster.url, port=_free_port(), environment=environment):
                pass  # what is imported is compiled from here on
            for _ in range(rounds):
                beside.append(bare(environment))
                with served(database, api=cluster.url, port=_free_port(), environment=environment) as began:
                    pid, seconds, used = began
                    starts.append(seconds)
                    cpu.append(used)
                    time.sleep(IDLE_SECONDS)
                    sizes.append(pss_mib(pid))

        await asyncio.to_thread(one)
    return {
        "start": statistics.median(starts),
        "cpu": statistics.median(cpu),
        "ratio": statistics.median(own / other for own, (other, _) in zip(starts, beside, strict=True)),
        "pss": statistics.median(sizes),
        "bare_pss": statistics.median(memory for _, memory in beside),
    }


def _free_port() -> int:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(text, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=int, default=OPEN[-1], help="open incidents at the most (default 10000)")
    parser.add_argument("--rounds", type=int, default=3, help="how often it is started (default 3)")
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        empty = asyncio.run(at_rest(folder, folder / "empty.db", rounds=given.rounds))
        found = asyncio.run(costs(folder / "full.db", [size for size in OPEN if size <= given.most]))
        full = asyncio.run(at_rest(folder, folder / "full.db", rounds=1))
    if given.output == "json":
        print(json.dumps({"empty": empty, "full": full, "costs": found}))
        return
    most = f"with {max(found)} open"
    print(f"idle: {empty['pss']:.0f} MiB PSS (goal <= {MEMORY_GOAL_MIB:g}); {most}: {full['pss']:.0f} MiB")
    print(
        f"start to ready: {empty['start']:.2f} s (goal <= {START_GOAL_SECONDS:g}), {empty['cpu']:.2f} s of CPU, "
        f"{empty['ratio']:.1f} times a bare import of its libraries; {most}: {full['start']:.2f} s"
    )
    show_costs(found)


if __name__ == "__main__":
    main()
