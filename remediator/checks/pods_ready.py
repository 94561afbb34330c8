"""`pods-ready`: every pod of the present template has been Ready without a break for the time asked.

The break is read from the Ready condition's own `lastTransitionTime`, so nothing between two looks is missed. Pods that
have ended, as evicted ones do, are nobody's any more and do not count.
"""

from __future__ import annotations

from collections.abc import Sequence

from remediator.checks.base import Look, Result, Scene
from remediator.clock import rfc3339
from remediator.kube.base import NotFound, instant_of, path_of, selector_text
from remediator.kube.controller_revisions import HASH, current_revision, pods_of
from remediator.kube.permissions import Permission
from remediator.kube.pods import is_living
from remediator.kube.rollout import condition, current_replica_set, is_observed, meaningful_hash, owned_by
from remediator.model import Json

NOT_OBSERVED = Result(Look.WAITING, "the controller has not observed the present template yet")


class PodsReady:
    name = "pods-ready"
    permissions: tuple[Permission, ...] = ()

    async def look(self, scene: Scene) -> Result:
        target, cluster = scene.plan.target, scene.cluster
        try:
            item = await cluster.get(path_of(target.kind, namespace=target.namespace, name=target.name))
        except NotFound:
            return Result(Look.FAILED, f"{target} is gone")
        if item["metadata"]["uid"] != target.uid:
            return Result(Look.FAILED, f"{target} was replaced by another object of that name")
        if not scene.gives_back and meaningful_hash(item["spec"]["template"]) != scene.plan.template_hash:
            return Result(Look.UNKNOWN, "the pod template is no longer the one that the action put or found there")
        found = await _pods(item, scene)
        if isinstance(found, Result):
            return found
        mine = [pod for pod in found if is_living(pod)]
        wanted = _wanted(item, target.kind)
        if wanted == 0:
            return Result(Look.UNKNOWN, f"{target} wants no pods: nothing can be seen ready")
        if len(mine) < wanted:
            return Result(Look.WAITING, f"{len(mine)} of {wanted} pods exist")
        ready = [condition(pod, "Ready") or {} for pod in mine]
        not_ready = [pod["metadata"]["name"] for pod, c in zip(mine, ready, strict=True) if c.get("status") != "True"]
        if not_ready:
            return Result(Look.WAITING, f"{len(not_ready)} of {wanted} pods are not ready, {not_ready[0]} for one")
        since = max(at for c in ready if (at := instant_of(c.get("lastTransitionTime"))) is not None)
        # Pods that were ready before the action too have proved nothing since.
        needed, steady = scene.plan.proof.stable_for, scene.now - max(since, scene.acted_at)
        detail = f"{len(mine)} of {wanted} pods ready since {rfc3339(since)}"
        return Result(Look.PASSED if steady >= needed else Look.SETTLING, detail)


async def _pods(item: Json, scene: Scene) -> Sequence[Json] | Result:
    """The pods of the present revision, whatever they are doing; a result where there is none yet."""
    target, cluster = scene.plan.target, scene.cluster
    selector = selector_text(item["spec"]["selector"])

    async def listed(kind: str) -> Sequence[Json]:
        return await cluster.list(path_of(kind, namespace=target.namespace), label_selector=selector)

    if target.kind == "Deployment":
        current = current_replica_set(item, owned_by(item, await listed("ReplicaSet")))
        return NOT_OBSERVED if current is None else owned_by(current, await listed("Pod"))
    if target.kind == "StatefulSet":
        # Its status names the revision; that of a DaemonSet does not.
        revision = (item.get("status") or {}).get("updateRevision")
        if not is_observed(item) or not revision:
            return NOT_OBSERVED
        own = owned_by(item, await listed("Pod"))
        return [pod for pod in own if (pod["metadata"].get("labels") or {}).get(HASH) == revision]
    newest = current_revision(item, owned_by(item, await listed("ControllerRevision")))
    return NOT_OBSERVED if newest is None else pods_of(newest, owned_by(item, await listed("Pod")))


def _wanted(item: Json, kind: str) -> int:
    if kind == "DaemonSet":
        return int((item.get("status") or {}).get("desiredNumberScheduled") or 0)
    return int(item["spec"].get("replicas", 1))
