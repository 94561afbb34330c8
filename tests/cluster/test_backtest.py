"""A real Prometheus: an alert that fired is found with its begin and end, and every fact is asked in PromQL it takes.

The exporter plays kube-state-metrics for one Deployment with one pod.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import yaml

from remediator.backtest.decided import Result, Would
from remediator.backtest.episodes import episodes
from remediator.backtest.fetch import Wanted, fetch
from remediator.backtest.history import History
from remediator.backtest.known import FACTS
from remediator.backtest.run import backtest
from remediator.backtest.scene import NOT_OBSERVED
from remediator.clock import SystemClock, parse_rfc3339
from remediator.prometheus.client import PrometheusMetrics
from remediator.rules.ruleset import rule_set
from remediator.rules.schema import Rule
from tests.cluster.conftest import StartPrometheus
from tests.cluster.monitoring import Exporter, prometheus_config
from tests.cluster.waiting import wait_for

SHOP = {"namespace": "shop"}
POD = {**SHOP, "pod": "web-5d9c-x2x"}
CONTAINER = {**POD, "container": "app"}
SET, DEPLOYMENT = {**SHOP, "replicaset": "web-5d9c"}, {**SHOP, "deployment": "web"}
OF_SET = {"created_by_kind": "ReplicaSet", "created_by_name": "web-5d9c"}
WAITING = "kube_pod_container_status_waiting_reason"
CREATED = 1_790_000_000.0
SAMPLES: list[tuple[str, Mapping[str, str], float]] = [
    ("kube_pod_info", {**POD, **OF_SET, "uid": "9d2f", "node": "node-1"}, 1),
    ("kube_pod_status_ready", {**POD, "condition": "true"}, 0),
    ("kube_pod_status_phase", {**POD, "phase": "Pending"}, 1),
    (WAITING, {**CONTAINER, "reason": "CrashLoopBackOff"}, 1),
    ("kube_pod_container_info", {**CONTAINER, "image": "web:1"}, 1),
    ("kube_pod_spec_volumes_persistentvolumeclaims_info", {**POD, "persistentvolumeclaim": "data"}, 1),
    ("kube_replicaset_created", SET, CREATED),
    ("kube_replicaset_owner", {**SET, "owner_kind": "Deployment", "owner_name": "web"}, 1),
    ("kube_replicaset_spec_replicas", SET, 1),
    ("kube_deployment_created", DEPLOYMENT, CREATED),
    ("kube_deployment_spec_replicas", DEPLOYMENT, 1),
    ("kube_deployment_metadata_generation", DEPLOYMENT, 4),
    ("kube_deployment_status_observed_generation", DEPLOYMENT, 3),
    ("kube_statefulset_created", {**SHOP, "statefulset": "db"}, CREATED),
    ("kube_statefulset_replicas", {**SHOP, "statefulset": "db"}, 1),
    ("kube_daemonset_created", {**SHOP, "daemonset": "agent"}, CREATED),
    ("kube_job_owner", {**SHOP, "job_name": "nightly-1", "owner_kind": "CronJob", "owner_name": "nightly"}, 1),
    (
        "kube_horizontalpodautoscaler_info",
        {**SHOP, "horizontalpodautoscaler": "web", "scaletargetref_kind": "Deployment", "scaletargetref_name": "web"},
        1,
    ),
    ("kube_node_status_condition", {"node": "node-1", "condition": "Ready", "status": "true"}, 1),
    ("kube_node_labels", {"node": "node-1", "label_topology_kubernetes_io_zone": "a"}, 1),
]
SECOND = timedelta(seconds=1)


def test_an_alert_that_fired_is_played(exporter: Exporter, start_prometheus: StartPrometheus, tmp_path: Path) -> None:
    """Its begin is that of Prometheus itself, its pod leads to its Deployment, and every fact has what the exporter
    said."""
    file = tmp_path / "rules.yaml"
    rule = {"alert": "CrashLooping", "expr": f"{WAITING} > 0"}
    file.write_text(yaml.safe_dump({"groups": [{"name": "rig", "rules": [rule]}]}))
    for name, labels, value in SAMPLES:
        if name != WAITING:
            exporter.set(name, labels, value)
    restarts = "kube_pod_container_status_restarts_total"
    exporter.set(restarts, CONTAINER, 1)
    prometheus = start_prometheus(prometheus_config(targets=[exporter.target], rule_files=[file]))
    wait_for(lambda: prometheus.query("kube_pod_info"), timeout_seconds=20, what="the first scrape")
    [(_, labels, _)] = [one for one in SAMPLES if one[0] == WAITING]
    exporter.set(WAITING, labels, 1)
    exporter.set(restarts, CONTAINER, 5)
    [fired] = wait_for(prometheus.alerts, timeout_seconds=20, what="the alert")
    wait_for(lambda: prometheus.query("count_over_time(ALERTS[1m]) > 3"), timeout_seconds=20, what="some seconds of it")
    exporter.set(WAITING, labels, 0)
    wait_for(lambda: not prometheus.alerts(), timeout_seconds=20, what="its end")
    ended_by = SystemClock().now()
    wait_for(lambda: SystemClock().now() > ended_by + 2 * SECOND, timeout_seconds=5, what="two more seconds")

    history, result = asyncio.run(_backtest(prometheus.url, parse_rfc3339(fired["activeAt"])))
    [episode] = episodes(history)
    active = parse_rfc3339(fired["activeAt"])
    assert abs(episode.begins_at - active) < SECOND
    assert episode.ends_at is not None
    assert active + 3 * SECOND < episode.ends_at < ended_by + 2 * SECOND
    assert episode.labels == {"alertname": "CrashLooping", "instance": exporter.target, "job": "rig", **labels}
    assert set(history.facts) == set(FACTS)
    assert [name for name, series in history.facts.items() if not series] == []
    [word] = result.decided
    assert (word.would, word.action, word.target) == (Would.COULD, "restart", "shop/deployment/web")
    assert NOT_OBSERVED in word.needs, "the controller has seen generation 3 of 4"
    assert "CrashLoopBackOff" in word.seen


async def _backtest(url: str, active: datetime) -> tuple[History, Result]:
    now = SystemClock().now()
    metrics = PrometheusMetrics(url, SystemClock())
    wanted = Wanted(active - 5 * SECOND, now, SECOND, SECOND, {}, url)
    rule = {
        "name": "crash",
        "match": ['alertname="CrashLooping"'],
        "severity": 1,
        "respond": [{"do": "restart"}],
        "verify": {"expect": ["pods-ready"]},
    }
    try:
        history = await fetch(metrics, wanted, lambda done, of: None)
    finally:
        await metrics.close()
    return history, await backtest(history, rule_set([Rule.model_validate(rule)]), name="rig")
