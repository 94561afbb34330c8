"""The whole service in this process, in active mode on an embedded cluster, with a release that crash-loops: what comes
to its webhook leads to a rollback. Its clock runs a hundred times faster, its database is where the test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp

from remediator.app import Service, open_service
from remediator.clock import FastClock
from remediator.kube.rollout import rollout_status
from remediator.settings import Settings
from remediator.simulate.alertmanager import SentAlert, webhook_bodies
from remediator.simulate.alertrules import kubernetes_rules
from remediator.simulate.apiserver import Call, EmbeddedCluster
from remediator.simulate.prometheus import EmbeddedPrometheus
from remediator.simulate.scenario import TRACE
from remediator.simulate.workloads import deployment
from tests.cluster.waiting import wait_for_async
from tests.logkeys import signing

SPEED = 100.0
GOOD, BAD = "shop/checkout:1.4", "shop/checkout:1.5-crash"
RULES = """\
rules:
  - name: crash-loop
    match: ['alertname="KubePodCrashLooping"']
    severity: 1
    diagnose: [logs, events, rollout, config, node]
    respond:
      - when: {cause: [code-error, cannot-start], deployed_within: 2h}
        do: rollback
      - do: escalate
    verify: {expect: [rollout-complete, pods-ready], within: 10m, stable_for: 5s, otherwise: escalate}
    guards: {storm: {targets: 1000, share: 100}}
    mode: active
"""


@dataclass
class Shop:
    """What a test looks at. `alert` fires, in Prometheus too."""

    service: Service
    cluster: EmbeddedCluster
    alert: SentAlert
    client: aiohttp.ClientSession

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.service.port}"

    @property
    def writes(self) -> Sequence[Call]:
        """What was done to workloads."""
        return [call for call in self.cluster.writes if call.user_agent.startswith("remediator/") and _is_work(call)]

    @property
    def image(self) -> str:
        template = self.cluster.get("Deployment", "shop", "checkout")["spec"]["template"]
        return str(template["spec"]["containers"][0]["image"])

    async def post(self, **labels: str) -> int:
        """Deliver the alert, or one with these labels beside its own; the status of the answer."""
        alert = SentAlert({**self.alert.labels, **labels}, self.alert.starts_at, self.alert.annotations)
        [body] = webhook_bodies([alert])
        async with self.client.post(f"{self.url}/api/v1/alerts", json=body) as answer:
            return answer.status

    async def ready(self) -> int:
        async with self.client.get(f"{self.url}/-/ready") as answer:
            return answer.status

    async def until_not_ready(self) -> None:
        """Within two seconds: an answer is a second old at the most."""

        async def is_told() -> bool:
            return await self.ready() == 503

        await wait_for_async(is_told, timeout_seconds=2, what="/-/ready says that it cannot store")

    async def kinds(self) -> list[str]:
        """What was recorded of the alert, and not of others."""
        records = await self.service.database.records(after=0, limit=10_000)
        return [record.kind for record in records if record.body.get("alertname") == self.alert.labels["alertname"]]

    async def until_served(self) -> None:
        """Within ten seconds, and without a restart."""

        async def is_served() -> bool:
            return await self.post() == 200 and await self.ready() == 200

        await wait_for_async(is_served, timeout_seconds=10, what="it serves again")

    async def until(self, kind: str) -> None:
        async def is_recorded() -> bool:
            return kind in await self.kinds()

        await wait_for_async(is_recorded, timeout_seconds=60, what=kind)


def _is_work(call: Call) -> bool:
    return "/events" not in call.path


@asynccontextmanager
async def shop(folder: Path, storage_url: str, **settings: Any) -> AsyncIterator[Shop]:
    clock = FastClock(speed=SPEED)
    rules = kubernetes_rules(hold=timedelta())
    async with (
        EmbeddedCluster(clock) as cluster,
        EmbeddedPrometheus(clock, cluster, rules=rules, interval_seconds=5) as prometheus,
        open_service(_settings(folder, storage_url, cluster, prometheus, settings), clock=clock) as service,
        aiohttp.ClientSession() as client,
        asyncio.TaskGroup() as group,
    ):
        running = group.create_task(service.run())
        try:
            yield Shop(service, cluster, await _crash_looping(cluster, prometheus), client)
        finally:
            service.stop()
        await running


def _settings(
    folder: Path,
    storage_url: str,
    cluster: EmbeddedCluster,
    prometheus: EmbeddedPrometheus,
    others: Mapping[str, Any],
) -> Settings:
    (folder / "rules.yaml").write_text(RULES, encoding="utf-8")
    given = {
        "web_listen_address": "127.0.0.1:0",
        "web_max_connections_per_peer": 256,  # all of a test come from one address
        "storage_url": storage_url,
        "rules": (folder / "rules.yaml",),
        "mode": "active",
        **signing(folder),
        "cluster_name": "test",
        "kube_server": cluster.url,
        "prometheus_url": prometheus.url,
        "poll_seconds": 0.05,
        "lease_seconds": 300,  # of the fast clock: three real seconds
        "grace_seconds": 2,
        "reload_poll_seconds": 0,
        "rollout_poll_seconds": 0,  # what the deployment watch asks is not known here
    }
    return Settings.load(None, {**given, **others})


async def _crash_looping(cluster: EmbeddedCluster, prometheus: EmbeddedPrometheus) -> SentAlert:
    """A good release, then one that crashes; what Prometheus says of it."""
    cluster.apply(deployment("shop", "checkout", image=GOOD))
    cluster.set_logs("checkout", previous=TRACE)

    def is_complete() -> bool:
        return rollout_status(cluster.get("Deployment", "shop", "checkout")).is_complete

    await wait_for_async(is_complete, timeout_seconds=30, what="the good release")
    cluster.patch_image("shop", "checkout", BAD)

    def fires() -> SentAlert | None:
        for alert in prometheus.alerts():
            if alert.labels.get("alertname") == "KubePodCrashLooping" and alert.fired_at is not None:
                return SentAlert(alert.labels, alert.fired_at, alert.annotations)
        return None

    found = await wait_for_async(fires, timeout_seconds=30, what="the alert of the bad release")
    assert found is not None
    return found
