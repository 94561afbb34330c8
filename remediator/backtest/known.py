"""What history can tell of the cluster: a table of facts, each with the PromQL that asks kube-state-metrics for it.

`fetch.py` asks, `facts.py` looks up, `FORMAT.md` explains. What has no row here history does not tell, and a decision
that rests on it says so. Series that mostly stand still are asked for whole; those of states only where the state is
other than well, which keeps a month of a thousand pods small.

Metric and label names: kubernetes/kube-state-metrics `docs/metrics` (v2). Where the scrape does not honour labels, the
object's own namespace, pod and container stand under `exported_*` (design of `target/labels.py`); `$ns`, `$pod` and
`$container` are whichever of the two it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

READY = 'kube_pod_status_ready{condition="true"}'


@dataclass(frozen=True, slots=True)
class Fact:
    """`metric` shows whether it is told at all; `expression` is asked over time; `key` are the labels that name its
    object, by which it is looked up. `says` is what people read."""

    metric: str
    expression: str
    key: tuple[str, ...]
    says: str


def _max(labels: str, inner: str) -> str:
    return f"max by ({labels}) ({inner})"


FACTS: Mapping[str, Fact] = {
    "pods": Fact(
        "kube_pod_info",
        _max("$ns, $pod, uid, node, created_by_kind, created_by_name, priority_class", "kube_pod_info"),
        ("namespace", "pod"),
        "pods, their nodes and owners",
    ),
    "unready": Fact(
        "kube_pod_status_ready", _max("$ns, $pod", f"{READY} == 0"), ("namespace", "pod"), "pods that are not ready"
    ),
    "phases": Fact(
        "kube_pod_status_phase",
        _max("$ns, $pod, phase", 'kube_pod_status_phase{phase=~"Pending|Succeeded|Failed"} == 1'),
        ("namespace", "pod"),
        "pods that wait for a node or have ended",
    ),
    "waiting": Fact(
        "kube_pod_container_status_waiting_reason",
        _max("$ns, $pod, $container, reason", "kube_pod_container_status_waiting_reason == 1"),
        ("namespace", "pod"),
        "what containers wait for",
    ),
    "restarts": Fact(
        "kube_pod_container_status_restarts_total",
        "round(" + _max("$ns, $pod, $container", "increase(kube_pod_container_status_restarts_total[1h])") + ") > 0",
        ("namespace", "pod"),
        "restarts within the hour",
    ),
    "images": Fact(
        "kube_pod_container_info",
        _max("$ns, $pod, $container, image", "kube_pod_container_info")
        + " and on ($ns, $pod) "
        + _max("$ns, $pod", f"{READY} == 0"),
        ("namespace", "pod"),
        "images of pods that are not ready",
    ),
    "claims": Fact(
        "kube_pod_spec_volumes_persistentvolumeclaims_info",
        _max("$ns, $pod, persistentvolumeclaim", "kube_pod_spec_volumes_persistentvolumeclaims_info"),
        ("namespace", "pod"),
        "volume claims of pods",
    ),
    "replicasets": Fact(
        "kube_replicaset_owner",
        _max("$ns, replicaset", "kube_replicaset_created")
        + " * on ($ns, replicaset) group_left (owner_kind, owner_name) "
        + _max("$ns, replicaset, owner_kind, owner_name", "kube_replicaset_owner")
        + " and on ($ns, replicaset) "
        + _max("$ns, replicaset", "kube_replicaset_spec_replicas > 0"),
        ("namespace", "replicaset"),
        "ReplicaSets with replicas, their owners and when they were created",
    ),
    "releases": Fact(
        "kube_pod_container_info",
        _max(
            "$ns, created_by_name, image",
            _max("$ns, $pod, image", "kube_pod_container_info")
            + " * on ($ns, $pod) group_left (created_by_name) "
            + _max("$ns, $pod, created_by_name", 'kube_pod_info{created_by_kind="ReplicaSet"}'),
        ),
        ("namespace", "created_by_name"),
        "images of ReplicaSets",
    ),
    "deployments": Fact(
        "kube_deployment_created",
        _max("$ns, deployment", "kube_deployment_created"),
        ("namespace", "deployment"),
        "Deployments",
    ),
    "replicas": Fact(
        "kube_deployment_spec_replicas",
        _max("$ns, deployment", "kube_deployment_spec_replicas"),
        ("namespace", "deployment"),
        "replicas of Deployments",
    ),
    "unobserved": Fact(
        "kube_deployment_status_observed_generation",
        _max("$ns, deployment", "kube_deployment_metadata_generation")
        + " > "
        + _max("$ns, deployment", "kube_deployment_status_observed_generation"),
        ("namespace", "deployment"),
        "specs of Deployments that were not observed yet",
    ),
    "statefulsets": Fact(
        "kube_statefulset_created",
        _max("$ns, statefulset", "kube_statefulset_created"),
        ("namespace", "statefulset"),
        "StatefulSets",
    ),
    "statefulset_replicas": Fact(
        "kube_statefulset_replicas",
        _max("$ns, statefulset", "kube_statefulset_replicas"),
        ("namespace", "statefulset"),
        "replicas of StatefulSets",
    ),
    "daemonsets": Fact(
        "kube_daemonset_created",
        _max("$ns, daemonset", "kube_daemonset_created"),
        ("namespace", "daemonset"),
        "DaemonSets",
    ),
    "jobs": Fact(
        "kube_job_owner",
        _max("$ns, job_name, owner_kind, owner_name", "kube_job_owner"),
        ("namespace", "job_name"),
        "Jobs and their owners",
    ),
    "autoscalers": Fact(
        "kube_horizontalpodautoscaler_info",
        _max(
            "$ns, horizontalpodautoscaler, scaletargetref_kind, scaletargetref_name",
            "kube_horizontalpodautoscaler_info",
        ),
        ("namespace", "horizontalpodautoscaler"),
        "what autoscalers scale",
    ),
    "nodes": Fact(
        "kube_node_status_condition",
        _max("node", 'kube_node_status_condition{condition="Ready", status="true"}'),
        ("node",),
        "nodes, and whether they are ready",
    ),
    "zones": Fact(
        "kube_node_labels",
        _max("node, label_topology_kubernetes_io_zone", "kube_node_labels"),
        ("node",),
        "zones of nodes",
    ),
}
"""Name in a recording -> what it is."""

EXPORTED = "exported_"
SCRAPE = ("namespace", "pod", "container")


def expression_of(fact: Fact, *, is_exported: bool) -> str:
    """The PromQL, for a scrape that honours labels or not."""
    text, before = fact.expression, EXPORTED if is_exported else ""
    for word, label in (("$ns", "namespace"), ("$pod", "pod"), ("$container", "container")):
        text = text.replace(word, before + label)
    return text
