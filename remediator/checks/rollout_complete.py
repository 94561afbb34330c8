"""`rollout-complete`: kubectl's own rule for a finished rollout holds, on the object we changed and nobody else did."""

from __future__ import annotations

from remediator.checks.base import Look, Result, Scene
from remediator.kube.base import NotFound, annotations_of, path_of
from remediator.kube.ownership import LAST_ACTION
from remediator.kube.permissions import Permission
from remediator.kube.rollout import meaningful_hash, rollout_status


class RolloutComplete:
    name = "rollout-complete"
    permissions: tuple[Permission, ...] = ()

    async def look(self, scene: Scene) -> Result:
        target = scene.plan.target
        try:
            item = await scene.cluster.get(path_of(target.kind, namespace=target.namespace, name=target.name))
        except NotFound:
            return Result(Look.FAILED, f"{target} is gone")
        if item["metadata"]["uid"] != target.uid:
            return Result(Look.FAILED, f"{target} was replaced by another object of that name")
        # What is only to be given back is no matter of the release that runs now.
        if not scene.gives_back and meaningful_hash(item["spec"]["template"]) != scene.plan.template_hash:
            mark = annotations_of(item).get(LAST_ACTION, "none")
            return Result(Look.UNKNOWN, f"someone changed the pod template after the action (mark on it: {mark})")
        status = rollout_status(item, target.kind)
        if status.is_failed:
            return Result(Look.FAILED, status.detail)
        return Result(Look.PASSED if status.is_complete else Look.WAITING, status.detail)
