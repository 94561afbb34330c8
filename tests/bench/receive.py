"""How many alerts per second the receiver accepts durably, beside a bare server that parses and forgets them.

Run `python -m tests.bench.receive`. For 1, 10 and 100 alerts per request, in one run: accepted alerts per second of
the real receiver, store and worker on a durable SQLite file, of a bare aiohttp server with `json.loads`, and the ratio;
then how fast the worker decided what was accepted. Both servers are processes of their own, driven in turns by one
client with the same connections and the same bytes; every alert has its own fingerprint. Bounded in count and time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from remediator.app import open_service
from remediator.clock import SystemClock
from remediator.log_format import configure_logging
from remediator.receive.payload import fingerprint
from remediator.settings import Settings

TEMPLATE = Path(__file__).parents[1] / "data" / "payloads" / "firing-multi-kubepodcrashlooping.json"
REQUESTS = {1: 4000, 10: 1000, 100: 160}
AIMS = {1: 0.30, 10: 0.10, 100: 0.03}
CONNECTIONS = 32
TURNS = 8
"""In which one and then the other is driven: a machine that is slower for a second is so for both."""
SECONDS_PER_CASE = 20.0
SECONDS_TO_DECIDE = 60.0
MAX_MEMORY_BYTES = 4 * 1024**3
"""For each process: a server that runs away must not take the machine with it."""


def bodies(*, requests: int, alerts: int) -> list[bytes]:
    """Webhook bodies as Alertmanager writes them, compact, each alert with labels and a fingerprint of its own."""
    body = json.loads(TEMPLATE.read_bytes())
    element = body["alerts"][0]
    made = []
    for request in range(requests):
        body["alerts"] = []
        for number in range(alerts):
            # A name that no rule knows: what is measured is receiving and deciding, not a cluster's answers.
            labels = {**element["labels"], "alertname": "Bench", "pod": f"api-{request}-{number}"}
            body["alerts"].append({**element, "labels": labels, "fingerprint": fingerprint(labels)})
        made.append(json.dumps(body, separators=(",", ":")).encode() + b"\n")
    return made


async def serve_bare() -> None:
    """The yardstick: the same library, the same JSON, nothing kept."""

    async def receive(request: web.Request) -> web.Response:
        return web.json_response({"accepted": len(json.loads(await request.read())["alerts"])})

    application = web.Application(client_max_size=4 * 1024 * 1024)
    application.add_routes([web.post("/api/v1/alerts", receive)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(site.port, flush=True)
    await asyncio.Event().wait()


async def serve_real(database_file: str, *, with_worker: bool, more: Mapping[str, Any] | None = None) -> None:
    """The service as `app.py` wires it. No rule knows the alerts, so that no cluster is asked."""
    configure_logging("warning", log_format="logfmt")
    settings = Settings.load(
        None,
        {
            "web_listen_address": "127.0.0.1:0",
            "web_max_connections_per_peer": 256,  # all of a test come from one address
            "storage_url": f"sqlite:///{database_file}",
            "kube_server": "http://127.0.0.1:9",
            "events": False,
            "rollout_poll_seconds": 0,
            "reload_poll_seconds": 0,
            **(more or {}),
        },
    )
    async with open_service(settings, clock=SystemClock()) as service:
        print(service.port, flush=True)
        await (service.run() if with_worker else asyncio.Event().wait())


@asynccontextmanager
async def serving(*arguments: str) -> AsyncIterator[tuple[int, int]]:
    """A server as a process of its own; yields its port and its process id."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.receive", *arguments, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            port = int(await process.stdout.readline())
        yield port, process.pid
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@contextmanager
def standing_still(pid: int) -> Iterator[None]:
    """Its worker would take the time of the other one."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def drive(port: int, made: Sequence[bytes]) -> tuple[int, float]:
    """Post all bodies over the connections, or as many as the time allows: how many were answered 200, and seconds."""
    waiting = iter(made)
    head = b"POST /api/v1/alerts HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
    head += b"Content-Length: %d\r\n\r\n"
    answered = 0
    began = time.perf_counter()
    # Above the time in which no new body is begun: only a server that hangs meets it.
    deadline = asyncio.timeout(SECONDS_PER_CASE + 10)

    async def one_connection() -> None:
        nonlocal answered
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for body in waiting:
            writer.write(head % len(body) + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            if not answer.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"answered {answer[:40]!r}")
            await reader.readexactly(int(answer.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
            answered += 1
            if time.perf_counter() - began > SECONDS_PER_CASE:
                return
        writer.close()

    async with deadline, asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(one_connection())
    return answered, time.perf_counter() - began


async def undecided(port: int) -> int:
    """How many remediations still wait, as `/metrics` says."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
    async with asyncio.timeout(10):
        text = (await reader.read()).decode()
    writer.close()
    lines = [line for line in text.splitlines() if line.startswith("remediator_queue_depth{")]
    return int(sum(float(line.rpartition(" ")[2]) for line in lines))


async def measure(alerts: int, *, requests: int, with_worker: bool) -> float:
    """Prints a line; returns the ratio of the real server's rate to the bare one's: the median of the turns."""
    made = bodies(requests=CONNECTIONS + requests, alerts=alerts)
    first, rest = made[:CONNECTIONS], made[CONNECTIONS:]
    turns = [rest[number::TURNS] for number in range(TURNS)]
    as_often = round(1 / AIMS[alerts])  # so that both are driven for about as long
    flags = [] if with_worker else ["--no-worker"]
    with tempfile.TemporaryDirectory() as folder:
        there = serving("--serve-bare"), serving("--serve-real", str(Path(folder) / "bench.db"), *flags)
        async with there[0] as (bare_port, _), there[1] as (port, pid):
            for each in (bare_port, port):  # what is done once in a life is no part of a rate
                await drive(each, first)
            began, stood, rates = time.perf_counter(), 0.0, list[tuple[float, float]]()
            for turn in turns:
                with standing_still(pid):
                    count, seconds = await drive(bare_port, turn * as_often)
                stood += seconds
                bare = count * alerts / seconds
                count, seconds = await drive(port, turn)
                rates.append((count * alerts / seconds, bare))
                if time.perf_counter() - began > SECONDS_PER_CASE:
                    break
            count = alerts * sum(map(len, turns[: len(rates)]))
            decided = await _decided(port, count, began + stood) if with_worker else ""
    real, bare = (statistics.median(column) for column in zip(*rates, strict=True))
    ratio = statistics.median(one / other for one, other in rates)
    print(f"{alerts:>14}  {real:>10.0f}/s  {bare:>10.0f}/s  {ratio:>6.3f}  {AIMS[alerts]:>5.2f}  {decided}", flush=True)
    return ratio


async def _decided(port: int, count: int, began: float) -> str:
    """How many were decided in a second until none was left, or the time was up."""
    while left := await undecided(port):
        if time.perf_counter() - began > SECONDS_TO_DECIDE:
            break
        await asyncio.sleep(0.2)
    rate = (count - left) / (time.perf_counter() - began)
    return f"{rate:9.0f}/s" + (f" ({left} left)" if left else "")


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve-bare", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--serve-real", metavar="FILE", help=argparse.SUPPRESS)
    parser.add_argument("--no-worker", action="store_true", help="receive only; decide nothing")
    parser.add_argument("--scale", type=float, default=1.0, help="times the number of requests (default 1)")
    given = parser.parse_args()
    if given.serve_bare:
        asyncio.run(serve_bare())
    elif given.serve_real:
        asyncio.run(serve_real(given.serve_real, with_worker=not given.no_worker))
    else:
        print("alerts/request      accepted          bare   ratio    aim    decided")
        for alerts, requests in REQUESTS.items():
            count = max(CONNECTIONS, int(requests * given.scale))
            asyncio.run(measure(alerts, requests=count, with_worker=not given.no_worker))


if __name__ == "__main__":
    main()
