"""However long and hostile the logs of a crashed pod are, the event loop goes on while they are read (X3, X7).

A pod's log is written by whoever may deploy; it is redacted, searched by every log pattern, and recorded. As in
`test_loop.py` 50 ms are asserted with `--long`, five times as much where other tests run beside.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from remediator.clock import SystemClock
from remediator.simulate.apiserver import EmbeddedCluster
from remediator.simulate.workloads import deployment
from tests.hostile.client import asked, posting
from tests.hostile.serving import Served, served
from tests.unit.receive.bodies import body, element

SECONDS = 60.0
LINES = 200
PER_LINE = 650
"""Characters: as many lines of it as are read are the 128 KiB that are read."""

LOGS: Mapping[str, str] = {
    "nothing known": "worker {n} took up a task of the queue and put it aside again; " * 10,
    "what patterns begin with": "could not connect; failed to open; error: cannot; unable to; no such; not a " * 9,
    "secrets": "{n} password=hunter2 user:pw@host token: abcd postgres://a:b@c/d " * 10,
    "one byte": "x" * PER_LINE,
}


def text(line: str) -> str:
    return "\n".join(line.replace("{n}", str(n))[:PER_LINE] for n in range(LINES)) + "\n"


@asynccontextmanager
async def crash_loop(log: str) -> AsyncIterator[EmbeddedCluster]:
    """A Deployment of three pods whose new release crashes with this log."""
    clock = SystemClock()
    async with EmbeddedCluster(clock, tick_seconds=0.05, start_seconds=0.1, backoff_seconds=1) as cluster:
        cluster.set_logs("api:2", previous=log, current=log)
        cluster.apply(deployment("shop", "api", image="shop/api:1", replicas=3))
        cluster.patch_image("shop", "api", "shop/api:2-crash")
        async with asyncio.timeout(SECONDS):
            while not any(has_crashed(pod) for pod in cluster.list("Pod", "shop")):
                await clock.sleep(0.05)
        yield cluster


def has_crashed(pod: Mapping[str, object]) -> bool:
    return '"restartCount": 0' not in json.dumps(pod) and "CrashLoopBackOff" in json.dumps(pod)


def diagnosed(service: Served, pod: str) -> tuple[float, str]:
    """Send the alert of the pod, and wait for what is decided: the longest stall meanwhile, and the log's record."""
    labels = {"alertname": "KubePodCrashLooping", "namespace": "shop", "pod": pod, "container": "app"}
    service.begin_deciding()
    service.lag_seconds()
    assert asked(service.port, posting(body(element(labels=labels)))).status == 200
    deadline = time.monotonic() + SECONDS
    while not service.metric("remediator_decisions_total"):
        assert time.monotonic() < deadline, service.log()[-5:]
        time.sleep(0.1)
    stall = service.lag_seconds()
    shown = asked(service.port, b"GET /api/v1/incidents/1 HTTP/1.1\r\nHost: x\r\n\r\n")
    return stall, shown.body.decode()


@pytest.mark.parametrize("name", LOGS)
async def test_no_log_stops_the_loop(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    factor = 1 if request.config.getoption("--long") else 5
    async with crash_loop(text(LOGS[name])) as cluster:
        [pod, *_] = [one["metadata"]["name"] for one in cluster.list("Pod", "shop") if has_crashed(one)]
        with served(tmp_path, kube_server=cluster.url) as service:
            stall, shown = await asyncio.to_thread(diagnosed, service, pod)
            assert service.faults() == []
    print(f"\n{name:30} {stall * 1000:6.0f} ms")
    assert "previous log" in shown
    assert stall <= 0.05 * factor
