"""The main job on real input: a real rule fires, a real Alertmanager delivers, a real Deployment is rolled back."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from remediator.clock import parse_rfc3339
from remediator.simulate.alertmanager import SentAlert, webhook_bodies, wire_bytes
from tests.cluster import audit
from tests.cluster.conftest import StartAlertmanager, StartPrometheus
from tests.cluster.controlplane import ControlPlane
from tests.cluster.credentials import ACTIVE, SILENT
from tests.cluster.monitoring import Alertmanager, Exporter, Prometheus, alertmanager_config, prometheus_config
from tests.cluster.service import RunningService, rules_with
from tests.cluster.waiting import wait_for

WAITING = "kube_pod_container_status_waiting_reason"
CRASH_LOOPING = f'max_over_time({WAITING}{{reason="CrashLoopBackOff"}}[5s]) >= 1'
"""kubernetes-mixin's expression with a shorter window; `for` is left out, so that the test does not wait 15 minutes."""


@dataclass(frozen=True, slots=True)
class Monitored:
    exporter: Exporter
    alertmanager: Alertmanager
    prometheus: Prometheus


def alert_rules(folder: Path) -> Path:
    path = folder / "alerts.yaml"
    rule = {
        "alert": "KubePodCrashLooping",
        "expr": CRASH_LOOPING,
        "labels": {"severity": "warning"},
        "annotations": {"summary": "Pod is crash looping."},
    }
    path.write_text(json.dumps({"groups": [{"name": "kubernetes-apps", "rules": [rule]}]}), encoding="utf-8")
    return path


def deploy(control_plane: ControlPlane, namespace: str) -> None:
    """`shop`, two replicas: a good release, then one that crashes."""
    labels = {"app": "shop"}
    control_plane.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "shop", "annotations": {"team": "checkout"}},
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [{"name": "app", "image": "shop:1.4"}]},
                },
            },
        },
        namespace,
    )
    control_plane.kubectl("rollout", "status", "deployment/shop", "-n", namespace, "--timeout=30s")
    control_plane.kubectl("set", "image", "deployment/shop", "app=shop:crash-1.5", "-n", namespace)


def crashing_pods(control_plane: ControlPlane, namespace: str) -> list[dict[str, Any]]:
    pods = control_plane.get(f"/api/v1/namespaces/{namespace}/pods")["items"]
    return [
        pod
        for pod in pods
        for status in pod["status"].get("containerStatuses", ())
        if status["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff"
    ]


def sample(exporter: Exporter, pod: dict[str, Any]) -> None:
    """What kube-state-metrics says of a crash-looping pod."""
    meta = pod["metadata"]
    labels = {"namespace": meta["namespace"], "pod": meta["name"], "uid": meta["uid"], "container": "app"}
    exporter.set(WAITING, {**labels, "reason": "CrashLoopBackOff"}, 1.0)


def is_gone(control_plane: ControlPlane, pod: dict[str, Any]) -> bool:
    namespace, uid = pod["metadata"]["namespace"], pod["metadata"]["uid"]
    pods = control_plane.get(f"/api/v1/namespaces/{namespace}/pods")["items"]
    return all(each["metadata"]["uid"] != uid for each in pods)


@pytest.fixture
def monitored(
    exporter: Exporter, start_alertmanager: StartAlertmanager, start_prometheus: StartPrometheus, tmp_path: Path
) -> Monitored:
    """Prometheus with the alert's rule, and an Alertmanager that is told later whom to call."""
    alertmanager = start_alertmanager(alertmanager_config("http://127.0.0.1:9/"))
    prometheus = start_prometheus(
        prometheus_config(
            targets=[exporter.target], rule_files=[alert_rules(tmp_path)], alertmanagers=[alertmanager.target]
        )
    )
    return Monitored(exporter, alertmanager, prometheus)


@pytest.fixture
def crashing(control_plane: ControlPlane, namespace: str, permissions: None) -> dict[str, Any]:
    """A pod of the bad release, in its crash loop."""
    deploy(control_plane, namespace)
    found = wait_for(lambda: crashing_pods(control_plane, namespace), timeout_seconds=30, what="a crashing pod")
    return found[0]


def serve(control_plane: ControlPlane, monitored: Monitored, folder: Path, *, user: str, mode: str) -> RunningService:
    """The service with the shipped table, whose verification takes seconds here instead of minutes."""
    rules = rules_with(folder / "rules", within="90s", stable_for="3s")
    flags = (
        f"--mode={mode}",
        "--log.level=debug",
        f"--prometheus.url={monitored.prometheus.url}",
        f"--alertmanager.url={monitored.alertmanager.url}",
    )
    return RunningService(control_plane, folder / "service", user=user, flags=flags, rules=rules)


def test_a_crashing_release_is_rolled_back_and_verified(
    control_plane: ControlPlane, namespace: str, crashing: dict[str, Any], monitored: Monitored, tmp_path: Path
) -> None:
    """Crash -> sample -> rule -> Alertmanager -> service -> one PATCH -> old release -> alert resolves -> verified."""
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/shop"
    with serve(control_plane, monitored, tmp_path, user=ACTIVE, mode="active") as service:
        monitored.alertmanager.reload(alertmanager_config(f"{service.url}/api/v1/alerts"))
        sample(monitored.exporter, crashing)

        wait_for(lambda: is_gone(control_plane, crashing), timeout_seconds=40, what="the bad pod is gone")
        monitored.exporter.clear()
        incident = wait_for(
            lambda: next((i for i in service.incidents() if i["outcome"] == "verified"), None),
            timeout_seconds=60,
            what="an incident that is verified",
        )
        shown = service.cli("incidents", "show", str(incident["id"]))
        story = service.get(f"/api/v1/incidents/{incident['id']}")
        wait_for(lambda: not monitored.alertmanager.alerts(), timeout_seconds=40, what="the alert resolves")

    live = control_plane.get(path)
    assert live["spec"]["template"]["spec"]["containers"][0]["image"] == "shop:1.4"
    assert live["metadata"]["annotations"]["team"] == "checkout", "live annotations stay"
    patches = control_plane.writes(ACTIVE, namespace)
    changes = [event for event in patches if event["objectRef"]["resource"] == "deployments"]
    assert [(event["verb"], audit.response_code(event)) for event in changes] == [("patch", 200)]
    assert {event["objectRef"]["resource"] for event in patches} == {"deployments", "events"}
    kinds = [record["kind"] for record in story["records"] if not record["kind"].startswith("alert.")]
    assert kinds == ["step.diagnosing", "step.planned", "action.intent", "action.applied", "outcome.verified"]
    assert shown.returncode == 0, shown.stderr
    assert "roll back" in shown.stdout
    notes = control_plane.kubectl("get", "events", "-n", namespace).stdout
    assert "RolledBack" in notes
    assert "Verified" in notes


def test_a_silence_that_comes_after_the_delivery_holds_it_until_it_ends(
    control_plane: ControlPlane, namespace: str, crashing: dict[str, Any], monitored: Monitored, tmp_path: Path
) -> None:
    """Paused while the alert comes; silenced; resumed: nothing is written. The silence ends, and it acts."""
    with serve(control_plane, monitored, tmp_path, user=ACTIVE, mode="active") as service:

        def held_by(reason: str) -> bool:
            return any((i["outcome"], i["reason"]) == ("held", reason) for i in service.incidents())

        assert service.cli("pause", "--namespace", namespace, "--comment", "first look").returncode == 0
        monitored.alertmanager.reload(alertmanager_config(f"{service.url}/api/v1/alerts"))
        sample(monitored.exporter, crashing)
        wait_for(lambda: held_by("paused-by-person"), timeout_seconds=60, what="it is held by the pause")
        silence = monitored.alertmanager.silence({"namespace": namespace})
        assert service.cli("resume", "--namespace", namespace, "--comment", "silenced now").returncode == 0
        wait_for(lambda: held_by("alert-silenced"), timeout_seconds=60, what="it is held by the silence")
        before = [event for event in control_plane.writes(ACTIVE, namespace) if not is_event(event)]
        monitored.alertmanager.expire(silence)
        wait_for(lambda: is_gone(control_plane, crashing), timeout_seconds=60, what="the bad pod is gone")
        monitored.exporter.clear()

    assert before == []


def is_event(write: dict[str, Any]) -> bool:
    return bool(write["objectRef"]["resource"] == "events")


def test_silent_mode_recommends_the_same_plan_and_writes_nothing(
    control_plane: ControlPlane, namespace: str, crashing: dict[str, Any], monitored: Monitored, tmp_path: Path
) -> None:
    """The same way ends in a recommendation: dry run and Events are all that the API server's audit log holds of us."""
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/shop"
    before = control_plane.get(path)["spec"]
    with serve(control_plane, monitored, tmp_path, user=SILENT, mode="silent") as service:
        monitored.alertmanager.reload(alertmanager_config(f"{service.url}/api/v1/alerts"))
        sample(monitored.exporter, crashing)
        incident = wait_for(
            lambda: next((i for i in service.incidents() if i["outcome"] == "recommended"), None),
            timeout_seconds=60,
            what="an incident with a recommendation",
        )
        story = service.get(f"/api/v1/incidents/{incident['id']}")
        wait_for(
            lambda: "WouldRollBack" in control_plane.kubectl("get", "events", "-n", namespace).stdout,
            timeout_seconds=20,
            what="the Event WouldRollBack",
        )
    simulated = simulate(control_plane, namespace, story, tmp_path)

    assert incident["reason"] == "mode-silent"
    recommended = story["records"][-1]["body"]
    assert (simulated["rule"], simulated["target"]) == (recommended["rule"], recommended["target"])
    assert simulated["decisions"][-1]["detail"] == recommended["detail"], "a dump leads to the same as the cluster"
    assert simulated["attempt"]["plan"]["after"] == recommended["plan"]["after"]
    assert recommended["plan"]["after"]["spec"]["containers"][0]["image"] == "shop:1.4"
    assert {verdict["guard"] for verdict in recommended["verdicts"]} >= {"mode", "cooldown", "dry-run"}
    assert control_plane.get(path)["spec"] == before
    assert {event["objectRef"]["resource"] for event in control_plane.writes(SILENT, namespace)} == {"events"}
    dry = [event["objectRef"]["resource"] for event in control_plane.dry_runs(SILENT, namespace)]
    assert dry == ["deployments"]
    proof = recommended["proof"]
    assert [one["answer"] for one in proof["dry_run"]] == ["accepted"]
    image = {"field": "spec.template.spec.containers[app].image", "before": "shop:crash-1.5", "after": "shop:1.4"}
    assert image in proof["dry_run"][0]["changes"]
    # These rights are the tests' own and wider than what is shipped: no policy keeps this account from the real write.
    assert (proof["executable"], proof["fence"]) == (True, "unknown")


def simulate(control_plane: ControlPlane, namespace: str, story: Any, folder: Path) -> Any:
    """What `remediator simulate` makes of the same alert and of what kubectl says of the namespace."""
    kinds = (
        "ns,nodes,deploy,rs,sts,ds,controllerrevisions,po,svc,endpointslices,cm,pvc,sa,hpa,pdb,quota,limits,netpol,events"
    )
    dump, body = folder / "dump.yaml", folder / "body.json"
    dump.write_text(control_plane.kubectl("get", kinds, "-n", namespace, "-o", "yaml").stdout, encoding="utf-8")
    received = next(record for record in story["records"] if record["kind"] == "alert.received")["body"]
    sent = SentAlert(received["labels"], parse_rfc3339(received["starts_at"]))
    body.write_bytes(wire_bytes(webhook_bodies([sent])[0]))
    words = ("simulate", str(body), "--cluster", str(dump), "--complete", "--assume-firing", "-o", "json")
    done = subprocess.run([sys.executable, "-m", "remediator", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [simulated] = json.loads(done.stdout)["deliveries"][0]["alerts"]
    return simulated
