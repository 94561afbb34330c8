"""What one look shows of a recommendation's target: raw JSON -> `Sight`. Pure; called by `reading.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from remediator.kube.base import annotations_of, value_at
from remediator.kube.controller_revisions import HASH
from remediator.kube.ownership import replicas_writer
from remediator.kube.pods import is_living, is_ready, name_of
from remediator.kube.restarts import RESTARTED_AT
from remediator.kube.rollout import condition, current_replica_set, meaningful_hash, owned_by, rollout_status
from remediator.model import Json
from remediator.store.scores_base import Would

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")

CONTROLLERS = frozenset({"kube-controller-manager", "keda", "keda-operator", "cluster-autoscaler"})
"""Field managers that set replicas by themselves: what they do, nobody did."""

ENDED_BY_CLUSTER = frozenset({"DeletionByTaintManager", "PreemptionByScheduler", "TerminationByKubelet"})
"""Reasons of a pod's condition `DisruptionTarget` by which the cluster itself ends a pod (kubernetes/api
`core/v1/types.go`). An eviction by the API is not among them: that is a person's drain, or a descheduler of theirs."""

MAX_FAILING = 50
"""Failing pods that are remembered by uid from one look to the next."""


@dataclass(frozen=True, slots=True)
class Touched:
    """One thing that the plan would have changed, as it is now. `is_ended_by_cluster`: a node or the scheduler does."""

    is_there: bool
    value: Json = None
    is_ready: bool = False
    is_ended_by_cluster: bool = False


@dataclass(frozen=True, slots=True)
class Sight:
    """One look. `is_whole`: complete by kubectl's rule with as many ready pods as it wants; None: that cannot be said
    of this kind, or it wants none. `at_stake` are the ready pods that a rollback or a restart would replace; `failing`
    is uid -> name of the pods of the present template that live and are not ready; `pods` are the uids of all that are
    there, `ended_by_cluster` of those that the cluster itself ends. `touched` is in the order of the plan's touches.
    `config_changed_at` is when a ConfigMap in use last changed; None: none is used, or it may not be read. `memory` is
    the limit of a resize's container in the template.
    """

    at: datetime
    is_there: bool
    generation: int = 0
    template_hash: str = ""
    replicas: int | None = None
    is_autoscaled: bool = False
    restarted_at: str | None = None
    ready: int = 0
    is_whole: bool | None = None
    at_stake: int = 0
    failing: Mapping[str, str] | None = None
    pods: frozenset[str] = frozenset()
    ended_by_cluster: frozenset[str] = frozenset()
    touched: tuple[Touched, ...] = ()
    config_changed_at: datetime | None = None
    memory: str | None = None


def sight_of(
    item: Json,
    would: Would,
    *,
    at: datetime,
    pods: Sequence[Json],
    replica_sets: Sequence[Json],
    touched: Sequence[Touched],
    config_changed_at: datetime | None,
) -> Sight:
    """`pods` and `replica_sets` are those that the selector finds; owner references decide which are its own."""
    kind, spec = would.target.kind, item.get("spec") or {}
    owned_sets = owned_by(item, replica_sets)
    own = [pod for owner in (owned_sets if kind == "Deployment" else (item,)) for pod in owned_by(owner, pods)]
    present = _of_present_template(item, own, kind, owned_sets)
    ready = sum(map(is_ready, own))
    template = spec.get("template")
    at_stake = sum(map(is_ready, present if would.action == "rollback" else own))
    return Sight(
        at=at,
        is_there=True,
        generation=int(item["metadata"].get("generation") or 0),
        template_hash=meaningful_hash(template) if template else "",
        replicas=spec.get("replicas"),
        is_autoscaled=replicas_writer(item) in CONTROLLERS,
        restarted_at=annotations_of(template).get(RESTARTED_AT) if template else None,
        ready=ready,
        is_whole=_is_whole(item, kind, ready),
        at_stake=at_stake,
        failing=dict([(_uid(pod), name_of(pod)) for pod in present if _fails(pod)][:MAX_FAILING]),
        pods=frozenset(_uid(pod) for pod in own if not pod["metadata"].get("deletionTimestamp")),
        ended_by_cluster=frozenset(_uid(pod) for pod in own if is_ended_by_cluster(pod)),
        touched=tuple(touched),
        config_changed_at=config_changed_at,
        memory=_memory(template, would.container) if template else None,
    )


def touched_of(found: Json | None, pointer: Sequence[str | int], *, uid: str) -> Touched:
    """`found` None, or another object of that name: it is gone."""
    if found is None or found["metadata"].get("uid") != uid:
        return Touched(False)
    by_cluster = is_ended_by_cluster(found)
    if found["metadata"].get("deletionTimestamp"):
        return Touched(False, is_ended_by_cluster=by_cluster)
    return Touched(True, value_at(found, pointer) if pointer else None, is_ready(found), by_cluster)


def is_ended_by_cluster(pod: Json) -> bool:
    return (condition(pod, "DisruptionTarget") or {}).get("reason") in ENDED_BY_CLUSTER


def _of_present_template(item: Json, own: Sequence[Json], kind: str, replica_sets: Sequence[Json]) -> Sequence[Json]:
    """Its pods of the template that it has now; none while the controller has not observed that."""
    if kind == "Deployment":
        current = current_replica_set(item, replica_sets)
        return () if current is None else owned_by(current, own)
    if kind == "StatefulSet":
        revision = (item.get("status") or {}).get("updateRevision")
        return [pod for pod in own if (pod["metadata"].get("labels") or {}).get(HASH) == revision]
    status = item.get("status") or {}
    is_complete = status.get("updatedNumberScheduled") == status.get("desiredNumberScheduled")
    return own if is_complete else ()


def _is_whole(item: Json, kind: str, ready: int) -> bool | None:
    if kind not in WORKLOADS:
        return None
    status = item.get("status") or {}
    wanted = status.get("desiredNumberScheduled") if kind == "DaemonSet" else item["spec"].get("replicas", 1)
    if not wanted:
        return None
    return rollout_status(item, kind).is_complete and ready >= wanted


def _fails(pod: Json) -> bool:
    return is_living(pod) and not is_ready(pod)


def _memory(template: Json, container: str) -> str | None:
    for one in template["spec"].get("containers") or ():
        if container and one["name"] == container:
            limit = ((one.get("resources") or {}).get("limits") or {}).get("memory")
            return None if limit is None else str(limit)
    return None


def _uid(pod: Json) -> str:
    return str(pod["metadata"].get("uid", ""))
