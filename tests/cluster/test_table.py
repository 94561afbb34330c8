"""The alert table on the real control plane: scenario -> cause -> response, all of it in one run.

A real Prometheus evaluates, a real Alertmanager delivers, the real service in active mode decides by the shipped table
(with `mode: active` and shorter waits), and the API server's audit log says what was written.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.binaries import Binaries
from tests.cluster.controlplane import ControlPlane
from tests.cluster.credentials import ACTIVE
from tests.cluster.monitoring import Alertmanager, Exporter, Prometheus, alertmanager_config, prometheus_config
from tests.cluster.scenarios import releases, symptoms
from tests.cluster.scenarios.base import ALERTS, FACT_MISSING, FOR, LOOK_ALIKE, Scenario, Stage
from tests.cluster.service import RunningService, active_table
from tests.cluster.waiting import wait_for

SCENARIOS: tuple[Scenario, ...] = (*releases.SCENARIOS, *symptoms.SCENARIOS)
ENDS_WITHIN_SECONDS = 240
FINAL = ("verified", "recommended", "escalated", "declined", "reverted", "unknown", "cancelled", "expired")


@dataclass
class Ended:
    """What became of a scenario. `records` are those of its incident."""

    cause: str | None
    outcome: str
    reason: str
    writes: Sequence[str]
    records: Sequence[dict[str, Any]]


def alert_rules(folder: Path) -> Path:
    """One rule for each row: it fires as long as the scenario's sample is there. A late scrape (a busy machine) marks
    all series as gone: what was there within five seconds still is."""
    rows = sorted({scenario.row for scenario in SCENARIOS})
    rules = [
        {
            "alert": row,
            "expr": f'sum without (row, instance, job) (last_over_time({ALERTS}{{row="{row}"}}[5s])) > 0',
        }
        for row in rows
    ]
    path = folder / "alerts.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "table", "rules": rules}]}), encoding="utf-8")
    return path


class Running:
    """One scenario under way: its namespace, its alert, and whether it has ended."""

    def __init__(self, scenario: Scenario, stage: Stage) -> None:
        self.scenario = scenario
        self.stage = stage
        self._labels: dict[str, str] = {}

    def begin(self) -> None:
        labels = self.scenario.build(self.stage)
        told = {"row": self.scenario.row, "severity": self.scenario.severity, "scenario": self.stage.namespace}
        self._labels = {**told, **labels}
        self.stage.exporter.set(ALERTS, self._labels, 1.0)

    def look(self) -> None:
        """Let the alert end when the trouble is over."""
        is_over = self.scenario.is_over
        if is_over is not None and self._labels and is_over(self.stage):
            self.stage.exporter.remove(ALERTS, self._labels)


@pytest.fixture(scope="module")
def table(
    binaries: Binaries, control_plane: ControlPlane, permissions: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Ended]]:
    """All scenarios started together; what became of each, by its id."""
    folder = tmp_path_factory.mktemp("table")
    with ExitStack() as stack:
        exporter = stack.enter_context(Exporter())
        alertmanager = stack.enter_context(
            Alertmanager(binaries, folder / "alertmanager", alertmanager_config("http://127.0.0.1:9/"))
        )
        config = prometheus_config(
            targets=[exporter.target], rule_files=[alert_rules(folder)], alertmanagers=[alertmanager.target]
        )
        prometheus = stack.enter_context(Prometheus(binaries, folder / "prometheus", config))
        service = stack.enter_context(
            RunningService(
                control_plane,
                folder / "service",
                user=ACTIVE,
                flags=("--mode=active", f"--prometheus.url={prometheus.url}", f"--alertmanager.url={alertmanager.url}"),
                rules=active_table(folder / "rules", within="90s", stable_for="3s"),
            )
        )
        alertmanager.reload(alertmanager_config(f"{service.url}/api/v1/alerts"))
        running = [Running(one, Stage(control_plane, exporter, namespace_for(control_plane))) for one in SCENARIOS]
        # As many at once as the rig's kubelet and two cores stand.
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(Running.begin, running))
        yield collect(control_plane, service, running)


def namespace_for(control_plane: ControlPlane) -> str:
    name = f"table-{secrets.token_hex(4)}"
    control_plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    accounts = f"/api/v1/namespaces/{name}/serviceaccounts"
    wait_for(lambda: control_plane.get(accounts)["items"], timeout_seconds=20, what="the default ServiceAccount")
    return name


def collect(control_plane: ControlPlane, service: RunningService, running: Sequence[Running]) -> dict[str, Ended]:
    """Wait until each has ended, or the time is over; an unfinished one is reported as it stands."""
    deadline = time.monotonic() + ENDS_WITHIN_SECONDS
    while True:
        for one in running:
            one.look()
        incidents = incidents_by_scenario(service)
        found = {one.scenario.id: ended_of(control_plane, service, one, incidents) for one in running}
        if all(ended.outcome in FINAL for ended in found.values()) or time.monotonic() > deadline:
            return found
        time.sleep(1.0)


def incidents_by_scenario(service: RunningService) -> dict[str, dict[str, Any]]:
    """The first incident of each: one that ended is not what came of a later repeat."""
    found: dict[str, dict[str, Any]] = {}
    for incident in sorted(service.get("/api/v1/incidents?limit=1000")["incidents"], key=lambda each: each["id"]):
        records = service.get(f"/api/v1/incidents/{incident['id']}")["records"]
        labels = next((record["body"]["labels"] for record in records if record["body"].get("labels")), {})
        found.setdefault(labels.get("scenario", ""), incident)
    return found


def ended_of(
    control_plane: ControlPlane, service: RunningService, one: Running, incidents: dict[str, dict[str, Any]]
) -> Ended:
    namespace = one.stage.namespace
    incident = incidents.get(namespace)
    if incident is None:
        return Ended(None, "nothing", "", (), ())
    records = service.get(f"/api/v1/incidents/{incident['id']}")["records"]
    causes = [record["body"]["cause"] for record in records if record["body"].get("cause")]
    writes = [
        f"{event['verb']} {event['objectRef']['resource']}"
        + (f"/{sub}" if (sub := event["objectRef"].get("subresource")) else "")
        for event in control_plane.writes(ACTIVE, namespace)
        if event["objectRef"]["resource"] != "events"
    ]
    return Ended(causes[-1] if causes else None, incident["outcome"], incident["reason"], writes, records)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.id)
def test_the_table_answers_as_it_should(scenario: Scenario, table: dict[str, Ended]) -> None:
    ended = table[scenario.id]

    story = "\n".join(f"  {r['kind']}: {r['body'].get('detail', '')}" for r in ended.records)
    expected = (scenario.cause, scenario.outcome, scenario.reason)
    assert (ended.cause, ended.outcome, ended.reason or "") == expected, story
    assert list(ended.writes) == list(scenario.writes), story


def test_every_row_has_its_case_a_look_alike_and_a_missing_fact() -> None:
    for row in {scenario.row for scenario in SCENARIOS}:
        shown = {scenario.shows for scenario in SCENARIOS if scenario.row == row}
        assert shown == {FOR, LOOK_ALIKE, FACT_MISSING}, row


def test_the_table_is_printed(table: dict[str, Ended], record_property: pytest.RecordProperty) -> None:
    """`pytest -s` shows it: scenario -> cause -> response."""
    lines = [
        f"{scenario.id:75} {ended.cause or '-':18} {ended.outcome} {ended.reason or ''}".rstrip()
        for scenario in SCENARIOS
        for ended in (table[scenario.id],)
    ]
    print("\n" + "\n".join(lines))
    record_property("table", "\n".join(lines))
    assert len(lines) == len(SCENARIOS)
