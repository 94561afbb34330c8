"""Whether an alert's own expression holds for its object now: asked before an action, and to verify it.

Evaluated on the expression that Prometheus itself runs for the alert, not on `resolved`: that message also comes when
Prometheus dies, and may never come.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from remediator.model import Alert
from remediator.prometheus.base import AlertingRule, Metrics, Samples

STALE_INTERVALS = 3.0
"""A rule that was not evaluated for this many of its intervals proves nothing."""

WORKLOAD_LABELS = ("deployment", "statefulset", "daemonset", "horizontalpodautoscaler", "job_name")
"""A label that names the workload beats `pod`, which may then be the exporter's own."""

NOT_IDENTITY = frozenset({"alertname", "severity", "instance", "job", "endpoint", "prometheus", "replica"})


class NotProvable(Exception):
    """Prometheus answers, but cannot say whether the alert's expression holds; the text says why."""


async def series_firing(metrics: Metrics, alert: Alert, *, pods: frozenset[str], now: datetime) -> int:
    """How many series of the alert's expression speak of its object. `pods` are those that the object has now.

    Raises NotProvable for a rule that cannot be found, is not healthy or was not evaluated lately; and the errors of
    `Metrics`.
    """
    rules = await metrics.alerting_rules(alert.name)
    if not rules:
        raise NotProvable(f"Prometheus has no alerting rule {alert.name}")
    for rule in rules:
        if (problem := _problem(rule, now)) is not None:
            raise NotProvable(problem)
    firing = 0
    for rule in rules:
        samples = await metrics.query(rule.query)
        left_out = samples.left_out if isinstance(samples, Samples) else ()
        if any(_concerns(labels, alert.labels, pods) for labels in left_out):
            raise NotProvable(f"the expression of {rule.name} gives NaN, which is neither true nor over")
        firing += sum(_concerns(sample.labels, alert.labels, pods) for sample in samples)
    return firing


def _problem(rule: AlertingRule, now: datetime) -> str | None:
    if rule.health != "ok":
        return f"Prometheus reports rule {rule.name} as {rule.health}"
    if rule.last_evaluated_at is None:
        return f"Prometheus has not evaluated rule {rule.name} yet"
    age = (now - rule.last_evaluated_at).total_seconds()
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
