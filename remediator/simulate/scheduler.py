"""The scheduler of the embedded cluster: the nodes that a pod fits on, or in its own words why none does.

Of what is on a node only cpu and memory count. Source of the words: kubernetes 1.36
`pkg/scheduler/framework/plugins/*` (`ErrReason*`) and `pkg/scheduler/framework/types.go` (`FitError.Error`). Pure.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from remediator.model import Json

NO_SELECTOR = "node(s) didn't match Pod's node affinity/selector"
CORDONED = "node(s) were unschedulable"
UNBOUND = "pod has unbound immediate PersistentVolumeClaims"


def fitting(
    pod: Json, nodes: Sequence[Json], *, placed: Sequence[Json] = (), unbound: bool = False
) -> tuple[Sequence[Json], str]:
    """The nodes that the pod fits on beside those that are `placed`, and the message of its PodScheduled condition if
    there is none.

    `unbound`: a claim of it has no volume yet, which no node changes.
    """
    count = len(nodes)
    if unbound:
        return (), f"0/{count} nodes are available: {UNBOUND}. {_no_help(count)}"
    wants = {resource: requested(pod, resource) for resource in ("cpu", "memory")}
    wanted = {resource: amount for resource, amount in wants.items() if amount}
    taken = _taken(placed, wanted)
    why = {node["metadata"]["name"]: _reasons(pod, node, wanted, taken) for node in nodes}
    fit = [node for node in nodes if not why[node["metadata"]["name"]]]
    if fit:
        return fit, ""
    counted = Counter(reason for reasons in why.values() for reason in reasons)
    text = ", ".join(sorted(f"{number} {reason}" for reason, number in counted.items()))
    return (), f"0/{count} nodes are available: {text}. {_no_help(count)}"


def _no_help(count: int) -> str:
    return f"preemption: 0/{count} nodes are available: {count} Preemption is not helpful for scheduling."


def _taken(placed: Sequence[Json], wanted: Mapping[str, float]) -> Mapping[tuple[str, str], float]:
    """(node, resource) -> what pods on it asked for, of what is wanted."""
    taken: dict[tuple[str, str], float] = {}
    for pod in placed if wanted else ():
        node = pod["spec"].get("nodeName")
        if node and pod["status"]["phase"] not in ("Succeeded", "Failed"):
            for resource in wanted:
                taken[node, resource] = taken.get((node, resource), 0.0) + requested(pod, resource)
    return taken


def _reasons(
    pod: Json, node: Json, wants: Mapping[str, float], taken: Mapping[tuple[str, str], float]
) -> list[str]:
    """What a node lacks: the first filter that refuses it speaks, of resources each one that is short."""
    spec, labels = node.get("spec") or {}, node["metadata"].get("labels") or {}
    if spec.get("unschedulable"):
        return [CORDONED]
    for taint in spec.get("taints") or ():
        if taint["effect"] in ("NoSchedule", "NoExecute") and toleration_of(pod, taint) is None:
            return [f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value') or ''}}}"]
    wanted: Mapping[str, str] = pod["spec"].get("nodeSelector") or {}
    if any(labels.get(key) != value for key, value in wanted.items()):
        return [NO_SELECTOR]
    name, whole = node["metadata"]["name"], node["status"]["allocatable"]
    return [
        f"Insufficient {resource}"
        for resource, amount in wants.items()
        if amount + taken.get((name, resource), 0.0) > quantity(whole[resource])
    ]


def toleration_of(pod: Json, taint: Json) -> Json | None:
    """The toleration of the pod that covers this taint, if any."""
    for one in pod["spec"].get("tolerations") or ():
        is_effect = one.get("effect") in (None, "", taint["effect"])
        is_key = one.get("key") in (None, "", taint["key"])
        is_value = one.get("operator") == "Exists" or one.get("value") == taint.get("value")
        if is_effect and is_key and is_value:
            return one
    return None


def requested(pod: Json, resource: str) -> float:
    """What the containers of a pod ask for, in cores or bytes."""
    return sum(
        quantity(container.get("resources", {}).get("requests", {}).get(resource, "0"))
        for container in pod["spec"]["containers"]
    )


def quantity(text: Json) -> float:
    """A `resource.Quantity`: `500m`, `2`, `16Gi`. Raises ValueError."""
    found = re.fullmatch(r"([0-9.]+)(m|[kMGTPE]i?|Ki)?", str(text))
    if found is None:
        raise ValueError(f"not a quantity: {text!r}")
    suffix = found[2] or ""
    power = "kMGTPE".find(suffix[:1].replace("K", "k")) + 1 if suffix not in ("", "m") else 0
    return float(found[1]) * (0.001 if suffix == "m" else (1024 if suffix.endswith("i") else 1000) ** power)
