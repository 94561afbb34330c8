"""The PromQL of the collector `resources`. Pure; every value that goes into it is escaped.

Metrics: cAdvisor's `container_*` as the kubelet serves them, `kube_*` of kube-state-metrics 2. Series of several scrape
jobs for the same container are taken once (`max by`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from remediator.kube.base import controller_of
from remediator.kube.quantities import pod_requests
from remediator.kube.workload import Workload
from remediator.model import Json
from remediator.prometheus.base import Sample, label_value, regex_literal

MAX_OWNERS = 12
GENERATED = "[a-z0-9]{5}"
# kubernetes/apiserver `pkg/storage/names/generate.go`: what is kept of a name that a suffix is added to.
MAX_GENERATED_BASE = 58


def pods_of(workload: Workload) -> str | None:
    """A regular expression for the pods that there are, and those that went before them; None where there are none.

    Short on purpose: queries of many moments repeat it, and go out in a URL.
    """
    owners = {owner["name"]: owner["kind"] for pod in workload.pods if (owner := controller_of(pod)) is not None}
    return _pods_of_owners(dict(sorted(owners.items())[:MAX_OWNERS])) if owners else None


def former_pods_of(workload: Workload) -> str | None:
    """The same for the pods of all revisions that are kept."""
    newest = sorted(workload.replica_sets, key=lambda rs: str(rs["metadata"]["creationTimestamp"]))[-MAX_OWNERS:]
    return _pods_of_owners({rs["metadata"]["name"]: "ReplicaSet" for rs in newest}) if newest else None


def _pods_of_owners(kinds: Mapping[str, str]) -> str:
    """Owner name -> kind, as the pods' regular expression."""
    return "|".join(
        f"{regex_literal(name)}-[0-9]+" if kind == "StatefulSet" else f"{_base(name)}{GENERATED}"
        for name, kind in kinds.items()
    )


def _base(name: str) -> str:
    return regex_literal(f"{name}-"[:MAX_GENERATED_BASE])


def _selector(namespace: str, pods: str, more: str = "") -> str:
    return f"{{namespace={label_value(namespace)},pod=~{label_value(pods)}{more}}}"


CONTAINERS = ',container!="",container!="POD"'


def memory(namespace: str, pods: str) -> str:
    """Working set in bytes by pod and container; `OFFSET` stands where an offset goes."""
    inner = f"container_memory_working_set_bytes{_selector(namespace, pods, CONTAINERS)}OFFSET"
    return f"max by (pod, container) ({inner})"


def memory_peak_before(namespace: str, pods: str, seconds_ago: float) -> str:
    """The highest working set by container in the six hours before that moment."""
    inner = f"container_memory_working_set_bytes{_selector(namespace, pods, CONTAINERS)}"
    return f"max by (container) (max_over_time({inner}[6h] offset {max(int(seconds_ago), 1)}s))"


def traffic(namespace: str, pods: str) -> str:
    """Bytes received per second by pod: what a workload is asked to do, whatever it speaks."""
    return f"sum by (pod) (rate(container_network_receive_bytes_total{_selector(namespace, pods)}[5m]OFFSET))"


def cpu_of_pods(namespace: str, pods: str) -> str:
    """Cores used, by pod."""
    inner = f"rate(container_cpu_usage_seconds_total{_selector(namespace, pods, CONTAINERS)}[5m]OFFSET)"
    return f"sum by (pod) (max by (pod, container) ({inner}))"


def cpu(namespace: str, pods: str) -> str:
    """Cores used, by pod and container."""
    inner = f"rate(container_cpu_usage_seconds_total{_selector(namespace, pods, CONTAINERS)}[5m])"
    return f"max by (pod, container) ({inner})"


def throttled(namespace: str, pods: str) -> str:
    """Share of CFS periods in which the containers were throttled, 0 to 1."""
    where = _selector(namespace, pods, CONTAINERS)
    return (
        f"sum(rate(container_cpu_cfs_throttled_periods_total{where}[5m]))"
        f" / sum(rate(container_cpu_cfs_periods_total{where}[5m]))"
    )


def over_time(expression: str, offsets: Sequence[int]) -> str:
    """One query for the values at several moments: the label `ago` says how many seconds back each one is."""
    # The last one: a name in the selector before it may hold the word.
    head, _, tail = expression.rpartition("OFFSET")
    parts = (
        f'label_replace({head}{f" offset {ago}s" if ago else ""}{tail}, "ago", "{ago}", "", "")' for ago in offsets
    )
    return " or ".join(parts)


def averages(samples: Sequence[Sample]) -> Sequence[tuple[int, float]]:
    """(seconds ago, average over the pods there were), oldest first, of an answer to `over_time`."""
    by: dict[int, list[float]] = {}
    for sample in samples:
        by.setdefault(int(sample.labels["ago"]), []).append(sample.value)
    return [(ago, sum(values) / len(values)) for ago, values in sorted(by.items(), reverse=True)]


@dataclass(frozen=True, slots=True)
class NotComputable:
    """Where pods like this one may run cannot be told from metrics alone."""

    why: str


def room_on_nodes(pod: Json) -> str | NotComputable:
    """How many more pods like this one fit: a sample by resource, and one with `resource="all"` for all together.

    Counted on nodes that are ready, not cordoned and without a taint that the pod does not tolerate: allocatable less
    what running and pending pods request there. Requests of sidecars are not in the metric, so the room is a little
    smaller than told.
    """
    if why := _bound_to_nodes(pod["spec"]):
        return NotComputable(why)
    rooms = {"pods": _room("pods", 1.0)}
    for resource, amount in sorted(pod_requests(pod).items()):
        if amount > 0:
            # kube-state-metrics writes resource names with underscores.
            rooms[resource] = _room(re.sub(r"[^a-zA-Z0-9_]", "_", resource), float(amount))
    labelled = [f'label_replace({text}, "resource", "{name}", "", "")' for name, text in rooms.items()]
    union = " or ".join(labelled)
    total = f'label_replace(min by (node) ({union}), "resource", "all", "", "")'
    found = f"sum by (resource) ((({union}) or {total}) {_fit_nodes(pod['spec'])})"
    # Nodes that are known and do not fit are no room; nodes of which nothing is known are no answer.
    none = 'label_replace(0 * count(kube_node_status_allocatable), "resource", "all", "", "")'
    return f"{found} or {none}"


def _room(resource: str, each: float) -> str:
    finished = 'on (namespace, pod) (kube_pod_status_phase{phase=~"Succeeded|Failed"} == 1)'
    if resource == "pods":
        taken = f'count by (node) (max by (namespace, pod, node) (kube_pod_info{{node!=""}}) unless {finished})'
    else:
        inner = f'kube_pod_container_resource_requests{{resource="{resource}",node!=""}}'
        taken = f"sum by (node) (max by (namespace, pod, container, node) ({inner}) unless {finished})"
    whole = f'max by (node) (kube_node_status_allocatable{{resource="{resource}"}})'
    return f"floor(clamp_min({whole} - ({taken} or {whole} * 0), 0) / {each:.12g})"


def _fit_nodes(spec: Json) -> str:
    taints = 'kube_node_spec_taint{effect=~"NoSchedule|NoExecute"}'
    for tolerated in _tolerated(spec):
        taints += f" unless kube_node_spec_taint{{{tolerated}}}"
    return (
        'and on (node) (kube_node_status_condition{condition="Ready",status="true"} == 1)'
        " unless on (node) (kube_node_spec_unschedulable == 1)"
        f" unless on (node) ({taints})"
    )


def _tolerated(spec: Json) -> Iterator[str]:
    """Matchers of the taints that the pod tolerates. Other operators than these two tolerate nothing here."""
    for one in spec.get("tolerations") or ():
        matchers = [f"effect={label_value(one['effect'])}"] if one.get("effect") else []
        if one.get("key"):
            matchers.append(f"key={label_value(one['key'])}")
        match one.get("operator") or "Equal":
            case "Equal" if one.get("key"):
                yield ",".join([*matchers, f"value={label_value(one.get('value') or '')}"])
            case "Exists":
                yield ",".join(matchers)


def _bound_to_nodes(spec: Json) -> str:
    """What else decides where the pod may run, "" for nothing that the metrics do not know."""
    affinity = spec.get("affinity") or {}
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    if spec.get("nodeSelector") or (affinity.get("nodeAffinity") or {}).get(required):
        return "the pods choose nodes by label"
    if any((affinity.get(kind) or {}).get(required) for kind in ("podAffinity", "podAntiAffinity")):
        return "the pods choose nodes by other pods"
    spread = spec.get("topologySpreadConstraints") or ()
    if any(one.get("whenUnsatisfiable", "DoNotSchedule") == "DoNotSchedule" for one in spread):
        return "the pods are spread by constraint"
    if any(port.get("hostPort") for one in spec["containers"] for port in one.get("ports") or ()):
        return "the pods take ports of their node"
    if any(volume.get("persistentVolumeClaim") or volume.get("ephemeral") for volume in spec.get("volumes") or ()):
        return "the pods are bound to volumes"
    return ""
