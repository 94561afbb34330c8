"""`alert-clear`: the alert's own expression no longer holds for the target, and has not for the time asked.

Evaluated on the expression that Prometheus itself runs for the alert, not on `resolved`: that message also comes when
Prometheus dies, and may never come. Series of pods that no longer exist do not count: the lookback window of an
expression keeps them true long after a good fix. An expression that cannot be found, a rule that is not healthy or not
evaluated lately, and a partial answer are unknown.
"""

from __future__ import annotations

from collections.abc import Mapping

from remediator.checks.base import Look, Result, Scene
from remediator.clock import parse_rfc3339, rfc3339
from remediator.kube.base import path_of, selector_text
from remediator.prometheus.base import AlertingRule

STALE_INTERVALS = 3.0
"""A rule that was not evaluated for this many of its intervals proves nothing."""

WORKLOAD_LABELS = ("deployment", "statefulset", "daemonset", "horizontalpodautoscaler", "job_name")
"""A label that names the workload beats `pod`, which may then be the exporter's own."""

NOT_IDENTITY = frozenset({"alertname", "severity", "instance", "job", "endpoint", "prometheus", "replica"})


class AlertClear:
    name = "alert-clear"

    async def look(self, scene: Scene) -> Result:
        if scene.metrics is None:
            return Result(Look.UNKNOWN, "no Prometheus is configured: the alert's expression cannot be evaluated")
        rules = await scene.metrics.alerting_rules(scene.alert.name)
        if not rules:
            return Result(Look.UNKNOWN, f"Prometheus has no alerting rule {scene.alert.name}")
        if (problem := next((p for rule in rules if (p := _problem(rule, scene))), None)) is not None:
            return Result(Look.UNKNOWN, problem)
        pods = await self._pods(scene)
        firing = 0
        for rule in rules:
            samples = await scene.metrics.query(rule.query)
            firing += sum(_concerns(sample.labels, scene.alert.labels, pods) for sample in samples)
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


def _problem(rule: AlertingRule, scene: Scene) -> str | None:
    if rule.health != "ok":
        return f"Prometheus reports rule {rule.name} as {rule.health}"
    if rule.last_evaluated_at is None:
        return f"Prometheus has not evaluated rule {rule.name} yet"
    age = (scene.now - rule.last_evaluated_at).total_seconds()
    if age > max(STALE_INTERVALS * rule.interval_seconds, 15.0):
        return f"Prometheus evaluated rule {rule.name} last {age:.0f} s ago"
    return None


def _concerns(series: Mapping[str, str], alert: Mapping[str, str], pods: frozenset[str]) -> bool:
    """Whether a series of the expression speaks of the alert's object.

    A workload's alert is judged by the label that names the workload; a pod's alert by all pods that the workload has
    now, since the trouble may have moved to the next pod; any other by every label that both have.
    """
    if _truth(series, "namespace") != _truth(alert, "namespace"):
        return False
    for label in WORKLOAD_LABELS:
        if (named := _truth(alert, label)) is not None:
            return _truth(series, label) == named
    if _truth(alert, "pod") is not None:
        return _truth(series, "pod") in pods
    shared = (series.keys() & alert.keys()) - NOT_IDENTITY
    return all(series[label] == alert[label] for label in shared)


def _truth(labels: Mapping[str, str], name: str) -> str | None:
    """`exported_<name>` is the object's own label where the scrape did not honour labels."""
    return labels.get(f"exported_{name}", labels.get(name))
