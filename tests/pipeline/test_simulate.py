"""`simulate` and the service decide the same of the same webhook bodies: the captured ones, on the cluster they are of.

The service is the real one, over HTTP, with a clock that all but stands still; `simulate` reads the same cluster from
what kubectl would have written.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from remediator.access.base import ANYONE
from remediator.app import Service, open_service
from remediator.clock import FastClock
from remediator.export.as_json import plain
from remediator.model import Alert, AlertStatus, Mode
from remediator.receive.payload import read
from remediator.redact import Remembering
from remediator.rules.load import load_rules
from remediator.rules.schema import Rule
from remediator.rules.shipped import shipped_rules
from remediator.settings import Settings
from remediator.simulate.alertmanager import deliver
from remediator.simulate.apiserver import EmbeddedCluster
from remediator.simulate.bodies import read_deliveries
from remediator.simulate.dump import Dump, read_dump
from remediator.simulate.simulation import Setting, Simulated, Simulation, by_episode, decided_of, simulate
from remediator.simulate.tables import changed
from tests.dumps import TAKEN_AT, shop
from tests.logkeys import signing

PAYLOADS = Path(__file__).parents[1] / "data" / "payloads"
BODIES = sorted(path for path in PAYLOADS.glob("*.json") if not path.name.startswith("api-v2-"))
TABLE = load_rules(shipped_rules())
UNDECIDED = {"queued", "diagnosing", "planned"}
STANDS_STILL = 1e-4
"""Clock seconds in one real second: nothing becomes due while the service decides."""


@pytest.fixture(scope="module")
def dump(tmp_path_factory: pytest.TempPathFactory) -> Dump:
    file = tmp_path_factory.mktemp("dump") / "shop.json"
    file.write_text(json.dumps(shop()), encoding="utf-8")
    return read_dump([file], is_complete=True)


def setting(dump: Dump, *, mode: Mode = Mode.SILENT) -> Setting:
    return Setting(dump, TABLE, mode, TAKEN_AT, follow=timedelta())


def compared(one: Simulated) -> Mapping[str, Any]:
    """All that was decided and why; not how the service's own ids and permissions are called."""
    names = ("rule", "severity", "target", "chain", "contact")
    told: dict[str, Any] = {name: plain(getattr(one, name)) for name in names}
    told["decision"] = [(d.kind, d.reason, d.detail, d.guard, d.advice) for d in one.decisions[:1]]
    if one.attempt is not None:
        attempt = plain(replace(one.attempt, firing=None, records=(), decided_at=None))
        (attempt.get("proof") or {}).pop("permissions", None)
        (attempt.get("proof") or {}).pop("executable", None)
        for name in ("remediation", "action_id", "plan", "diff"):
            attempt.pop(name)
        told["attempt"] = attempt
    return told


@asynccontextmanager
async def service_on(dump: Dump, folder: Path) -> AsyncIterator[Service]:
    clock = FastClock(speed=STANDS_STILL, start=TAKEN_AT)
    async with EmbeddedCluster(clock) as cluster:
        cluster.restore(dump.objects)
        cluster.deny("get", "pods/log")
        settings = Settings.load(
            None,
            {
                "web_listen_address": "127.0.0.1:0",
                "storage_url": "sqlite:///:memory:",
                "cluster_name": "dump",
                "kube_server": cluster.url,
                "poll_seconds": 0.02,
                "grace_seconds": 1,
                "workers": 1,  # one after the other, as the simulation does: how many are looked at counts for gates
                "reload_poll_seconds": 0,
                "rollout_poll_seconds": 0,
                "events": False,
                **signing(folder),
            },
        )
        async with open_service(settings, clock=clock) as service:
            yield service


async def by_the_service(dump: Dump, folder: Path, alerts: list[Alert], files: list[Path]) -> list[Simulated]:
    """Deliver the bodies, then let it decide: what becomes of each alert."""
    async with service_on(dump, folder) as service:
        for file in files:
            assert await deliver(f"http://127.0.0.1:{service.port}/api/v1/alerts", _json(file)) == 200
        async with asyncio.TaskGroup() as group:
            running = group.create_task(service.run())
            try:
                async with asyncio.timeout(30):
                    told = await _all_decided(service)
            finally:
                service.stop()
            await running
    return [decided_of(alert, told, TABLE) for alert in alerts]


def _json(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


async def _all_decided(service: Service) -> Any:
    while UNDECIDED & (await service.database.queue_depth()).keys():  # noqa: ASYNC110  # nobody tells us
        await asyncio.sleep(0.02)
    return await by_episode(service.database)


def episodes(alerts: list[Alert]) -> list[Alert]:
    """Each firing episode once."""
    firing = [one for one in alerts if one.status is AlertStatus.FIRING]
    return list({(one.fingerprint, one.starts_at): one for one in firing}.values())


async def test_the_same_bodies_lead_to_the_same_decisions(dump: Dump, tmp_path: Path) -> None:
    """All of them at once: some are repeats of others, some resolve others, and together they are a storm."""
    bodies = [file.read_bytes() for file in BODIES]
    alerts = [alert for body in bodies for alert in read(body, Remembering(), sender=ANYONE.credential).alerts]
    simulated = await simulate(bodies, setting(dump))
    served = await by_the_service(dump, tmp_path, episodes(alerts), BODIES)

    told: dict[tuple[str, datetime], Simulated] = {}
    for one in simulated.alerts:
        if one.alert.status is AlertStatus.FIRING:
            told.setdefault((one.alert.fingerprint, one.alert.starts_at), one)
    assert sum(not one.why_not for one in told.values()) > 10
    for one in served:
        mine = told[one.alert.fingerprint, one.alert.starts_at]
        if one.alert.name == "Watchdog":
            assert "always fires" in mine.why_not, "and the service has nothing of it to show"
        else:
            assert (mine.why_not, compared(mine)) == (one.why_not, compared(one)), one.alert


@pytest.mark.parametrize(
    "name",
    [
        "firing-kubedeploymentrolloutstuck",
        "firing-kubepodnotready",
        "firing-kubehpamaxedout",
        "firing-multi-kubepodcrashlooping",
        "firing-chart-labels-kubenodenotready",
    ],
)
async def test_a_body_alone_leads_to_the_same_decision(name: str, dump: Dump, tmp_path: Path) -> None:
    """Without the others no gate is in the way, and the guards of the workload itself speak."""
    file = PAYLOADS / f"{name}.json"
    simulated = await simulate([file.read_bytes()], setting(dump))
    alerts = [one.alert for one in simulated.alerts if not one.why_not]
    served = await by_the_service(dump, tmp_path, alerts, [file])

    assert [compared(one) for one in simulated.alerts if not one.why_not] == [compared(one) for one in served]
    assert all(one.decisions for one in served)


async def test_another_table_is_noticed(dump: Dump) -> None:
    """The comparison can fail: with one row less it is another decision."""

    def less(rule: Rule) -> Rule:
        return Rule.model_validate({**rule.as_json(), "respond": [{"do": "escalate"}]})

    body = (PAYLOADS / "firing-kubedeploymentrolloutstuck.json").read_bytes()
    one = await simulate([body], setting(dump))
    other = await simulate([body], replace(setting(dump), table=changed(TABLE, less)))

    assert compared(one.alerts[0]) != compared(other.alerts[0])


async def found(dump: Dump, name: str, **changes: Any) -> Simulation:
    [delivery] = read_deliveries([PAYLOADS / f"{name}.json"])
    return await simulate(delivery.bodies, replace(setting(dump), **changes))


async def test_a_release_that_crashes_would_be_undone(dump: Dump) -> None:
    """With what a dump lacks assumed, each guard speaks, and the diff is that of the plan."""
    simulation = await found(dump, "firing-kubedeploymentrolloutstuck", assumes_firing=True)
    [one] = simulation.alerts
    assert one.attempt is not None
    assert (one.rule, one.target) == ("rollout-stuck", "shop/deployment/checkout")
    assert any("checkout:2.0" in line for line in one.attempt.diff if line.startswith("+")), one
