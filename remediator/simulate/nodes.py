"""Nodes of the embedded cluster: ready, away, and what that means for the pods on them. Pure.

Sources: kubernetes 1.36 `pkg/controller/nodelifecycle` (conditions and taints), `pkg/controller/tainteviction`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from remediator.clock import parse_rfc3339
from remediator.model import Json
from remediator.simulate.conditions import find
from remediator.simulate.scheduler import toleration_of
from remediator.simulate.storage import seconds

UNREACHABLE = "node.kubernetes.io/unreachable"


def node(name: str, *, now: datetime, labels: Mapping[str, str] | None = None) -> Json:
    """A Ready node."""
    room = {"cpu": "8", "memory": "16Gi", "pods": "110"}
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **(labels or {})}},
        "spec": {},
        "status": {"capacity": room, "allocatable": room, "conditions": [_ready(True, seconds(now))]},
    }


def with_readiness(node: Json, *, ready: bool, now: datetime) -> Json:
    """The node as the lifecycle controller leaves it once its kubelet is silent, or speaks again."""
    at = seconds(now)
    taints = [one for one in node["spec"].get("taints") or () if one["key"] != UNREACHABLE]
    if not ready:
        taints += [{"key": UNREACHABLE, "effect": effect, "timeAdded": at} for effect in ("NoSchedule", "NoExecute")]
    others = [one for one in node["status"]["conditions"] if one["type"] != "Ready"]
    return {
        **node,
        "spec": {**{key: value for key, value in node["spec"].items() if key != "taints"}, "taints": taints},
        "status": {**node["status"], "conditions": [*others, _ready(ready, at)]},
    }


def _ready(is_ready: bool, at: str) -> Json:
    return {
        "type": "Ready",
        "status": "True" if is_ready else "Unknown",
        "reason": "KubeletReady" if is_ready else "NodeStatusUnknown",
        "message": "kubelet is posting ready status" if is_ready else "Kubelet stopped posting node status.",
        "lastHeartbeatTime": at,
        "lastTransitionTime": at,
    }


def is_ready(node: Json) -> bool:
    return bool((find(node["status"]["conditions"], "Ready") or {}).get("status") == "True")


def evicted_at(pod: Json, taint: Json) -> datetime | None:
    """When a pod has to leave its node for this taint; None: it may stay."""
    if taint["effect"] != "NoExecute" or "timeAdded" not in taint:
        return None
    tolerated = toleration_of(pod, taint)
    if tolerated is not None and "tolerationSeconds" not in tolerated:
        return None
    wait = 0 if tolerated is None else tolerated["tolerationSeconds"]
    return parse_rfc3339(taint["timeAdded"]) + timedelta(seconds=wait)
