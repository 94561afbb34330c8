"""`node`: the nodes that the failing pods run on: not ready, under pressure, cordoned; and whether they share one."""

from __future__ import annotations

from collections.abc import Sequence

from remediator.diagnose.base import Scene
from remediator.errors import RemediatorError, cut
from remediator.kube.base import path_of
from remediator.kube.rollout import condition
from remediator.model import Finding, Json

MAX_NODES = 5
PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable")


class Node:
    name = "node"

    async def collect(self, scene: Scene) -> Sequence[Finding]:
        sick = [pod for pod in scene.workload.pods if (condition(pod, "Ready") or {}).get("status") != "True"]
        names = sorted({name for pod in sick if (name := pod["spec"].get("nodeName"))})
        findings = []
        for name in names[:MAX_NODES]:
            try:
                findings += _read(await scene.cluster.get(path_of("Node", namespace=None, name=name)))
            except RemediatorError as error:
                findings.append(Finding("unavailable", f"node {name}: {cut(str(error))}", {"collector": self.name}))
        return findings


def _read(node: Json) -> list[Finding]:
    name = node["metadata"]["name"]
    ready = (condition(node, "Ready") or {}).get("status", "Unknown")
    under = [kind for kind in PRESSURES if (condition(node, kind) or {}).get("status") == "True"]
    if ready == "True" and not under:
        return []
    text = f"node {name}: ready {ready}" + (f", {', '.join(under)}" if under else "")
    return [Finding("node-fault", text, {"node": name, "ready": ready, "pressure": under})]
