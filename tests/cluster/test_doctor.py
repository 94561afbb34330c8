"""`remediator doctor` beside the real programs: an API server, Prometheus, Alertmanager, and the service itself."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from remediator.doctor.prometheus import NEEDED_SERIES
from remediator.generate.alerts import Form, Placed, needed
from remediator.generate.route import Wanted, beside
from remediator.kube.access_review import REVIEW_PATH
from remediator.rules.load import load_rules
from remediator.rules.shipped import shipped_rules
from remediator.settings import Settings
from remediator.watchdog import awaited
from tests.cluster import audit
from tests.cluster.conftest import StartAlertmanager, StartPrometheus
from tests.cluster.controlplane import ControlPlane
from tests.cluster.credentials import ACTIVE, NOBODY
from tests.cluster.monitoring import Exporter, prometheus_config
from tests.cluster.service import RunningService
from tests.cluster.waiting import wait_for

TABLE = load_rules(shipped_rules())
AWAITED = awaited(Settings.load(None, {}))
ELSEWHERE = {
    name: "warning"
    for name in (
        *("KubePodCrashLooping", "KubeDeploymentRolloutStuck", "KubeContainerWaiting", "KubePodNotReady"),
        *("KubeDeploymentReplicasMismatch", "KubeHpaMaxedOut", "KubeNodeNotReady", "CPUThrottlingHigh"),
    )
}
"""Of kubernetes-mixin: that they are loaded is all that is asked here."""


def rule_files(folder: Path) -> list[Path]:
    ours, others = folder / "remediator.rules.yaml", folder / "others.rules.yaml"
    ours.write_text(needed(TABLE, Form.PLAIN, Placed("remediator")), encoding="utf-8")
    rules = [{"alert": name, "expr": "vector(0) > 1", "labels": {"severity": one}} for name, one in ELSEWHERE.items()]
    others.write_text(yaml.safe_dump({"groups": [{"name": "others", "rules": rules}]}), encoding="utf-8")
    return [ours, others]


def doctor(control_plane: ControlPlane, user: str, *words: str) -> tuple[int, dict[str, Any]]:
    command = [
        sys.executable,
        "-m",
        "remediator",
        "doctor",
        "-o",
        "json",
        f"--kubeconfig={control_plane.kubeconfig(user)}",
    ]
    done = subprocess.run([*command, *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    return done.returncode, {one["name"]: one for one in json.loads(done.stdout)["checks"]}


@pytest.mark.usefixtures("permissions")
def test_it_finds_all_well_and_then_what_is_broken(
    control_plane: ControlPlane,
    exporter: Exporter,
    start_alertmanager: StartAlertmanager,
    start_prometheus: StartPrometheus,
    tmp_path: Path,
) -> None:
    for name in NEEDED_SERIES:
        exporter.set(name, {"namespace": "shop", "pod": "web-1", "container": "app"}, 1.0)
    prometheus = start_prometheus(prometheus_config(targets=[exporter.target], rule_files=rule_files(tmp_path)))
    with RunningService(
        control_plane, tmp_path / "service", user=ACTIVE, flags=("--mode=silent", f"--prometheus.url={prometheus.url}")
    ) as service:
        alertmanager = start_alertmanager(beside(TABLE, Wanted(f"{service.url}/api/v1/alerts", watchdog=AWAITED)))
        wait_for(lambda: prometheus.query("kube_pod_owner"), timeout_seconds=20, what="the first scrape")
        places = (
            f"--prometheus.url={prometheus.url}",
            f"--alertmanager.url={alertmanager.url}",
            f"--url={service.url}",
        )
        storage = f"--storage.url=sqlite:///{tmp_path / 'service' / 'remediator.db'}"
        since = datetime.now(UTC)

        code, found = doctor(control_plane, ACTIVE, storage, *places)

        bad = {name: one for name, one in found.items() if one["answer"] == "failed"}
        assert (code, bad) == (0, {})
        for name in ("kubernetes", "kubernetes-clock", "permissions-read", "permissions-events", "permissions-act"):
            assert found[name]["answer"] == "ok", found[name]["detail"]
        for name in ("prometheus", "prometheus-alerts", "kube-state-metrics", "alertmanager", "alertmanager-route"):
            assert found[name]["answer"] == "ok", found[name]["detail"]
        assert "a running service" in found["store"]["detail"]
        assert found["service"]["answer"] in ("ok", "warning")

        # What it asked of the API server: reads, and reviews, which the API server stores nothing of.
        events = [one for one in control_plane.audit_events(user=ACTIVE, since=since) if _is_doctors(one)]
        writes = {one["requestURI"].partition("?")[0] for one in events if one["verb"] not in ("get", "list")}
        assert writes <= {REVIEW_PATH}
        # And the service that it looked at still holds its database and goes on.
        assert service.get("/api/v1/incidents") == {"incidents": []}

        code, found = doctor(
            control_plane, NOBODY, storage, "--mode=active", *places[:1], "--alertmanager.url=http://127.0.0.1:1"
        )

    assert code == 1
    assert found["permissions-read"]["answer"] == found["alertmanager"]["answer"] == "failed"
    assert found["audit-key"]["answer"] == found["credentials"]["answer"] == "failed"
    assert found["prometheus"]["answer"] == "ok"


def _is_doctors(event: audit.Event) -> bool:
    return str(event.get("userAgent", "")).startswith("remediator-doctor")
