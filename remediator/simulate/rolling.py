"""The arithmetic of a rolling update: how large each ReplicaSet may be next. Pure.

Source: kubernetes 1.36 `pkg/controller/deployment/util/deployment_util.go`, `rolling.go` and `sync.go`. Called by
`deployments.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from remediator.kube.base import annotations_of
from remediator.model import Json

DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"


def size(replica_set: Json) -> int:
    return int(replica_set["spec"]["replicas"])


def total_size(replica_sets: Iterable[Json]) -> int:
    return sum(size(replica_set) for replica_set in replica_sets)


def counted(replica_sets: Iterable[Json], field: str) -> int:
    """The sum of one field of their status."""
    return sum(int((replica_set.get("status") or {}).get(field, 0)) for replica_set in replica_sets)


def oldest_first(replica_sets: Iterable[Json]) -> list[Json]:
    return sorted(replica_sets, key=lambda item: (item["metadata"]["creationTimestamp"], item["metadata"]["name"]))


def is_recreate(deployment: Json) -> bool:
    return bool(deployment["spec"]["strategy"]["type"] == "Recreate")


def max_surge(deployment: Json) -> int:
    """How many pods more than `spec.replicas` may exist; percents round up."""
    if is_recreate(deployment):
        return 0
    return _scaled(_rolling(deployment).get("maxSurge", "25%"), size(deployment), rounds_up=True)


def max_unavailable(deployment: Json) -> int:
    """How many pods fewer may be available; percents round down, and both limits are never 0."""
    replicas = size(deployment)
    if is_recreate(deployment) or replicas == 0:
        return 0
    limit = _scaled(_rolling(deployment).get("maxUnavailable", "25%"), replicas, rounds_up=False)
    if limit == 0 and max_surge(deployment) == 0:
        limit = 1
    return min(limit, replicas)


def _rolling(deployment: Json) -> Mapping[str, Json]:
    return deployment["spec"]["strategy"].get("rollingUpdate") or {}


def _scaled(value: Json, total: int, *, rounds_up: bool) -> int:
    if isinstance(value, int):
        return value
    share = int(str(value).rstrip("%")) * total / 100
    return math.ceil(share) if rounds_up else math.floor(share)


def next_new_size(deployment: Json, others: Sequence[Json], current: int) -> int:
    """The size that the new ReplicaSet may have now; `others` are the old ones."""
    replicas = size(deployment)
    if is_recreate(deployment) or current > replicas:
        return replicas
    room = replicas + max_surge(deployment) - total_size(others) - current
    return current if room <= 0 else current + min(room, replicas - current)


def next_old_sizes(deployment: Json, new: Json, old: Sequence[Json]) -> Mapping[str, int]:
    """Name -> size for the old ReplicaSets that may shrink now: unhealthy pods first, then what availability allows."""
    sizes = {item["metadata"]["name"]: size(item) for item in old}
    min_available = size(deployment) - max_unavailable(deployment)
    new_unavailable = size(new) - counted([new], "availableReplicas")
    removable = total_size([new, *old]) - min_available - new_unavailable
    if not total_size(old) or removable <= 0:
        return {}
    for item in oldest_first(old):
        name = item["metadata"]["name"]
        unhealthy = min(removable, sizes[name] - counted([item], "availableReplicas"))
        if unhealthy > 0:
            sizes[name] -= unhealthy
            removable -= unhealthy
    spare = counted([new, *old], "availableReplicas") - min_available
    for item in oldest_first(old):
        name = item["metadata"]["name"]
        shrink = min(sizes[name], max(spare, 0))
        sizes[name] -= shrink
        spare -= shrink
    before = {item["metadata"]["name"]: size(item) for item in old}
    return {name: after for name, after in sizes.items() if after != before[name]}


def is_being_scaled(deployment: Json, replica_sets: Iterable[Json]) -> bool:
    """Whether `spec.replicas` changed since an active ReplicaSet was last sized."""
    return any(
        int(annotations_of(item)[DESIRED]) != size(deployment)
        for item in replica_sets
        if size(item) > 0 and DESIRED in annotations_of(item)
    )


def proportional_sizes(deployment: Json, replica_sets: Sequence[Json]) -> Mapping[str, int]:
    """Name -> size for all active ReplicaSets when a Deployment is scaled in the middle of a rollout."""
    allowed = size(deployment) + max_surge(deployment) if size(deployment) else 0
    to_add = allowed - total_size(replica_sets)
    direction = 1 if to_add > 0 else -1
    # The largest first; of two of one size the newer grows first and the older shrinks first.
    ordered = sorted(oldest_first(replica_sets)[::-direction], key=size, reverse=True)
    sizes: dict[str, int] = {}
    added = 0
    for item in ordered:
        share = _share(deployment, item, to_add - added, direction) if to_add != added else 0
        sizes[item["metadata"]["name"]] = size(item) + share
        added += share
    if ordered:
        largest = ordered[0]["metadata"]["name"]
        sizes[largest] = max(0, sizes[largest] + to_add - added)
    return sizes


def _share(deployment: Json, replica_set: Json, allowed: int, direction: int) -> int:
    if size(deployment) == 0:
        share = -size(replica_set)
    else:
        before = int(annotations_of(replica_set).get(MAXIMUM, 0)) or counted([deployment], "replicas")
        after = size(deployment) + max_surge(deployment)
        share = math.floor(size(replica_set) * after / before + 0.5) - size(replica_set) if before else 0
    return min(share, allowed) if direction > 0 else max(share, allowed)
