"""A storm: 10,000 alerts of 500 targets within a minute, to a service that may act on every one of them.

The real service with its real clients over HTTP: an embedded cluster of 500 Deployments, each at a release that
crashes, and its Prometheus, in which all their alerts fire.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import ClientSession
from pydantic import BaseModel

from remediator.app import Service, open_service
from remediator.clock import Clock, SystemClock
from remediator.guards.base import View
from remediator.guards.canary import CanaryGuard
from remediator.model import Json
from remediator.reasons import Reason
from remediator.settings import Settings
from remediator.simulate.alertmanager import SentAlert, webhook_bodies
from remediator.simulate.alertrules import CRASH_LOOPING, kubernetes_rules
from remediator.simulate.apiserver import Call, EmbeddedCluster
from remediator.simulate.prometheus import EmbeddedPrometheus
from remediator.simulate.scenario import TRACE
from remediator.simulate.workloads import deployment
from remediator.store.base import CommittedRecord
from remediator.verdicts import Decision, Verdict
from tests.logkeys import signing
from tests.pipeline.world import rule
from tests.workloads import NOW

TARGETS, ALERTS, SECONDS = 500, 10_000, 60.0
BODY = 50
MOST_ACTIONS, RECOMMEND_ONLY_WITHIN = 3, 5.0
ROOMY = {
    "budgets": {"action": ["999 per 1h"], "namespace": ["99 per 1h"], "cluster": ["999 per 1h"]},
    "concurrency": {"namespace": 20, "cluster": 50},
    "cooldown": {"period": "1m"},
}
"""What is left to hold it is the storm gate."""

CALM = {**ROOMY, "storm": {"targets": 1000, "share": 100}}


class Shifted:
    """The hour of the story, going on with the machine's; `jump` moves it."""

    def __init__(self) -> None:
        self._system: Clock = SystemClock()
        self._offset = NOW - timedelta(hours=2) - self._system.now()

    def now(self) -> datetime:
        return self._system.now() + self._offset

    async def sleep(self, seconds: float) -> None:
        await self._system.sleep(seconds)

    def jump(self, **delta: float) -> None:
        self._offset += timedelta(**delta)


@dataclass(frozen=True, slots=True)
class Storm:
    """What came of it; each write with the seconds since the first alert was sent."""

    records: Sequence[CommittedRecord]
    writes: Sequence[tuple[float, Call]]

    def bodies(self, kind: str) -> list[Json]:
        return [record.body for record in self.records if record.kind == kind]


def _grown(clock: Shifted, targets: int) -> EmbeddedCluster:
    """A cluster in which every Deployment was well for an hour and got a release that crashes five minutes ago."""
    cluster = EmbeddedCluster(clock)
    cluster.set_logs("-crash", previous=TRACE)
    places = [(f"team-{number % 50:02}", f"app-{number:03}") for number in range(targets)]
    for namespace, name in places:
        cluster.apply(deployment(namespace, name, image=f"shop/{name}:1.4"))
    _pass(cluster, clock, seconds=5, times=3)
    clock.jump(hours=1)
    for namespace, name in places:
        cluster.patch_image(namespace, name, f"shop/{name}:1.5-crash")
    _pass(cluster, clock, seconds=5, times=3)
    _pass(cluster, clock, seconds=60, times=5)
    return cluster


def _pass(cluster: EmbeddedCluster, clock: Shifted, *, seconds: float, times: int) -> None:
    for _ in range(times):
        clock.jump(seconds=seconds)
        cluster.tick()


def _bodies(prometheus: EmbeddedPrometheus, alerts: int, targets: int) -> list[bytes]:
    """Round robin over the targets, fifty alerts in a body: each as many Prometheus servers send it, told apart by one
    label that nobody dropped."""
    looping = [alert for alert in prometheus.alerts() if alert.rule.expression == CRASH_LOOPING]
    assert len(looping) == targets
    sent = [
        SentAlert({**one.labels, "prometheus": f"k8s-{server}"}, one.active_at, one.annotations)
        for server in range(alerts // targets)
        for one in looping
    ]
    groups = [webhook_bodies(sent[at : at + BODY], group_by=["alertname"]) for at in range(0, len(sent), BODY)]
    return [json.dumps(body).encode() for bodies in groups for body in bodies]


async def _storm(folder: Path, *, targets: int, alerts: int, seconds: float, guards: Json) -> Storm:
    (folder / "rules.json").write_text(json.dumps({"rules": [rule(guards=guards).as_json()]}), encoding="utf-8")
    clock = Shifted()
    cluster = _grown(clock, targets)
    prometheus = EmbeddedPrometheus(clock, cluster, rules=kubernetes_rules(hold=timedelta(0)))
    async with cluster, prometheus:
        settings = Settings.load(
            None,
            {
                "web_listen_address": "127.0.0.1:0",
                "web_max_connections_per_peer": 256,  # all of a test come from one address
                "storage_url": f"sqlite:///{folder / 'remediator.db'}",
                "rules": (folder / "rules.json",),
                "mode": "active",
                "kube_server": cluster.url,
                "prometheus_url": prometheus.url,
                "events": False,
                "grace_seconds": 5,
                **signing(folder),
            },
        )
        async with open_service(settings, clock=clock) as service, asyncio.TaskGroup() as group:
            running = group.create_task(service.run())
            sent = _bodies(prometheus, alerts, targets)
            began_at, began = clock.now(), time.monotonic()
            try:
                await _deliver(sent, service, began=began, seconds=seconds)
            finally:
                service.stop()
            await running
            records = await _records(service)
    writes = [call for call in cluster.writes if "/events" not in call.path]
    return Storm(records, [((call.at - began_at).total_seconds(), call) for call in writes])


async def _records(service: Service) -> list[CommittedRecord]:
    found: list[CommittedRecord] = []
    while page := await service.database.records(after=found[-1].seq if found else 0, limit=10_000):
        found += page
    return found


async def _deliver(sent: Sequence[bytes], service: Service, *, began: float, seconds: float) -> None:
    async with ClientSession(f"http://127.0.0.1:{service.port}") as client:
        for number, one in enumerate(sent):
            await asyncio.sleep(began + seconds * number / len(sent) - time.monotonic())
            async with client.post("/api/v1/alerts", data=one, headers={"Content-Type": "application/json"}) as answer:
                assert answer.status == 200
        await asyncio.sleep(began + seconds - time.monotonic())


@pytest.fixture(autouse=True)
def _helped_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rule as it is has helped before: it may act on many."""

    async def check(guard: CanaryGuard, view: View, parameters: BaseModel) -> Verdict:
        return Verdict(guard.name, Decision.ALLOW, Reason.NONE, "the rule as it is has helped before")

    monkeypatch.setattr(CanaryGuard, "check", check)


async def test_a_storm_is_recommended_on_and_told_once(tmp_path: Path) -> None:
    storm = await _storm(tmp_path, targets=TARGETS, alerts=ALERTS, seconds=SECONDS, guards=ROOMY)

    decided = storm.bodies("decision.recommended")
    gates = [body["gate"] for body in storm.bodies("gate.entered")]
    received = len(storm.bodies("alert.received"))
    print(f"{received} alerts, {len(decided)} recommended, {len(storm.writes)} writes, gates {gates}")
    assert received == ALERTS
    assert len(decided) > 50
    assert {body["reason"] for body in decided} == {"storm"}
    assert len(storm.writes) <= MOST_ACTIONS
    assert [at for at, _ in storm.writes if at > RECOMMEND_ONLY_WITHIN] == []
    assert gates == ["storm"]


async def test_without_the_storm_gate_there_would_be_more(tmp_path: Path) -> None:
    """The negative control: nothing else holds what the storm gate holds."""
    storm = await _storm(tmp_path, targets=12, alerts=24, seconds=6, guards=CALM)

    assert len(storm.writes) > MOST_ACTIONS
