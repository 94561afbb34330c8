"""A workload read whole, once: the object, what it owns and what it refers to. The facts of steps 4 to 6 of one alert.

Everything later (findings, preconditions, guards) is decided on this one picture, and the write is bound to its
`generation`, so that nothing is decided on one state and done to another.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from remediator.clock import Clock
from remediator.kube.base import Cluster, Forbidden, NotFound, instant_of, path_of, selector_text
from remediator.kube.permissions import Permission, to
from remediator.kube.rollout import (
    RolloutTimes,
    SeenRollout,
    as_seen,
    current_replica_set,
    is_observed,
    meaningful_hash,
    owned_by,
    rollout_times,
)
from remediator.model import Json, Target
from remediator.together import together

T = TypeVar("T")

OBSERVE_WITHIN_SECONDS = 10.0
"""How long to wait for the deployment controller to observe a spec before giving the picture as it is."""

WITH_CONTROLLER_REVISIONS = ("StatefulSet", "DaemonSet")


@dataclass(frozen=True, slots=True)
class Workload:
    """One workload as read at `taken_at`.

    `replica_sets`, `controller_revisions` (of a StatefulSet or DaemonSet) and `pods` are owned by UID. `namespace`,
    `config_maps` (name -> last change), `claims`, `service_accounts` and `shared_claims` (those that pods on several
    nodes may write) are None where we are not permitted to read them: unknown, never "none". `seen_rollout` is what the
    deployment watch knows of the object with this uid, None: it does not know it.
    """

    taken_at: datetime
    object: Json
    replica_sets: Sequence[Json]
    pods: Sequence[Json]
    namespace: Json | None
    config_maps: Mapping[str, datetime] | None
    claims: frozenset[str] | None
    service_accounts: frozenset[str] | None
    shared_claims: frozenset[str] | None = None
    controller_revisions: Sequence[Json] | None = None
    seen_rollout: SeenRollout | None = None

    @property
    def template(self) -> Json:
        """The pod template; of a CronJob that of its Jobs, an empty one where there are no pods (a Node)."""
        spec = self.object.get("spec") or {}
        holder = spec["jobTemplate"]["spec"] if "jobTemplate" in spec else spec
        return holder.get("template") or {"spec": {}}


def permissions_for(kind: str) -> tuple[Permission, ...]:
    """What `read_workload` asks for of a target of that kind, and all that is asked of the object again later."""
    if kind == "Node":
        return (to(kind, "get"),)
    around = (to("ConfigMap", "list"), to("PersistentVolumeClaim", "list"), to("ServiceAccount", "list"))
    history = {"Deployment": "ReplicaSet", **dict.fromkeys(WITH_CONTROLLER_REVISIONS, "ControllerRevision")}
    owned = (to(history[kind], "list"),) if kind in history else ()
    return (to(kind, "get"), *owned, to("Pod", "list"), *around, to("Namespace", "get"))


def times_of(workload: Workload) -> RolloutTimes:
    """When the present rollout of a Deployment began and ended: as the deployment watch saw it, or by the API alone
    where the watch has not seen the release that the Deployment has now."""
    times, seen = rollout_times(workload.object, workload.replica_sets), workload.seen_rollout
    is_present = seen is not None and seen.template_hash == meaningful_hash(workload.template)
    return as_seen(times, seen) if seen is not None and is_present else times


async def read_workload(
    target: Target, cluster: Cluster, clock: Clock, *, known: Json | None = None
) -> Workload | None:
    """Read the target; None when it is gone or another object has its name now (UID differs). `known` is the object
    where it was read just now.

    Waits up to `OBSERVE_WITHIN_SECONDS` for a Deployment's spec to be observed. About eight API calls, six at once.
    Raises the errors of `kube.base` but NotFound.
    """
    path = path_of(target.kind, namespace=target.namespace or None, name=target.name)
    waited = 0.0
    while True:
        try:
            found, known = known or await cluster.get(path), None
        except NotFound:
            return None
        if found["metadata"]["uid"] != target.uid:
            return None
        replica_sets = await _owned(found, "ReplicaSet", cluster) if target.kind == "Deployment" else ()
        settled = target.kind != "Deployment" or (
            is_observed(found) and current_replica_set(found, replica_sets) is not None
        )
        if settled or waited >= OBSERVE_WITHIN_SECONDS:
            break
        await clock.sleep(0.5)
        waited += 0.5
    if not target.namespace:
        return Workload(clock.now(), found, (), (), {}, {}, frozenset(), frozenset())
    owners = replica_sets if target.kind == "Deployment" else (found,)
    space = target.namespace
    has_revisions = target.kind in WITH_CONTROLLER_REVISIONS
    pods, config_maps, claims, accounts, own, revisions = await together(
        _pods(found, owners, cluster),
        _permitted(_metadata("ConfigMap", space, cluster)),
        _permitted(cluster.list(path_of("PersistentVolumeClaim", namespace=space))),
        _permitted(_metadata("ServiceAccount", space, cluster)),
        _permitted(cluster.get(path_of("Namespace", namespace=None, name=space))),
        *([_permitted(_owned(found, "ControllerRevision", cluster))] if has_revisions else [_nothing()]),
    )
    return Workload(
        taken_at=clock.now(),
        object=found,
        replica_sets=replica_sets,
        pods=pods,
        namespace=own,
        config_maps=None if config_maps is None else {_name(item): changed_at(item) for item in config_maps},
        claims=None if claims is None else frozenset(map(_name, claims)),
        service_accounts=None if accounts is None else frozenset(map(_name, accounts)),
        shared_claims=None if claims is None else frozenset(_name(claim) for claim in claims if _is_shared(claim)),
        controller_revisions=revisions,
    )


async def _nothing() -> None:
    return None


async def _owned(owner: Json, kind: str, cluster: Cluster) -> Sequence[Json]:
    path = path_of(kind, namespace=owner["metadata"]["namespace"])
    items = await cluster.list(path, label_selector=selector_text(owner["spec"]["selector"]))
    return owned_by(owner, items)


async def _pods(workload: Json, owners: Sequence[Json], cluster: Cluster) -> Sequence[Json]:
    selector = workload.get("spec", {}).get("selector")
    if not isinstance(selector, dict) or not (selector.get("matchLabels") or selector.get("matchExpressions")):
        return ()
    path = path_of("Pod", namespace=workload["metadata"]["namespace"])
    items = await cluster.list(path, label_selector=selector_text(selector))
    return tuple(pod for owner in owners for pod in owned_by(owner, items))


async def _metadata(kind: str, namespace: str, cluster: Cluster) -> Sequence[Json]:
    return await cluster.list(path_of(kind, namespace=namespace), metadata_only=True)


async def _permitted(call: Awaitable[T]) -> T | None:
    try:
        return await call
    except Forbidden:
        return None


def _is_shared(claim: Json) -> bool:
    modes = (claim.get("spec") or {}).get("accessModes") or ()
    return "ReadWriteMany" in modes or "ReadOnlyMany" in modes


def _name(item: Json) -> str:
    return str(item["metadata"]["name"])


def changed_at(item: Json) -> datetime:
    """The newest time any manager wrote it; its creation where no manager is named."""
    times = [entry.get("time") for entry in item["metadata"].get("managedFields") or ()]
    instants = [instant_of(text) for text in (*times, item["metadata"]["creationTimestamp"]) if text]
    return max(instant for instant in instants if instant is not None)
