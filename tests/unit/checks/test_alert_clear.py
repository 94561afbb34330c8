"""`alert-clear`: judged on the alert's own expression, for the right object, and never on silence."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from remediator.checks.alert_clear import AlertClear
from remediator.checks.base import Look
from remediator.prometheus.base import BadQuery, PrometheusUnavailable
from tests.unit.checks.worlds import ACTED_AT, LATER, QUERY, FakeMetrics, rule, scene
from tests.workloads import alert


async def look(metrics: FakeMetrics | None, **changes: Any) -> Any:
    return await AlertClear().look(scene(metrics=metrics, **changes))


UNKNOWNS: list[tuple[str, FakeMetrics | None]] = [
    ("no Prometheus configured", None),
    ("no such rule", FakeMetrics(rules=[])),
    ("the rule fails", FakeMetrics(rules=[rule(health="err")])),
    ("the rule has not run", FakeMetrics(rules=[rule(last_evaluated_at=None)])),
    ("the rule ran long ago", FakeMetrics(rules=[rule(last_evaluated_at=LATER - timedelta(seconds=91))])),
    ("one of two rules fails", FakeMetrics(rules=[rule(), rule(health="unknown")])),
]


@pytest.mark.parametrize("metrics", [row[1] for row in UNKNOWNS], ids=[row[0] for row in UNKNOWNS])
async def test_what_proves_nothing_is_unknown(metrics: FakeMetrics | None) -> None:
    result = await look(metrics)

    assert result.look is Look.UNKNOWN
    assert metrics is None or metrics.asked == []


@pytest.mark.parametrize("failure", [PrometheusUnavailable("down"), BadQuery("parse error")])
async def test_a_prometheus_that_fails_is_no_answer(failure: Exception) -> None:
    with pytest.raises(type(failure)):
        await look(FakeMetrics(failure=failure))


async def test_the_rule_s_own_expression_is_evaluated() -> None:
    metrics = FakeMetrics()
    await look(metrics)

    assert metrics.asked == [QUERY]


async def test_an_evaluation_within_three_intervals_is_recent() -> None:
    metrics = FakeMetrics(rules=[rule(last_evaluated_at=LATER - timedelta(seconds=89))])

    assert (await look(metrics)).look is not Look.UNKNOWN


class TestTime:
    async def test_clear_now_is_not_clear_for_long(self) -> None:
        result = await look(FakeMetrics())

        assert result.look is Look.SETTLING
        assert result.memory["clear_since"] == "2026-11-23T12:02:00Z"

    async def test_clear_for_the_time_asked_passes(self) -> None:
        result = await look(FakeMetrics(), memory={"clear_since": "2026-11-23T12:00:00Z"})

        assert result.look is Look.PASSED

    async def test_time_before_the_action_does_not_count(self) -> None:
        memory = {"clear_since": "2026-11-23T11:00:00Z"}

        result = await look(FakeMetrics(), memory=memory, now=ACTED_AT + timedelta(seconds=30))

        assert result.look is Look.SETTLING

    async def test_a_break_begins_the_time_anew(self) -> None:
        mine = {"namespace": "shop", "pod": "checkout-2-a"}

        broken = await look(FakeMetrics([mine]), memory={"clear_since": "2026-11-23T12:00:00Z"})

        assert broken.look is Look.WAITING
        assert broken.memory == {}


POD = {"alertname": "KubePodCrashLooping", "namespace": "shop", "pod": "checkout-3-a", "container": "app"}
OF_DEPLOYMENT = {"alertname": "KubePodCrashLooping", "namespace": "shop", "deployment": "checkout"}
EXPORTED = {
    "alertname": "KubePodCrashLooping",
    "namespace": "monitoring",
    "pod": "kube-state-metrics-1",
    "exported_namespace": "shop",
    "exported_pod": "checkout-3-a",
}
BURN = {"alertname": "KubePodCrashLooping", "namespace": "shop", "service": "checkout", "job": "x", "severity": "page"}

SERIES: list[tuple[str, dict[str, str], dict[str, str], bool]] = [
    # what, the alert's labels, the series' labels, whether it speaks of the target
    ("a pod of the workload that exists", POD, {"namespace": "shop", "pod": "checkout-2-a"}, True),
    ("the alert's own pod, which is gone", POD, {"namespace": "shop", "pod": "checkout-3-a"}, False),
    ("a pod of another workload", POD, {"namespace": "shop", "pod": "cart-1-a"}, False),
    ("a namesake in another namespace", POD, {"namespace": "pay", "pod": "checkout-2-a"}, False),
    ("the exporter's labels beside the truth", EXPORTED, {**EXPORTED, "exported_pod": "checkout-2-a"}, True),
    ("the exporter's labels, another pod", EXPORTED, {**EXPORTED, "exported_pod": "cart-1-a"}, False),
    ("the workload by name", OF_DEPLOYMENT, {"namespace": "shop", "deployment": "checkout"}, True),
    ("another workload by name", OF_DEPLOYMENT, {"namespace": "shop", "deployment": "cart"}, False),
    (
        "the workload by name beside the exporter's pod",
        OF_DEPLOYMENT | {"pod": "kube-state-metrics-1"},
        {"namespace": "shop", "deployment": "checkout", "pod": "kube-state-metrics-2"},
        True,
    ),
    ("labels both have are the same", BURN, {"namespace": "shop", "service": "checkout", "job": "y"}, True),
    ("labels both have differ", BURN, {"namespace": "shop", "service": "cart"}, False),
]


@pytest.mark.parametrize(("labels", "series", "counts"), [row[1:] for row in SERIES], ids=[row[0] for row in SERIES])
async def test_only_series_of_the_target_count(labels: dict[str, str], series: dict[str, str], counts: bool) -> None:
    result = await look(FakeMetrics([series]), alert=alert(labels=labels))

    assert (result.look is Look.WAITING) == counts
