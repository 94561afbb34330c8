"""`scale-held`: the number that was set is still set, and the pods that it asks for have come.

Added by the action `scale` to whatever its rule expects. An autoscaler or a GitOps controller undoes a scale within
seconds; a quota lets it pass and then admits no pod, which the controller tells at once and no waiting will mend.
"""

from __future__ import annotations

from collections.abc import Sequence

from remediator.checks.base import Look, Result, Scene
from remediator.errors import cut
from remediator.kube.base import NotFound, instant_of, path_of, value_at
from remediator.kube.permissions import to
from remediator.kube.rollout import condition, is_observed
from remediator.kube.selecting import is_selected, labels_of
from remediator.model import Json, Step, Target

WORKLOADS = ("Deployment", "StatefulSet")
REFUSED = "is forbidden"
"""How admission (quota, limit range, Pod Security) words its refusal of a pod: apimachinery `pkg/api/errors`."""


class ScaleHeld:
    name = "scale-held"
    permissions = (
        to("HorizontalPodAutoscaler", "list"),
        to("PodDisruptionBudget", "list"),
        to("CoreEvent", "list"),
    )

    async def look(self, scene: Scene) -> Result:
        for step in scene.plan.steps:
            if (changed := await self._changed(step, scene)) is not None:
                return changed
        target = scene.plan.target
        item = await scene.cluster.get(path_of(target.kind, namespace=target.namespace, name=target.name))
        if (refused := await self._refused(item, scene)) is not None:
            return Result(Look.FAILED, f"the new pods are not let in: {cut(refused)}")
        if scene.gives_back and (needed := await self._needed(scene)) is not None:
            return Result(Look.WAITING, needed)
        status, wanted = item.get("status") or {}, item["spec"].get("replicas", 1)
        ready = status.get("readyReplicas") or 0
        detail = f"{ready} of {wanted} replicas ready"
        return Result(Look.PASSED if is_observed(item) and ready >= wanted else Look.WAITING, detail)

    async def _changed(self, step: Step, scene: Scene) -> Result | None:
        """Whether the number is another one now, or somebody else decides on it."""
        touched, field = step.touched, str(step.pointer[-1])
        try:
            item = await scene.cluster.get(path_of(touched.kind, namespace=touched.namespace, name=touched.name))
        except NotFound:
            return Result(Look.FAILED, f"{touched} is gone")
        if item["metadata"]["uid"] != touched.uid:
            return Result(Look.FAILED, f"{touched} was replaced by another object of that name")
        found = value_at(item, step.pointer)
        if scene.gives_back and found != step.after:
            detail = f"{field} of {touched} was set to {found} by {_writer(item, field)}: nothing of ours is left"
            return Result(Look.PASSED, detail)
        if found == step.before:
            return Result(Look.FAILED, f"{field} of {touched} was set back to {found} by {_writer(item, field)}")
        if found != step.after:
            return Result(Look.UNKNOWN, f"{field} of {touched} was set to {found} by {_writer(item, field)}")
        if touched.kind in WORKLOADS and (name := await self._autoscaler(touched, scene)) is not None:
            return Result(Look.UNKNOWN, f"HorizontalPodAutoscaler {name} decides on the replicas of {touched} now")
        return None

    async def _autoscaler(self, touched: Target, scene: Scene) -> str | None:
        items = await scene.cluster.list(path_of("HorizontalPodAutoscaler", namespace=touched.namespace))
        for item in items:
            reference = item["spec"].get("scaleTargetRef") or {}
            if (reference.get("kind"), reference.get("name")) == (touched.kind, touched.name):
                return str(item["metadata"]["name"])
        return None

    async def _needed(self, scene: Scene) -> str | None:
        """The disruption budget that would be broken: none guards a scale-down but we.

        Only a fixed number counts. A share, or a number that may be missing, is of the replicas that are wanted, and
        those that stay are all ready: the number of ready ones is asked for below.
        """
        scaled = [step for step in scene.plan.steps if step.touched.kind in WORKLOADS and step.before < step.after]
        for step in scaled:
            touched = step.touched
            item = await scene.cluster.get(path_of(touched.kind, namespace=touched.namespace, name=touched.name))
            labels = labels_of(item["spec"]["template"])
            for budget in await scene.cluster.list(path_of("PodDisruptionBudget", namespace=touched.namespace)):
                least = budget["spec"].get("minAvailable")
                is_ours = is_selected(budget["spec"].get("selector"), labels)
                if is_ours and isinstance(least, int) and least > step.before:
                    name = budget["metadata"]["name"]
                    return f"disruption budget {name} wants {least} available, {step.before} would be left"
        return None

    async def _refused(self, item: Json, scene: Scene) -> str | None:
        """Admission's words about the pods that are missing, said since the action; None: none are, or none said."""
        target = scene.plan.target
        failure = condition(item, "ReplicaFailure") or {}
        if failure.get("status") == "True" and REFUSED in (failure.get("message") or ""):
            return str(failure["message"])
        existing = (item.get("status") or {}).get("replicas") or 0
        if target.kind != "StatefulSet" or existing >= item["spec"].get("replicas", 1):
            return None
        # A StatefulSet has no condition for it.
        events = await scene.cluster.list(
            path_of("CoreEvent", namespace=target.namespace),
            field_selector=f"involvedObject.uid={target.uid},reason=FailedCreate",
        )
        return _newest_refusal(events, scene)


def _newest_refusal(events: Sequence[Json], scene: Scene) -> str | None:
    said = [
        (at, event.get("message") or "")
        for event in events
        if (at := instant_of(event.get("lastTimestamp") or event.get("eventTime"))) is not None
        # Times of events have no parts of a second.
        and at >= scene.acted_at.replace(microsecond=0)
        and REFUSED in (event.get("message") or "")
    ]
    return max(said)[1] if said else None


def _writer(item: Json, field: str) -> str:
    """Who wrote the field last, according to managedFields."""
    writers = [
        (entry.get("time") or "", entry.get("manager") or "")
        for entry in item["metadata"].get("managedFields") or ()
        if f"f:{field}" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})
    ]
    return max(writers)[1] if writers else "someone"
