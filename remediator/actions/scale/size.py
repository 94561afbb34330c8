"""How many replicas the next step has: the share asked for, the cap, and what quota and nodes have room for. Pure.

Quota is enforced when a pod is created and never when a workload is scaled, so a step that does not fit would be
accepted and change nothing; hence the room is computed before. What cannot be computed allows nothing (quota) or one
more (nodes, where an autoscaler of nodes may still make room).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from remediator.actions.base import NoPlan
from remediator.model import Finding, Json
from remediator.reasons import Reason

HUNDRED = 100


@dataclass(frozen=True, slots=True)
class Size:
    """The next size, and in words what kept it from being larger ("" if it is all that was asked for)."""

    replicas: int
    bounded_by: str


def next_size(current: int, *, step: float, cap: int, workload: Json, findings: Sequence[Finding]) -> Size | NoPlan:
    """`current` + the step, within the cap and the room there is; a refusal where that is not one more."""
    if current >= cap:
        return NoPlan(Reason.AT_CAP, f"{current} replicas, and the rule's cap is {cap}", is_escalation=True)
    wanted = current + max(1, math.ceil(current * step))
    headroom = next((finding for finding in findings if finding.kind == "headroom"), None)
    quota = headroom.facts["quota_pods"] if headroom is not None else None
    if headroom is None or quota is None:
        why = f": {headroom.summary}" if headroom is not None else ": the rule needs `resources` in its `diagnose`"
        return NoPlan(Reason.FACT_MISSING, f"how many more pods the quotas of the namespace allow is not known{why}")
    nodes = headroom.facts["node_pods"]
    room = "room on the nodes is unknown" if nodes is None else f"room for {nodes} more on the nodes"
    bounds = [
        (wanted, ""),
        (cap, f"the rule's cap of {cap}"),
        (_within_quota(current, wanted, quota, workload), f"{quota} more pods by quota, a rollout's surge kept free"),
        (current + (1 if nodes is None else nodes), room),
    ]
    size = Size(*min(bounds, key=lambda bound: bound[0]))
    if size.replicas > current:
        return size
    return NoPlan(
        Reason.NO_ROOM,
        f"no room for one more pod: {size.bounded_by} ({headroom.summary})",
        advice="raise the quota or add nodes first",
        is_escalation=True,
    )


def max_surge(workload: Json, replicas: int) -> int:
    """How many pods more than `replicas` a rollout may need; percents round up (25 % unless told otherwise)."""
    strategy = workload["spec"].get("strategy") or {}
    if "strategy" not in workload["spec"] or strategy.get("type") == "Recreate":
        return 0
    value = (strategy.get("rollingUpdate") or {}).get("maxSurge", "25%")
    return value if isinstance(value, int) else math.ceil(int(str(value).rstrip("%")) * replicas / HUNDRED)


def _within_quota(current: int, wanted: int, quota: int, workload: Json) -> int:
    """The most replicas at which a later rollout still has its extra pods within the quota."""
    sizes = range(wanted, current, -1)
    return next((size for size in sizes if size - current + max_surge(workload, size) <= quota), current)
