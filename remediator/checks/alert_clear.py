"""`alert-clear`: the alert's own expression no longer holds for the target, and has not for the time asked.

Evaluated on the expression that Prometheus itself runs for the alert, not on `resolved`: that message also comes when
Prometheus dies, and may never come. Series of pods that no longer exist do not count: the lookback window of an
expression keeps them true long after a good fix. An expression that cannot be found, a rule that is not healthy or not
evaluated lately, and a partial answer are unknown.
"""

from __future__ import annotations

from remediator.checks.base import Look, Result, Scene
from remediator.clock import parse_rfc3339, rfc3339
from remediator.kube.base import path_of, selector_text
from remediator.kube.permissions import Permission
from remediator.prometheus.firing import NotProvable, series_firing


class AlertClear:
    name = "alert-clear"
    permissions: tuple[Permission, ...] = ()

    async def look(self, scene: Scene) -> Result:
        if scene.metrics is None:
            return Result(Look.UNKNOWN, "no Prometheus is configured: the alert's expression cannot be evaluated")
        try:
            pods = await self._pods(scene)
            firing = await series_firing(scene.metrics, scene.alert, pods=pods, now=scene.now)
        except NotProvable as error:
            return Result(Look.UNKNOWN, str(error))
        if firing:
            return Result(Look.WAITING, f"the expression of {scene.alert.name} still holds for {firing} series")
        since = max(parse_rfc3339(scene.memory.get("clear_since", rfc3339(scene.now))), scene.acted_at)
        steady = scene.now - since
        detail = f"the expression of {scene.alert.name} has not held since {rfc3339(since)}"
        look = Look.PASSED if steady >= scene.plan.proof.stable_for else Look.SETTLING
        return Result(look, detail, {"clear_since": rfc3339(since)})

    async def _pods(self, scene: Scene) -> frozenset[str]:
        """Names of the target's pods that exist now."""
        target = scene.plan.target
        item = await scene.cluster.get(path_of(target.kind, namespace=target.namespace, name=target.name))
        pods = await scene.cluster.list(
            path_of("Pod", namespace=target.namespace),
            label_selector=selector_text(item["spec"]["selector"]),
            metadata_only=True,
        )
        return frozenset(pod["metadata"]["name"] for pod in pods)
