"""Each fault of the API server and of the way to it, on the real one: its own audit log is the judge of what was done.

In CI each fault meets one action, in turn; `--long` is ten runs for each fault, with all actions. A hundred of each are
in `tests/pipeline/test_api_faults.py`, on the embedded cluster behind the same proxy.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from remediator.clock import SystemClock
from remediator.kube.client import connect
from remediator.model import State
from tests.cluster import audit
from tests.cluster.controlplane import ControlPlane
from tests.cluster.credentials import ACTIVE
from tests.cluster.kwok import FAILURE_ANNOTATION
from tests.cluster.lossy import Fate, LossyProxy
from tests.cluster.steps import MERGE_PATCH, App
from tests.cluster.waiting import wait_for
from tests.lost_writes import ACTIONS, FATES, WRITES, Told, check, in_trouble, remedied

GOOD, BAD = "shop:1.4", "shop:crash-1.5"
PATIENCE_SECONDS = 2.0
AT_ONCE = 5


class Ahead:
    """The time of this machine and what was skipped of it, so that nobody waits for an intent to grow old."""

    def __init__(self) -> None:
        self._skipped = timedelta()

    def now(self) -> datetime:
        return SystemClock().now() + self._skipped

    async def sleep(self, seconds: float) -> None:
        self._skipped += timedelta(seconds=seconds)
        await asyncio.sleep(0.05)

    async def wait(self, state: State) -> None:
        """Pods are given their real time; our own pauses are skipped."""
        if state is not State.VERIFYING:
            self._skipped += timedelta(seconds=5)
        await asyncio.sleep(0.3)


@dataclass(frozen=True)
class Pair:
    fate: Fate
    action: str
    app: App

    def pods(self) -> list[Any]:
        found = self.app.control_plane.get(f"/api/v1/namespaces/{self.app.namespace}/pods")["items"]
        return [pod for pod in found if pod["metadata"]["labels"].get("app") == self.app.name]

    def done(self) -> list[audit.Event]:
        """The writes to this workload that were done."""
        names = ("deployments", "pods")
        events = self.app.control_plane.writes(ACTIVE, self.app.namespace)
        return [
            event
            for event in events
            if event["objectRef"]["resource"] in names
            and audit.response_code(event) < 300
            and f"{event['objectRef']['name']}-".startswith(f"{self.app.name}-")
        ]


def prepare(pairs: Sequence[Pair]) -> None:
    """All of them, each in the trouble that its action is for."""
    control_plane = pairs[0].app.control_plane
    control_plane.apply([pair.app.manifest(GOOD) for pair in pairs])
    for pair in pairs:
        pair.app.settle()
    for pair in pairs:
        if pair.action == "rollback":
            image = {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": BAD}]}}}}
            control_plane.request("PATCH", pair.app.path, image, content_type="application/strategic-merge-patch+json")
        if pair.action == "evict":
            path = f"/api/v1/namespaces/{pair.app.namespace}/pods/{pair.pods()[0]['metadata']['name']}"
            sick = {"metadata": {"annotations": {FAILURE_ANNOTATION: "crash"}}}
            control_plane.request("PATCH", path, sick, content_type=MERGE_PATCH)
    for pair in pairs:
        if pair.action in ("rollback", "evict"):
            wait_for(lambda pair=pair: is_crashing(pair), timeout_seconds=60, what=f"{pair.app.name} crashes")  # type: ignore[misc]


def is_crashing(pair: Pair) -> bool:
    statuses = [status for pod in pair.pods() for status in pod["status"].get("containerStatuses", ())]
    return any("waiting" in status["state"] and status["restartCount"] for status in statuses)


async def run(pair: Pair, folder: Path) -> tuple[Told, int]:
    """How it ended, and how many writes went out."""
    clock, (method, under) = Ahead(), WRITES[pair.action]
    with LossyProxy(pair.app.control_plane, pair.fate, losing=method, under=under, times=1) as proxy:
        kubeconfig = proxy.kubeconfig(folder, token=pair.app.control_plane.token(ACTIVE))
        client = await connect(
            name="rig", kubeconfig=kubeconfig, request_timeout_seconds=PATIENCE_SECONDS, clock=clock
        )
        try:
            about = in_trouble(clock, pair.app.namespace, pair.app.name)
            told = await remedied(about, pair.action, cluster=client, clock=clock, wait=clock.wait)
        finally:
            await client.close()
    return told, len(proxy.writes)


def pairs_of(request: pytest.FixtureRequest, control_plane: ControlPlane, namespace: str) -> list[Pair]:
    if request.config.getoption("--long"):
        planned = [(fate, ACTIONS[number % 4]) for fate in FATES for number in range(10)]
    else:
        planned = [(fate, ACTIONS[number % 4]) for number, fate in enumerate(FATES)]
    return [
        Pair(fate, action, App(control_plane, namespace, f"shop{number}"))
        for number, (fate, action) in enumerate(planned)
    ]


def until_logged(control_plane: ControlPlane, namespace: str) -> None:
    """The audit log is behind the answers: once it has this read, it has all that was answered before."""
    path = f"/api/v1/namespaces/{namespace}/configmaps/the-last-one"
    seen = len([one for one in control_plane.audit_events(namespace) if one["requestURI"] == path])
    control_plane.kubectl("get", "--raw", path, check=False)

    def is_logged() -> bool:
        return len([one for one in control_plane.audit_events(namespace) if one["requestURI"] == path]) > seen

    wait_for(is_logged, timeout_seconds=20, what="the audit log is up to date")


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


async def test_the_audit_log_has_one_write_whatever_became_of_its_reply(
    control_plane: ControlPlane,
    permissions: None,
    namespace: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    pairs = pairs_of(request, control_plane, namespace)
    prepare(pairs)
    slots = asyncio.Semaphore(AT_ONCE)
    folders = [made(tmp_path / str(number)) for number in range(len(pairs))]

    async def one(number: int, pair: Pair) -> tuple[Told, int]:
        async with slots:
            return await run(pair, folders[number])

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(number, pair)) for number, pair in enumerate(pairs)]
    until_logged(control_plane, namespace)
    for pair, task in zip(pairs, tasks, strict=True):
        told, sent = task.result()
        check(told, pair.fate, action=pair.action, sent=sent, done=len(pair.done()))
