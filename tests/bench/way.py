"""How long an alert takes to a PATCH on the wire, when nothing has to be waited for: `python -m tests.bench.way`.

Severity 1, a release that crashes, the rule says rollback: the service (a process of its own, durable SQLite file,
signed and anchored log) receives, matches, resolves, diagnoses, plans, asks all guards, dry run included, commits the
intent and sends the PATCH to the embedded cluster, which is in this process. Milliseconds from the first byte of
the webhook to the PATCH's arrival there, and where they go: commits (with what a bare commit of as many bytes takes, in
turns with the ways), answers of the API server and Prometheus, and the rest, which is ours.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import sqlalchemy as sa
from aiohttp import web

from remediator.app import open_service
from remediator.clock import SystemClock
from remediator.log_format import configure_logging
from remediator.settings import Settings
from remediator.simulate.alertmanager import SentAlert, webhook_bodies
from remediator.simulate.alertrules import CRASH_LOOPING, CrashLooping, Rule
from remediator.simulate.apiserver import EmbeddedCluster
from remediator.simulate.prometheus import EmbeddedPrometheus
from remediator.simulate.workloads import deployment
from remediator.store import writer
from tests.logkeys import signing

GOAL_MS = 4.0
BATCH = 24
SPACES = 8
READY_SECONDS = 60.0
RULES = """
rules:
  - name: crash
    match: ['alertname="KubePodCrashLooping"']
    severity: 1
    target: {from: alert}
    diagnose: [containers, logs, events, rollout, config, node]
    respond:
      - {when: {kind: Deployment, cause: [code-error, image-error, cannot-start], deployed_within: 2h}, do: rollback}
      - {do: escalate}
    verify: {expect: [rollout-complete, pods-ready], within: 1m, stable_for: 1s, otherwise: escalate}
    limits: [1000 per 1h]
    guards:
      storm: {targets: 1000, share: 100}
      concurrency: {namespace: 20, cluster: 50}
      shared-cause: {share: 90, targets: 20}
      budgets: {action: [1000 per 1h], namespace: [1000 per 1h], cluster: [1000 per 1h]}
    mode: active
"""


@dataclass(frozen=True, slots=True)
class Span:
    """What was done from `begin` to `end`, in monotonic seconds."""

    what: str
    begin: float
    end: float


@dataclass(frozen=True, slots=True)
class Way:
    """One alert: the webhook's first byte, its answer, the arrival of the PATCH, the CPU seconds of the service until
    then, and what the servers did meanwhile."""

    sent: float
    answered: float
    patched: float
    cpu: float
    asked: Sequence[Span]

    @property
    def milliseconds(self) -> float:
        return (self.patched - self.sent) * 1000

    def within(self, spans: Sequence[Span]) -> list[Span]:
        return [one for one in spans if one.end > self.sent and one.begin < self.patched]


class Watching:
    """Handlers of the servers in this process, timed."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.patched = asyncio.Event()
        self.patched_at = 0.0

    def wrap(self, server: Any, name: str) -> None:
        handler = server._server._handler

        async def timed(request: web.Request) -> web.StreamResponse:
            begin = time.monotonic()
            if request.method == "PATCH" and "dryRun" not in request.query and not self.patched.is_set():
                self.patched_at = begin
                self.patched.set()
            answer = await handler(request)
            what = f"{name} {request.method} {request.path.rpartition('/')[2] if request.method == 'GET' else ''}"
            self.spans.append(Span(what.strip(), begin, time.monotonic()))
            return answer

        server._server._handler = timed


# --- the service


async def serve(given: Settings) -> None:
    """As `serve.py` does."""
    async with open_service(given, clock=SystemClock()) as service:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, service.stop)
        print(service.port, flush=True)
        await service.run()


def _time_transactions(spans: list[tuple[str, float, float]]) -> None:
    transact, begun = writer.Writer._transact, [0.0]

    def commit(_: sa.Connection) -> None:
        begun[0] = time.monotonic()

    def timed(self: writer.Writer, batch: Any) -> Any:
        begin, begun[0] = time.monotonic(), 0.0
        changes = self._connection.connection.total_changes  # type: ignore[union-attr]
        outcome = transact(self, batch)
        is_written = self._connection.connection.total_changes > changes  # type: ignore[union-attr]
        spans.append(("work" if is_written else "read", begin, begun[0] or time.monotonic()))
        if begun[0] and is_written:
            spans.append(("commit", begun[0], time.monotonic()))
        return outcome

    writer.Writer._transact = timed  # type: ignore[method-assign]
    sa.event.listen(sa.engine.Engine, "commit", commit)


@contextlib.asynccontextmanager
async def serving(folder: Path, *, api: str, prometheus: str) -> AsyncIterator[tuple[int, int]]:
    """Yields its port and its process id."""
    (folder / "rules.yaml").write_text(RULES, encoding="utf-8")
    given = {
        "web_listen_address": "127.0.0.1:0",
        "storage_url": f"sqlite:///{folder / 'way.db'}",
        "rules": [str(folder / "rules.yaml")],
        "mode": "active",
        "cluster_name": "lab",
        "kube_server": api,
        "prometheus_url": prometheus,
        "workers": 8,
        "grace_seconds": 1,
        **{name: str(path) for name, path in signing(folder).items()},
    }
    (folder / "settings.json").write_text(json.dumps(given), encoding="utf-8")
    arguments = ("--serve", str(folder / "settings.json"), str(folder / "stats.json"))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.way", *arguments, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(READY_SECONDS):
            port = int(await process.stdout.readline())
        yield port, process.pid
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(READY_SECONDS):
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


# --- the ways


async def measure(count: int) -> tuple[list[Way], list[Span], list[float], list[float]]:
    """The ways, the service's spans, and what bare commits and steps of a loop took, in seconds."""
    clock, watching, ways, syncs = SystemClock(), Watching(), list[Way](), list[float]()
    steps = list[float]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cluster = EmbeddedCluster(clock, tick_seconds=0.5, start_seconds=0.2, backoff_seconds=60, seed=1)
        for number in range(3, 3 + 2 * BATCH):
            cluster.add_node(f"node-{number}")
        rules = [Rule("KubePodCrashLooping", CRASH_LOOPING, CrashLooping(), labels={"severity": "critical"})]
        prometheus = EmbeddedPrometheus(clock, cluster, rules=rules, interval_seconds=1.0)
        watching.wrap(cluster, "api")
        watching.wrap(prometheus, "prometheus")
        async with cluster, prometheus:
            served = serving(folder, api=cluster.url, prometheus=prometheus.url)
            async with served as (port, pid), aiohttp.ClientSession() as session:
                with _bare(folder) as bare:
                    # The first action of a rule is verified before a second one (guard `canary`): it is not timed.
                    for first in (-1, *range(0, count, BATCH)):
                        numbers = range(count, count + 1) if first < 0 else range(first, min(first + BATCH, count))
                        alerts = await _crashes(cluster, prometheus, numbers)
                        for alert in alerts:
                            way = await _way(session, port, pid, alert, watching)
                            ways += [way] if first >= 0 else []
                            syncs += [bare() for _ in range(3)]
                        steps.append(step_seconds())
                        await _calm(port)
            stats = json.loads((folder / "stats.json").read_text(encoding="utf-8"))
    return ways, [Span(*one) for one in stats], syncs, steps


async def _crashes(cluster: EmbeddedCluster, prometheus: EmbeddedPrometheus, numbers: range) -> list[SentAlert]:
    """As many workloads whose new release crashes, and one alert of each."""
    places = [(f"team{number % SPACES}", f"app{number}") for number in numbers]
    for namespace, name in places:
        cluster.apply(deployment(namespace, name, image=f"x/{name}:1", replicas=2))
    await asyncio.sleep(1.5)
    for namespace, name in places:
        cluster.patch_image(namespace, name, f"x/{name}:2-crash")
    found: dict[str, SentAlert] = {}
    async with asyncio.timeout(READY_SECONDS):
        while len(found) < len(places):
            await asyncio.sleep(0.5)
            for alert in prometheus.alerts():
                owner = alert.labels["pod"].partition("-")[0]
                if (alert.labels["namespace"], owner) in places and alert.fired_at is not None:
                    found.setdefault(owner, SentAlert(alert.labels, alert.fired_at, alert.annotations))
    return list(found.values())


async def _way(session: aiohttp.ClientSession, port: int, pid: int, alert: SentAlert, watching: Watching) -> Way:
    watching.patched.clear()
    watching.spans.clear()
    [body] = webhook_bodies([alert])
    used, sent = cpu_of(pid), time.monotonic()
    async with session.post(f"http://127.0.0.1:{port}/api/v1/alerts", json=body) as answer:
        assert answer.status == 200, await answer.text()
    answered = time.monotonic()
    async with asyncio.timeout(READY_SECONDS):
        await watching.patched.wait()
    used = cpu_of(pid) - used
    asked = [one for one in watching.spans if one.begin >= sent and one.end <= watching.patched_at]
    return Way(sent, answered, watching.patched_at, used, asked)


def cpu_of(pid: int) -> float:
    """Seconds of CPU that all threads of a process have used."""
    tasks = (Path("/proc") / str(pid) / "task").iterdir()
    return sum(int((task / "schedstat").read_text(encoding="ascii").split()[0]) for task in tasks) / 1e9


def step_seconds() -> float:
    """CPU seconds of one step of the simplest loop in Python, on this machine now."""
    begun, count = time.process_time(), 0
    for number in range(1_000_000):
        count += number
    return (time.process_time() - begun) / 1_000_000


async def _calm(port: int) -> None:
    """Until all are verified: what looks at the last ones would be in the way of the next."""
    async with asyncio.timeout(READY_SECONDS), aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"http://127.0.0.1:{port}/metrics") as answer:
                lines = [line for line in (await answer.text()).splitlines() if line.startswith("remediator_queue_dep")]
            if not sum(float(line.rpartition(" ")[2]) for line in lines):
                return
            await asyncio.sleep(0.5)


@contextlib.contextmanager
def _bare(folder: Path) -> Iterator[Any]:
    """A durable append of two pages to a file on the same disk: the least that a commit can take. Seconds."""
    with (folder / "bare").open("wb", buffering=0) as file:

        def one() -> float:
            begin = time.monotonic()
            file.write(b"x" * 8192)
            os.fdatasync(file.fileno())
            return time.monotonic() - begin

        yield one


def _sum(spans: Sequence[Span], way: Way) -> float:
    return sum(min(one.end, way.patched) - max(one.begin, way.sent) for one in spans) * 1000


def _covered(spans: Sequence[Span], way: Way) -> float:
    """Milliseconds in which at least one of them was under way."""
    total, until = 0.0, way.sent
    for one in sorted(way.within(spans), key=lambda span: span.begin):
        begin, end = max(one.begin, until), min(one.end, way.patched)
        total += max(0.0, end - begin)
        until = max(until, end)
    return total * 1000


Found = dict[str, float]


def report(ways: Sequence[Way], spans: Sequence[Span], syncs: Sequence[float], steps: Sequence[float]) -> Found:
    """Medians over the ways, in milliseconds and counts."""
    of = {what: [one for one in spans if one.what == what] for what in ("commit", "work", "read")}
    counts = {what: statistics.median(len(way.within(of[what])) for way in ways) for what in of}
    times = {what: statistics.median(_sum(way.within(of[what]), way) for way in ways) for what in of}
    asked = statistics.median(len(way.asked) for way in ways)
    answers = statistics.median(_covered(way.asked, way) for way in ways)
    total = statistics.median(way.milliseconds for way in ways)
    ordered = sorted(way.milliseconds for way in ways)
    return {
        "median": total,
        "p99": ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))],
        "cpu_ms": statistics.median(way.cpu for way in ways) * 1000,
        "steps": statistics.median(way.cpu for way in ways) / statistics.median(steps),
        "answered": statistics.median((way.answered - way.sent) * 1000 for way in ways),
        "commits": counts["commit"],
        "commit_ms": times["commit"],
        "bare_ms": statistics.median(syncs) * 1000,
        "work_ms": times["work"],
        "reads": counts["read"],
        "read_ms": times["read"],
        "requests": asked,
        "answer_ms": answers,
        "rest_ms": total - times["commit"] - times["work"] - times["read"] - answers,
    }


def show(found: Found, ways: Sequence[Way]) -> None:
    least = found["commits"] * found["bare_ms"]
    print(f"{len(ways)} ways, alert to PATCH on the wire: median {found['median']:.1f} ms, p99 {found['p99']:.1f} ms")
    print(f"   goal: p99 <= {GOAL_MS:g} ms")
    print(f"   answered 200 after {found['answered']:.1f} ms")
    rows = (
        (f"{found['commits']:.0f} commits", found["commit_ms"], f"bare: {least:.1f} ms"),
        ("statements of these", found["work_ms"], ""),
        (f"{found['reads']:.0f} transactions that only read", found["read_ms"], ""),
        (f"{found['requests']:.0f} answers of API server and Prometheus", found["answer_ms"], ""),
        ("the rest: ours, and the way between", found["rest_ms"], ""),
    )
    for what, milliseconds, more in rows:
        print(f"   {what:<42}{milliseconds:8.2f} ms {milliseconds / found['median']:6.0%}  {more}")
    print(f"   ratio to its bare commits: {found['median'] / least:.1f}")
    print(f"   CPU of the service: {found['cpu_ms']:.1f} ms, as {found['steps']:,.0f} steps of a loop in Python")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", nargs=2, type=Path, metavar=("SETTINGS", "STATS"), help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, default=96, help="how many alerts (default 96)")
    parser.add_argument("--requests", action="store_true", help="also print what was asked, of the last way")
    given = parser.parse_args()
    if given.serve:
        settings, stats = given.serve
        configure_logging("error", log_format="logfmt")
        spans: list[tuple[str, float, float]] = []
        _time_transactions(spans)
        asyncio.run(serve(Settings.load(None, json.loads(settings.read_text(encoding="utf-8")))))
        stats.write_text(json.dumps(spans), encoding="utf-8")
        return
    ways, found, syncs, steps = asyncio.run(measure(given.count))
    show(report(ways, found, syncs, steps), ways)
    if given.requests:
        last = ways[-1]
        for one in sorted([*last.asked, *last.within(found)], key=lambda span: span.begin):
            print(f"   {1000 * (one.begin - last.sent):7.2f} {1000 * (one.end - one.begin):6.2f}  {one.what}")


if __name__ == "__main__":
    main()
