"""Silent mode over the whole alert table, with the rights that are shipped for it: it proves, and writes nothing.

All scenarios of the table stand on the rig at once. First the service has the plain silent overlay and no Events, then
the component `dry-run` and Events. The API server's audit log says what either of them wrote.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.cluster import audit
from tests.cluster.binaries import Binaries
from tests.cluster.controlplane import ControlPlane, RequestFailed
from tests.cluster.credentials import SILENT
from tests.cluster.monitoring import Alertmanager, Exporter, Prometheus, alertmanager_config, prometheus_config
from tests.cluster.scenarios.base import NAME, Stage
from tests.cluster.service import RunningService, active_table
from tests.cluster.test_deploy import (
    ANNOTATE,
    REFUSAL,
    STRATEGIC_MERGE,
    fence,
    no_other_rights,  # noqa: F401  # a fixture
    silent,  # noqa: F401  # a fixture
)
from tests.cluster.test_table import SCENARIOS, Running, alert_rules, incidents_by_scenario, namespace_for
from tests.cluster.waiting import wait_for

UNDECIDED = ("queued", "diagnosing", "planned")


@dataclass
class Ran:
    """What one run left: the outcome of each scenario's incident by its namespace, what people were told of each, the
    proofs, and the requests of our account."""

    outcomes: Mapping[str, str]
    told: Sequence[str]
    proofs: list[dict[str, Any]]
    requests: list[audit.Event]

    @property
    def writes(self) -> list[str]:
        return [f"{one['verb']} {one['objectRef']['resource']}" for one in self.requests if audit.is_write(one)]

    @property
    def dry_runs(self) -> set[str]:
        return {one["objectRef"]["resource"] for one in self.requests if audit.is_dry_run(one)}


@dataclass
class Both:
    plain: Ran
    fenced: Ran
    refusal: str
    tried: list[str]
    """The real writes of the account that the audit log holds after one was tried: the witness can see them."""


@pytest.fixture(scope="module")
def ran(
    binaries: Binaries,
    silent: ControlPlane,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Both]:
    """Both runs on the same world: what writes nothing, changes nothing for the next one."""
    folder = tmp_path_factory.mktemp("silent-table")
    with ExitStack() as stack:
        exporter = stack.enter_context(Exporter())
        alertmanager = stack.enter_context(
            Alertmanager(binaries, folder / "alertmanager", alertmanager_config("http://127.0.0.1:9/"))
        )
        config = prometheus_config(
            targets=[exporter.target], rule_files=[alert_rules(folder)], alertmanagers=[alertmanager.target]
        )
        prometheus = stack.enter_context(Prometheus(binaries, folder / "prometheus", config))
        running = [Running(one, Stage(silent, exporter, namespace_for(silent))) for one in SCENARIOS]
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(Running.begin, running))
        rules = active_table(folder / "rules", within="90s", stable_for="3s")
        servers = (f"--prometheus.url={prometheus.url}", f"--alertmanager.url={alertmanager.url}", "--mode=silent")

        def run(name: str, *flags: str) -> Ran:
            since = datetime.now(UTC)
            service = RunningService(silent, folder / name, user=SILENT, flags=(*servers, *flags), rules=rules)
            with service:
                # Another receiver is told what the one before was told already.
                routed = alertmanager_config(f"{service.url}/api/v1/alerts")
                routed["route"]["receiver"] = routed["receivers"][0]["name"] = name
                alertmanager.reload(routed)
                found = decided(service, running)
                proofs = [one for incident in found.values() for one in proofs_of(service, incident["id"])]
                told = [line_of(service, one, found[one.stage.namespace]) for one in running]
            outcomes = {name: one["outcome"] for name, one in found.items()}
            return Ran(outcomes, told, proofs, requests_since(silent, since))

        plain = run("plain", "--no-events")
        (folder / "overlay").mkdir()
        with fence(silent, folder / "overlay"):
            fenced = run("fenced")
            since, place = (
                datetime.now(UTC),
                next(one.stage.namespace for one in running if has_deployment(silent, one)),
            )
            refusal = really_tried(silent, place)
            seen = wait_for(
                lambda: silent.writes(SILENT, place, since), timeout_seconds=10, what="the attempt on record"
            )
        yield Both(plain, fenced, refusal, [f"{one['verb']} {one['objectRef']['resource']}" for one in seen])


def decided(service: RunningService, running: list[Running]) -> dict[str, dict[str, Any]]:
    """The incident of each scenario, once all have been decided on."""
    names = {one.stage.namespace for one in running}

    def found() -> dict[str, dict[str, Any]] | None:
        incidents = {name: one for name, one in incidents_by_scenario(service).items() if name in names}
        is_done = incidents.keys() == names and all(one["outcome"] not in UNDECIDED for one in incidents.values())
        return incidents if is_done else None

    told = wait_for(found, timeout_seconds=150, what="a decision on every scenario")
    assert told is not None
    return told


def line_of(service: RunningService, one: Running, incident: dict[str, Any]) -> str:
    records = service.get(f"/api/v1/incidents/{incident['id']}")["records"]
    last = next(record["body"] for record in reversed(records) if record["kind"].startswith("decision."))
    return f"{one.scenario.id:75} {incident['outcome']} {last.get('reason', '')}: {last.get('detail', '')[:120]}"


def proofs_of(service: RunningService, incident: int) -> list[dict[str, Any]]:
    records = service.get(f"/api/v1/incidents/{incident}")["records"]
    return [one["body"]["proof"] for one in records if one["body"].get("proof")]


def requests_since(control_plane: ControlPlane, since: datetime) -> list[audit.Event]:
    return [one for one in control_plane.audit_events(user=SILENT, since=since) if one.get("objectRef")]


def has_deployment(control_plane: ControlPlane, one: Running) -> bool:
    items = control_plane.get(f"/apis/apps/v1/namespaces/{one.stage.namespace}/deployments")["items"]
    return any(item["metadata"]["name"] == NAME for item in items)


def really_tried(control_plane: ControlPlane, namespace: str) -> str:
    """What the API server says to a real write of the account that may make dry runs."""
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{NAME}"
    try:
        control_plane.request("PATCH", path, ANNOTATE, user=SILENT, content_type=STRATEGIC_MERGE)
    except RequestFailed as refused:
        return str(refused)
    return "it was done"


def test_without_events_it_writes_nothing_at_all(ran: Both) -> None:
    assert ran.plain.writes == []
    assert "recommended" in ran.plain.outcomes.values()


def test_without_the_right_to_dry_runs_that_is_said_by_name_and_the_recommendation_comes(ran: Both) -> None:
    answers = {one["answer"] for proof in ran.plain.proofs for one in proof["dry_run"]}
    assert answers == {"no-permission"}
    allowed = {one["allowed"] for proof in ran.plain.proofs for one in proof["permissions"]}
    assert allowed == {False}
    assert {proof["executable"] for proof in ran.plain.proofs} == {False}


def test_with_events_these_are_all_that_it_writes(ran: Both) -> None:
    assert set(ran.fenced.writes) == {"create events"}
    assert ran.fenced.dry_runs == {"deployments", "selfsubjectaccessreviews"}


def test_a_recommendation_is_proven_by_the_api_server(ran: Both) -> None:
    """What it would make of the object, and that this account may send each request."""
    proven = [proof for proof in ran.fenced.proofs if proof["executable"]]
    assert proven
    images = [
        change
        for proof in proven
        for one in proof["dry_run"]
        for change in one["changes"]
        if change["field"].startswith("spec.template.spec.containers[") and change["field"].endswith("].image")
    ]
    assert images, proven
    assert all(change["before"] != change["after"] for change in images)
    assert all(one["allowed"] for proof in proven for one in proof["permissions"])
    assert {proof["fence"] for proof in proven} == {"there"}


def test_the_shipped_rights_suffice_and_forbid_a_real_write(ran: Both) -> None:
    refused = [one for one in ran.fenced.requests if audit.response_code(one) == 403 and not _is_the_attempt(one)]
    assert [f"{one['verb']} {one['requestURI']}" for one in refused] == []
    assert REFUSAL in ran.refusal
    assert ran.tried == ["patch deployments"]


def _is_the_attempt(event: audit.Event) -> bool:
    return not event.get("userAgent", "").startswith("remediator/")


def test_what_people_are_told_is_printed(ran: Both) -> None:
    """`pytest -s` shows it."""
    print("\n" + "\n".join(ran.fenced.told))
    assert len(ran.fenced.told) == len(SCENARIOS)


def test_both_runs_decide_the_same(ran: Both) -> None:
    """Rights and Events are no part of a decision; only that a budget is asked needs the right to ask."""
    differing = {
        name: (ran.plain.outcomes[name], ran.fenced.outcomes[name])
        for name in ran.plain.outcomes
        if ran.plain.outcomes[name] != ran.fenced.outcomes[name]
    }
    assert all(pair == ("recommended", "held") for pair in differing.values()), differing
