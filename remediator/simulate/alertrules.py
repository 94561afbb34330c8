"""Alerting rules for the embedded Prometheus: a PromQL text paired with Python that computes the same series.

The expressions are those of kubernetes-mixin `alerts/apps_alerts.libsonnet` as kube-prometheus renders them, so that
what the service asks in the demo is what it would ask a real Prometheus. Called by `prometheus.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from remediator.kube.base import controller_of
from remediator.model import Json
from remediator.prometheus.base import Sample
from remediator.simulate.replicasets import is_ready


class Observed(Protocol):
    """What a rule may look at, and not change: the objects of the cluster."""

    def every(self, kind: str, namespace: str | None = None) -> Sequence[Json]: ...


Evaluate = Callable[[Observed, datetime], Sequence[Sample]]


@dataclass(frozen=True, slots=True)
class Rule:
    """An alerting rule; `evaluate` answers `expression` over the cluster as it is now.

    `hold` is the rule's `for`; `labels` and `annotations` are added to every alert, `{{ $labels.x }}` in annotations
    is filled in.
    """

    name: str
    expression: str
    evaluate: Evaluate
    hold: timedelta = timedelta(0)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


EXPORTER = {"job": "kube-state-metrics", "instance": "10.244.1.7:8443"}
"""The labels of the scrape target, which every series of kube-state-metrics carries."""

KUBE_STATE = 'namespace=~".*", job="kube-state-metrics"'

CRASH_LOOPING = (
    f'max_over_time(kube_pod_container_status_waiting_reason{{reason="CrashLoopBackOff", {KUBE_STATE}}}[5m]) >= 1'
)

REPLICAS_MISMATCH = (
    f"(kube_deployment_spec_replicas{{{KUBE_STATE}}} > kube_deployment_status_replicas_available{{{KUBE_STATE}}})"
    f" and (changes(kube_deployment_status_replicas_updated{{{KUBE_STATE}}}[10m]) == 0)"
)

POD_NOT_READY = (
    "sum by (namespace, pod, job) (max by (namespace, pod, job)"
    f' (kube_pod_status_phase{{{KUBE_STATE}, phase=~"Pending|Unknown|Failed"}})'
    " * on (namespace, pod, job) group_left (owner_kind) topk by (namespace, pod, job)"
    ' (1, max by (namespace, pod, owner_kind, job) (kube_pod_owner{owner_kind!="Job"}))) > 0'
)


class CrashLooping:
    """`max_over_time(...[5m]) >= 1`: a series stays for five minutes after it was last seen waiting."""

    def __init__(self, window: timedelta = timedelta(minutes=5)) -> None:
        self._window = window
        self._seen_at: dict[tuple[tuple[str, str], ...], datetime] = {}

    def __call__(self, observed: Observed, now: datetime) -> Sequence[Sample]:
        for pod in observed.every("Pod"):
            for status in pod["status"].get("containerStatuses") or ():
                if (status["state"].get("waiting") or {}).get("reason") == "CrashLoopBackOff":
                    self._seen_at[tuple(sorted(_container_labels(pod, status["name"]).items()))] = now
        self._seen_at = {key: at for key, at in self._seen_at.items() if now - at <= self._window}
        return [Sample(dict(key), 1.0) for key in sorted(self._seen_at)]


class ReplicasMismatch:
    """Fewer available than wanted, and `updatedReplicas` the same for ten minutes or since it was first seen."""

    def __init__(self, window: timedelta = timedelta(minutes=10)) -> None:
        self._window = window
        # uid -> the last value, and when it last changed (None: never since it was first seen).
        self._updated: dict[str, tuple[int, datetime | None]] = {}

    def __call__(self, observed: Observed, now: datetime) -> Sequence[Sample]:
        samples, updated = [], {}
        for item in observed.every("Deployment"):
            uid, status = item["metadata"]["uid"], item.get("status") or {}
            value, changed_at = status.get("updatedReplicas", 0), None
            if uid in self._updated:
                before, changed_at = self._updated[uid]
                changed_at = now if before != value else changed_at
            updated[uid] = (value, changed_at)
            is_still = changed_at is None or now - changed_at > self._window
            wanted = item["spec"]["replicas"]
            if wanted > status.get("availableReplicas", 0) and is_still:
                where = {"namespace": item["metadata"]["namespace"], "deployment": item["metadata"]["name"]}
                samples.append(Sample({**EXPORTER, **where}, float(wanted)))
        self._updated = updated
        return samples


def pods_not_ready(observed: Observed, now: datetime) -> Sequence[Sample]:
    """Pods in phase Pending, Unknown or Failed that no Job owns. A running pod that is not ready is not among them."""
    return [
        Sample({"namespace": meta["namespace"], "pod": meta["name"], "job": EXPORTER["job"]}, 1.0)
        for pod in observed.every("Pod")
        if pod["status"]["phase"] in ("Pending", "Unknown", "Failed")
        and (controller_of(pod) or {}).get("kind") != "Job"
        and not is_ready(pod)
        and (meta := pod["metadata"])
    ]


def _container_labels(pod: Json, container: str) -> dict[str, str]:
    meta = pod["metadata"]
    where = {"namespace": meta["namespace"], "pod": meta["name"], "uid": meta["uid"], "container": container}
    return {**EXPORTER, **where, "reason": "CrashLoopBackOff"}


def _texts(summary: str, description: str, name: str) -> dict[str, str]:
    page = f"https://runbooks.prometheus-operator.dev/runbooks/kubernetes/{name.lower()}"
    return {"summary": summary, "description": description, "runbook_url": page}


def kubernetes_rules(*, hold: timedelta = timedelta(minutes=15)) -> Sequence[Rule]:
    """The three rules of kubernetes-mixin that a sick Deployment trips, with their `for` of 15 minutes or another."""
    crash = "Pod {{ $labels.namespace }}/{{ $labels.pod }} ({{ $labels.container }}) is in waiting state."
    replicas = "Deployment {{ $labels.namespace }}/{{ $labels.deployment }} has not matched the expected replicas."
    unready = "Pod {{ $labels.namespace }}/{{ $labels.pod }} has been in a non-ready state."
    rows: Sequence[tuple[str, str, Evaluate, str, str]] = (
        ("KubePodCrashLooping", CRASH_LOOPING, CrashLooping(), "Pod is crash looping.", crash),
        (
            "KubeDeploymentReplicasMismatch",
            REPLICAS_MISMATCH,
            ReplicasMismatch(),
            "Deployment has not matched the expected number of replicas.",
            replicas,
        ),
        ("KubePodNotReady", POD_NOT_READY, pods_not_ready, "Pod has been in a non-ready state.", unready),
    )
    return [
        Rule(name, text, evaluate, hold, {"severity": "warning"}, _texts(summary, description, name))
        for name, text, evaluate, summary, description in rows
    ]
