"""`node`: the nodes of the failing pods: ready, pressure, cordon, taints, kubelet; and whether they share one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from remediator.diagnose.base import Scene, attempt, is_ready, words
from remediator.kube.base import path_of
from remediator.kube.permissions import to
from remediator.kube.rollout import condition
from remediator.model import Finding, Json
from remediator.together import together

MAX_NODES = 5
MAX_TAINTS = 10
PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable")


class Node:
    name = "node"
    permissions = (to("Node", "get"),)

    async def collect(self, scene: Scene) -> Sequence[Finding]:
        pods = scene.workload.pods
        sick = Counter(name for pod in pods if not is_ready(pod) and (name := pod["spec"].get("nodeName")))
        names = [name for name, _ in sorted(sick.items(), key=lambda pair: (-pair[1], pair[0]))][:MAX_NODES]
        if scene.target.kind == "Node":
            names = [scene.target.name]
        reads = [
            attempt(self.name, f"node {name}", scene.cluster.get(path_of("Node", namespace=None, name=name)), node=name)
            for name in names
        ]
        findings = _shared(pods, sick)
        for found in await together(*reads):
            findings += [found] if isinstance(found, Finding) else _read(found)
        return findings


def _shared(pods: Sequence[Json], sick: Counter[str]) -> list[Finding]:
    """All that fail are on one node, and others are well elsewhere: the node is what they have in common."""
    elsewhere = {pod["spec"].get("nodeName") for pod in pods if is_ready(pod)} - set(sick)
    if len(sick) != 1 or not elsewhere:
        return []
    [(name, count)] = sick.items()
    if count < 2:
        return []
    text = f"all {count} failing pods are on node {name}, those on other nodes are ready"
    return [Finding("shared-node", text, {"node": name, "pods": count})]


def _read(node: Json) -> list[Finding]:
    name, spec = node["metadata"]["name"], node.get("spec") or {}
    ready = (condition(node, "Ready") or {}).get("status", "Unknown")
    under = [kind for kind in PRESSURES if (condition(node, kind) or {}).get("status") == "True"]
    taints = [f"{one['key']}={one.get('value') or ''}:{one['effect']}" for one in spec.get("taints") or ()]
    is_cordoned = bool(spec.get("unschedulable"))
    kubelet = ((node.get("status") or {}).get("nodeInfo") or {}).get("kubeletVersion")
    marks = [f"ready {ready}", *under, *(["cordoned"] if is_cordoned else []), *taints[:MAX_TAINTS]]
    facts = {
        "node": name,
        "ready": ready,
        "pressure": under,
        "cordoned": is_cordoned,
        "taints": [words(taint) for taint in taints[:MAX_TAINTS]],
        "kubelet": kubelet,
    }
    findings = [Finding("node", words(f"node {name}: {', '.join(marks)}"), facts)]
    if ready != "True" or under:
        text = f"node {name}: ready {ready}" + (f", {', '.join(under)}" if under else "")
        findings.append(Finding("node-fault", text, {"node": name, "ready": ready, "pressure": under}))
    return findings
