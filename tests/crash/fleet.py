"""Several replicas of the real service: one PostgreSQL, one embedded cluster, and the releases that they are to undo.

The cluster has a past: its clock was moved to now after good releases had run for hours and bad ones crashed for
minutes, so that everything else here goes by the machine's own clock.
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from remediator.kube.rollout import rollout_status
from remediator.simulate.alertmanager import SentAlert, webhook_bodies
from remediator.simulate.alertrules import kubernetes_rules
from remediator.simulate.apiserver import Call, EmbeddedCluster
from remediator.simulate.prometheus import EmbeddedPrometheus
from remediator.simulate.workloads import deployment
from tests.logkeys import signing

ROOT = Path(__file__).parents[2]
NAMESPACE = "shop"
RULES: Mapping[str, Any] = {
    "rules": [
        {
            "name": "crash-loop",
            "match": ['alertname="KubePodCrashLooping"'],
            "severity": 1,
            "diagnose": [],
            "respond": [{"do": "rollback"}],
            "verify": {"expect": ["rollout-complete"], "within": "10m", "stable_for": "0s", "otherwise": "escalate"},
            "mode": "active",
            "guards": {
                # One after the other in a small cluster, and none of them is to wait for the one before.
                "budgets": {"action": ["999 per 1h"], "cluster": ["999 per 1h"], "namespace": ["999 per 1h"]},
                "concurrency": {"cluster": 50, "namespace": 20},
                "storm": {"targets": 1000, "share": 100},
                "shared-cause": {"share": 90, "targets": 20},
                "breaker": {"in_a_row": 5, "of_last_ten": 9},
            },
        }
    ],
}


class Past:
    """The machine's clock, moved back while the cluster gets its past."""

    def __init__(self) -> None:
        self.behind = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) - self.behind

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass
class Town:
    """The cluster, its Prometheus, and the workloads whose last release crashes."""

    cluster: EmbeddedCluster
    prometheus: EmbeddedPrometheus
    names: Sequence[str]

    def body(self, name: str) -> bytes:
        """What Alertmanager posts of its crash loop."""
        pod = next(
            item["metadata"]["name"]
            for item in self.cluster.list("Pod", NAMESPACE)
            if item["metadata"]["labels"]["app"] == name and "crash" in item["spec"]["containers"][0]["image"]
        )
        labels = {"alertname": "KubePodCrashLooping", "namespace": NAMESPACE, "pod": pod, "container": "app"}
        sent = SentAlert(labels, datetime.now(UTC) - timedelta(minutes=4), {})
        [body] = webhook_bodies([sent])
        return body if isinstance(body, bytes) else json.dumps(body).encode()

    def writes(self, name: str) -> list[Call]:
        """Every real write to the workload that the API server saw, also what it refused."""
        path = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{name}"
        return [
            call
            for call in self.cluster.requests
            if call.method == "PATCH" and call.path == path and "dryRun" not in call.query
        ]

    def changes(self, name: str) -> int:
        """How often its spec was changed since the bad release."""
        return int(self.cluster.get("Deployment", NAMESPACE, name)["metadata"]["generation"]) - 2


@asynccontextmanager
async def town(count: int) -> AsyncIterator[Town]:
    clock = Past()
    names = [f"w{number}" for number in range(count)]
    async with (
        EmbeddedCluster(clock, tick_seconds=1, start_seconds=0.2) as cluster,
        EmbeddedPrometheus(clock, cluster, rules=kubernetes_rules(hold=timedelta()), interval_seconds=2) as prometheus,
    ):
        clock.behind = timedelta(hours=5)
        for name in names:
            cluster.apply(deployment(NAMESPACE, name, image=f"shop/{name}:1.4"))
        for minutes in (299, 298, 297, 240):
            clock.behind = timedelta(minutes=minutes)
            cluster.tick()
        assert all(rollout_status(cluster.get("Deployment", NAMESPACE, name)).is_complete for name in names)
        clock.behind = timedelta(minutes=6)
        for name in names:
            cluster.patch_image(NAMESPACE, name, f"shop/{name}:1.5-crash")
        for minutes in (5, 4, 3, 2, 1, 0):
            clock.behind = timedelta(minutes=minutes)
            cluster.tick()
            prometheus.evaluate()
        yield Town(cluster, prometheus, names)


class Child:
    """One replica as a process (`replica_child.py`). Use as a context manager."""

    def __init__(self, one: Town, url: str, folder: Path, *, name: str, lease_seconds: float, **more: Any) -> None:
        self.name = name
        self.log_file = folder / f"{name}.log"
        self._config = folder / f"{name}.json"
        settings = settings_of(one, url, folder)
        given = {"name": name, "settings": settings, "lease_seconds": lease_seconds, "trap": folder / "trap", **more}
        self._config.write_text(json.dumps(given, default=_text), encoding="utf-8")
        self._process: subprocess.Popen[str] | None = None
        self.port = 0

    async def start(self) -> None:
        """Until it listens."""
        line = await asyncio.to_thread(self._started)
        assert line, f"{self.name} did not start:\n{self.log[-4000:]}"
        self.port = int(line)

    def _started(self) -> str:
        command = [sys.executable, "-m", "tests.crash.replica_child", str(self._config)]
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    @property
    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    @property
    def is_stopped(self) -> bool:
        """By SIGSTOP, or for ever."""
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/stat").read_text()
        return status.rpartition(")")[2].split()[0] in "TZ"

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None


def _text(path: object) -> str:
    return str(path)


def settings_of(one: Town, url: str, folder: Path, **more: Any) -> dict[str, Any]:
    """For one replica; all of them sign with one key, and keep one anchor."""
    rules = folder / "rules.json"
    if not rules.exists():
        rules.write_text(json.dumps(RULES), encoding="utf-8")
    return {
        "web_listen_address": "127.0.0.1:0",
        "web_max_connections_per_peer": 256,  # all of a test come from one address
        "storage_url": url,
        "rules": (rules,),
        "mode": "active",
        "kube_server": one.cluster.url,
        "prometheus_url": one.prometheus.url,
        "cluster_name": "test",
        "poll_seconds": 0.3,
        "grace_seconds": 2,
        "reload_poll_seconds": 0,
        "rollout_poll_seconds": 0,
        "score_poll_seconds": 0,
        **signing(folder),
        **more,
    }
