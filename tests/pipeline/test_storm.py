"""A storm: 10,000 alerts of 500 targets within a minute, to a service that may act on every one of them.

The real service over HTTP with its receiver, worker and store, on a cluster in memory that holds 500 Deployments.
"""

from __future__ import annotations

import asyncio
import json
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from aiohttp import ClientSession

from remediator.access.loading import AccessFiles, known_access
from remediator.app import Service
from remediator.clock import Clock, SystemClock, rfc3339
from remediator.model import Mode, Request
from remediator.rules.table import rule_table
from remediator.settings import Settings
from remediator.store.database import open_database
from remediator.telemetry import Telemetry
from tests.logkeys import KEYS, signing
from tests.pipeline.town import Place, Town, TownMetrics
from tests.pipeline.world import rule
from tests.unit.receive.bodies import body, element
from tests.workloads import NOW

TARGETS, ALERTS, SECONDS = 500, 10_000, 60.0
BODY = 50
MOST_ACTIONS, RECOMMEND_ONLY_WITHIN = 3, 5.0
PLACES = [(f"team{number % 50:02}", f"app{number:03}x") for number in range(TARGETS)]
ROOMY = {
    "budgets": {"action": ["999 per 1h"], "namespace": ["99 per 1h"], "cluster": ["999 per 1h"]},
    "cooldown": {"period": "1m"},
}
"""What is left to hold it is the storm gate, and how many may be under way."""


class Shifted:
    """The hour of the story, going on with the machine's."""

    def __init__(self) -> None:
        self._system: Clock = SystemClock()
        self._offset = NOW - self._system.now()

    def now(self) -> Any:
        return self._system.now() + self._offset

    async def sleep(self, seconds: float) -> None:
        await self._system.sleep(seconds)


def bodies(clock: Shifted) -> list[bytes]:
    """Round robin over the targets: twenty alerts of each, fifty in a body."""
    alerts = []
    for number in range(ALERTS):
        namespace, name = PLACES[number % TARGETS]
        labels = {"alertname": "KubePodCrashLooping", "namespace": namespace, "pod": f"{name}-3-a"}
        labels["container"] = f"c{number // TARGETS}"
        started = rfc3339(clock.now() - timedelta(minutes=5))
        alerts.append(element(labels=labels, startsAt=started, fingerprint=f"{number:016x}"))
    return [body(*alerts[at : at + BODY]) for at in range(0, ALERTS, BODY)]


async def test_a_storm_is_recommended_on_and_told_once(tmp_path: Path) -> None:
    (tmp_path / "rules.json").write_text(json.dumps({"rules": [rule(guards=ROOMY).as_json()]}), encoding="utf-8")
    settings = Settings.load(
        None,
        {
            "web_listen_address": "127.0.0.1:0",
            "rules": (tmp_path / "rules.json",),
            "mode": "active",
            "rollout_poll_seconds": 0,
            "events": False,
            **signing(tmp_path),
        },
    )
    clock, writes = Shifted(), list[float]()

    def on_write(_: Place, __: Request) -> None:
        writes.append(time.monotonic())

    town = Town(clock, on_write, places=PLACES)
    telemetry = Telemetry.create(version="1", mode=Mode.ACTIVE)
    database = await open_database(f"sqlite:///{tmp_path / 'remediator.db'}", clock=clock, keys=KEYS)
    service = Service(
        settings,
        clock=clock,
        telemetry=telemetry,
        database=database,
        cluster=town,
        metrics=TownMetrics(town, clock),
        table=rule_table(settings.rules),
        access=known_access(AccessFiles()),
        keys=KEYS,
    )
    await service.start()
    began = time.monotonic()
    async with asyncio.TaskGroup() as group, ClientSession(f"http://127.0.0.1:{service.port}") as client:
        running = group.create_task(service.run())
        sent = bodies(clock)
        for number, one in enumerate(sent):
            await asyncio.sleep(began + SECONDS * number / len(sent) - time.monotonic())
            async with client.post("/api/v1/alerts", data=one, headers={"Content-Type": "application/json"}) as answer:
                assert answer.status == 200
        service.stop()
        await running
    records = [record for page in range(20) for record in await database.records(after=page * 10_000, limit=10_000)]
    await database.close()
    await asyncio.to_thread(telemetry.shutdown)

    received = sum(record.kind == "alert.received" for record in records)
    gates = [record.body["gate"] for record in records if record.kind == "gate.entered"]
    decided = [record for record in records if record.kind == "decision.recommended"]
    print(f"{received} alerts, {len(decided)} recommended, {len(writes)} writes, gates {gates}")
    assert received == ALERTS
    assert len(decided) > 100
    assert {record.body["reason"] for record in decided} == {"storm"}
    assert len(writes) <= MOST_ACTIONS
    assert [at - began for at in writes if at - began > RECOMMEND_ONLY_WITHIN] == []
    assert gates == ["storm"]
