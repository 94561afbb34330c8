"""`pod-resized`: the kubelet has put the new limit into force, in the same pod and without ending its container.

Added by the action `resize` to whatever its rule expects. The API server accepts a resize that the node cannot do; the
kubelet says so in the pod's conditions (kubernetes/enhancements KEP-1287): Infeasible never comes true by waiting.
"""

from __future__ import annotations

from remediator.checks.base import Look, Result, Scene
from remediator.kube.base import NotFound, path_of, value_at
from remediator.kube.permissions import to
from remediator.kube.quantities import quantity
from remediator.kube.rollout import condition
from remediator.model import Json, Step


class PodResized:
    name = "pod-resized"
    permissions = (to("Pod", "get"),)

    async def look(self, scene: Scene) -> Result:
        """Looks at each step that changed a container of a pod; a plan without one has nothing to be seen."""
        resizes = [step for step in scene.plan.steps if step.touched.kind == "Pod" and step.pointer]
        looks = [await self._step(step, scene) for step in resizes]
        if not looks:
            return Result(Look.UNKNOWN, "no pod was resized")
        order = (Look.FAILED, Look.UNKNOWN, Look.WAITING, Look.PASSED)
        return min(looks, key=lambda result: order.index(result.look))

    async def _step(self, step: Step, scene: Scene) -> Result:
        touched = step.touched
        try:
            pod = await scene.cluster.get(path_of("Pod", namespace=touched.namespace, name=touched.name))
        except NotFound:
            return Result(Look.FAILED, f"pod {touched.name} is gone, and its limit with it")
        if pod["metadata"]["uid"] != touched.uid:
            return Result(Look.FAILED, f"pod {touched.name} was replaced, and has the old limit")
        found = value_at(pod, step.pointer)
        if found != step.after:
            return Result(Look.UNKNOWN, f"someone set the limit to {found} after the action")
        pending = condition(pod, "PodResizePending") or {}
        if pending.get("status") == "True":
            said = f"the node cannot resize it: {pending.get('reason')}: {pending.get('message') or 'no message'}"
            return Result(Look.FAILED if pending.get("reason") == "Infeasible" else Look.WAITING, said)
        in_force = _in_force(pod, value_at(pod, (*step.pointer[:3], "name")))
        if in_force is None or quantity(in_force) != quantity(step.after):
            return Result(Look.WAITING, f"{in_force} is in force, {step.after} is asked for{_why_not(pod)}")
        return Result(Look.PASSED, f"{touched.name} runs with {in_force}")


def _in_force(pod: Json, container: Json) -> Json:
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    status: Json = next((one for one in statuses if one["name"] == container), {})
    return value_at(status, ("resources", "limits", "memory"))


def _why_not(pod: Json) -> str:
    running = condition(pod, "PodResizeInProgress") or {}
    return f": {running['message']}" if running.get("message") else ""
