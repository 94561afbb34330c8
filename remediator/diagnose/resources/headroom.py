"""How many more pods like a live one a namespace's quotas and the nodes have room for. Pure.

A quota is enforced when a pod is created, never when a workload is scaled: without this sum a scale-up "succeeds" and
no pod appears. Source: kubernetes `pkg/quota/v1/evaluator/core/pods.go` (resources, scopes, required fields).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from remediator.diagnose.base import words
from remediator.kube.quantities import pod_limits, pod_requests, quantity
from remediator.model import Json
from remediator.prometheus.base import Sample

UNLIMITED = 10_000
"""Stands for "as many as you like" where nothing limits: no workload grows by that many."""

COMPUTE = ("cpu", "memory")


@dataclass(frozen=True, slots=True)
class Room:
    """`pods` None is unknown; `what` names what limits, or why it is unknown."""

    pods: int | None
    what: str


def quota_room(quotas: Sequence[Json], pod: Json) -> Room:
    """Over all quotas of the namespace that count this pod."""
    tightest = Room(UNLIMITED, "no quota")
    for item in quotas:
        room = _one_quota(item, pod)
        if room.pods is None:
            return room
        if tightest.pods is None or room.pods < tightest.pods:
            tightest = room
    return tightest


def _one_quota(item: Json, pod: Json) -> Room:
    name = item["metadata"]["name"]
    counts = _counts(item, pod)
    if counts is None:
        return Room(None, f"quota {name} has a scope that is not evaluated here")
    if not counts:
        return Room(UNLIMITED, "no quota")
    hard, used = item["spec"].get("hard") or {}, (item.get("status") or {}).get("used") or {}
    tightest = Room(UNLIMITED, "no quota")
    for resource, limit in sorted(hard.items()):
        each = _taken(resource, pod)
        if each is None:
            continue
        if resource not in used:
            return Room(None, f"quota {name} has no {resource} counted yet")
        left = quantity(limit) - quantity(used[resource])
        # A pod that does not say how much it needs is refused where the quota counts it.
        fits = max(int(left // each), 0) if each > 0 else 0 if _must_be_said(resource) else UNLIMITED
        if tightest.pods is None or fits < tightest.pods:
            tightest = Room(fits, f"quota {name}: {resource}")
    return tightest


def _taken(resource: str, pod: Json) -> Decimal | None:
    """What one pod takes of a quota's resource; None for what pods do not count against."""
    if resource in ("pods", "count/pods"):
        return Decimal(1)
    head, dot, rest = resource.partition(".")
    if dot and head in ("requests", "limits") and rest != "storage" and "storageclass" not in rest:
        return (pod_requests if head == "requests" else pod_limits)(pod).get(rest, Decimal())
    if resource in (*COMPUTE, "ephemeral-storage"):
        return pod_requests(pod).get(resource, Decimal())
    return None


def _must_be_said(resource: str) -> bool:
    return resource.removeprefix("requests.").removeprefix("limits.") in COMPUTE


def _counts(item: Json, pod: Json) -> bool | None:
    """Whether all scopes of the quota hold for the pod; None: not known."""
    spec = item["spec"]
    answers = [_scope(name, "Exists", (), pod) for name in spec.get("scopes") or ()]
    for one in (spec.get("scopeSelector") or {}).get("matchExpressions") or ():
        answers.append(_scope(one["scopeName"], one["operator"], one.get("values") or (), pod))
    return False if False in answers else None if None in answers else True


def _scope(name: str, operator: str, values: Sequence[str], pod: Json) -> bool | None:
    spec = pod["spec"]
    is_best_effort = (pod.get("status") or {}).get("qosClass") == "BestEffort"
    priority = spec.get("priorityClassName")
    match name, operator:
        case "BestEffort", "Exists":
            return is_best_effort
        case "NotBestEffort", "Exists":
            return not is_best_effort
        case "Terminating", "Exists":
            return spec.get("activeDeadlineSeconds") is not None
        case "NotTerminating", "Exists":
            return spec.get("activeDeadlineSeconds") is None
        case "PriorityClass", "Exists":
            return bool(priority)
        case "PriorityClass", "DoesNotExist":
            return not priority
        case "PriorityClass", "In":
            return priority in values
        case "PriorityClass", "NotIn":
            return priority not in values
        case _:
            return None


def node_room(samples: Sequence[Sample]) -> Room:
    """From the answer to `expressions.room_on_nodes`: pods by what limits, `all` for all limits together."""
    by = {sample.labels.get("resource", ""): sample.value for sample in samples}
    if "all" not in by:
        return Room(None, "nodes unknown: no series of kube-state-metrics")
    total = min(int(by.pop("all")), UNLIMITED)
    tightest = min(by, key=lambda name: by[name], default="")
    return Room(total, f"nodes: {tightest}" if tightest else "nodes")


def quota_left(item: Json) -> tuple[str, dict[str, Json]]:
    """Summary and facts of what one quota leaves, in base units; None where it is not counted yet."""
    hard, used = item["spec"].get("hard") or {}, (item.get("status") or {}).get("used") or {}
    left = {
        name: float(quantity(limit) - quantity(used[name])) if name in used else None for name, limit in hard.items()
    }
    name = item["metadata"]["name"]
    full = [resource for resource, amount in left.items() if amount is not None and amount <= 0]
    text = f"quota {name}: {'nothing left of ' + ', '.join(sorted(full)) if full else 'room left'}"
    return words(text), {"quota": name, "left": left}


def limit_range(item: Json) -> Iterator[tuple[str, dict[str, Json]]]:
    """Summary and facts of each limit for pods and containers, in base units."""
    name = item["metadata"]["name"]
    for limit in item["spec"].get("limits") or ():
        if limit["type"] not in ("Pod", "Container"):
            continue
        bounds = {
            side: {resource: float(quantity(value)) for resource, value in (limit.get(side) or {}).items()}
            for side in ("min", "max")
        }
        text = f"limit range {name}: bounds for each {limit['type']}"
        yield words(text), {"name": name, "type": limit["type"], **bounds}
