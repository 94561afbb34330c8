"""`pods-ready`: every pod of the restored template has been Ready without a break for the time asked.

The break is read from the Ready condition's own `lastTransitionTime`, so nothing between two looks is missed.
"""

from __future__ import annotations

from remediator.checks.base import Look, Result, Scene
from remediator.clock import rfc3339
from remediator.kube.base import NotFound, instant_of, path_of, selector_text
from remediator.kube.rollout import condition, current_replica_set, meaningful_hash, owned_by


class PodsReady:
    name = "pods-ready"

    async def look(self, scene: Scene) -> Result:
        target, cluster = scene.plan.target, scene.cluster
        try:
            item = await cluster.get(path_of(target.kind, namespace=target.namespace, name=target.name))
        except NotFound:
            return Result(Look.FAILED, f"{target} is gone")
        if item["metadata"]["uid"] != target.uid:
            return Result(Look.FAILED, f"{target} was replaced by another object of that name")
        if meaningful_hash(item["spec"]["template"]) != scene.plan.template_hash:
            return Result(Look.UNKNOWN, "the pod template is no longer the one that the action put there")
        selector = selector_text(item["spec"]["selector"])
        sets = await cluster.list(path_of("ReplicaSet", namespace=target.namespace), label_selector=selector)
        current = current_replica_set(item, owned_by(item, sets))
        if current is None:
            return Result(Look.WAITING, "the restored template has no ReplicaSet yet")
        pods = await cluster.list(path_of("Pod", namespace=target.namespace), label_selector=selector)
        mine = [pod for pod in owned_by(current, pods) if not pod["metadata"].get("deletionTimestamp")]
        wanted = item["spec"].get("replicas", 1)
        if wanted == 0:
            return Result(Look.UNKNOWN, f"{target} wants no replicas: nothing can be seen ready")
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
