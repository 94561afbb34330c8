"""The story's Prometheus knows every expression that the service itself makes."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest

from remediator.diagnose.resources import expressions
from remediator.diagnose.resources.trend import OFFSETS
from remediator.model import Target
from remediator.prometheus.base import PrometheusUnavailable
from remediator.prometheus.measures import MEASURES, expression_of
from remediator.simulate.facts import MetricFacts, Ref
from remediator.simulate.observers import StoryPrometheus
from remediator.simulate.storage import POD
from remediator.simulate.usage import FIRST_SCRAPE, Usage
from remediator.simulate.values import parse_values
from tests.clocks import FakeClock
from tests.workloads import NOW

OF = Ref("shop", "Deployment", "checkout")
PODS = "checkout-abc-[a-z0-9]{5}"
HOUR = timedelta(hours=1)


def pod(name: str, image: str) -> Any:
    return {
        "metadata": {"name": name, "namespace": "shop", "uid": name},
        "spec": {"containers": [{"name": "app", "image": image}]},
    }


@pytest.fixture
def usage() -> Usage:
    """One pod that was there for two hours, another that came with the present release an hour ago."""
    clock = FakeClock(NOW - 2 * HOUR)
    facts = [
        MetricFacts(
            of=OF,
            image="1.4",
            memory=parse_values("100+10x60"),
            traffic=(5.0,),
            cpu=(0.5,),
            throttled=(0.25,),
            errors=(0.1,),
            latency=(2.0,),
        ),
        MetricFacts(of=OF, image="1.5", memory=(900.0,)),
    ]
    made = Usage(facts, room=7, zero=NOW, now=clock.now, workload_of=lambda _: OF)
    made.changed(POD, None, pod("checkout-abc-11111", "shop:1.4"))
    clock.at = NOW - HOUR
    made.changed(POD, None, pod("checkout-abc-22222", "shop:1.5"))
    return made


def values(usage: Usage, expression: str) -> dict[tuple[str, ...], float]:
    found = usage.answer(expression, NOW)
    assert found is not None
    return {tuple(sample.labels.values()): sample.value for sample in found}


def test_memory_over_time_by_pod(usage: Usage) -> None:
    seen = values(usage, expressions.over_time(expressions.memory("shop", PODS), OFFSETS))
    assert seen["checkout-abc-11111", "app", "0"] == 100 + 10 * 36
    assert seen["checkout-abc-11111", "app", "3600"] == 100 + 10 * 30
    assert seen["checkout-abc-22222", "app", "0"] == 900
    assert ("checkout-abc-22222", "app", "3600") not in seen
    assert ("checkout-abc-11111", "app", "18000") not in seen


def test_traffic_and_cpu(usage: Usage) -> None:
    traffic = values(usage, expressions.over_time(expressions.traffic("shop", PODS), (0, 300)))
    assert traffic == {("checkout-abc-11111", "0"): 5.0, ("checkout-abc-11111", "300"): 5.0}
    assert values(usage, expressions.over_time(expressions.cpu_of_pods("shop", PODS), (0,))) == {
        ("checkout-abc-11111", "0"): 0.5
    }
    assert values(usage, expressions.cpu("shop", PODS)) == {("checkout-abc-11111", "app"): 0.5}
    assert values(usage, expressions.throttled("shop", PODS)) == {(): 0.25}


def test_the_peak_before_a_rollout_is_of_the_pods_that_there_were(usage: Usage) -> None:
    ago = (HOUR - FIRST_SCRAPE / 2).total_seconds()
    assert values(usage, expressions.memory_peak_before("shop", PODS, ago)) == {("app",): 100 + 10 * 30}
    assert values(usage, expressions.memory_peak_before("shop", "other-.*", ago)) == {}


def test_room_on_the_nodes(usage: Usage) -> None:
    asked = expressions.room_on_nodes({"spec": {"containers": [{"name": "app"}]}})
    assert isinstance(asked, str)
    assert values(usage, asked) == {("all",): 7.0}


@pytest.mark.parametrize(
    ("name", "value"),
    [("restarts_per_hour", None), ("error_ratio", 0.1), ("latency_p99_seconds", 2.0), ("memory_bytes", 900.0)],
)
def test_the_measures_of_a_workload(usage: Usage, name: str, value: float | None) -> None:
    of = Target("test", "Deployment", "shop", "checkout", "d-1")
    text = re.sub(r"pod=~\"[^\"]*\"", f'pod=~"{PODS}"', expression_of(MEASURES[name], of, timedelta(minutes=30)))
    assert values(usage, text) == ({} if value is None else {(): value})


def test_every_measure_has_its_row() -> None:
    assert set(MEASURES) == {"restarts_per_hour", "error_ratio", "latency_p99_seconds", "memory_bytes"}


async def test_what_nobody_answers_is_no_answer(usage: Usage) -> None:
    """An empty one would be taken for "nothing there"."""
    prometheus = StoryPrometheus(Nothing(), usage, lambda: NOW)
    with pytest.raises(PrometheusUnavailable, match="give one under answers:"):
        await prometheus.query("sum(rate(whatever[5m]))")
    prometheus.answers.append(("rate(whatever", lambda at: 3.0))
    [sample] = await prometheus.query("sum(rate(whatever[5m]))")
    assert sample.value == 3.0


async def test_the_availability_of_former_revisions_is_known_and_empty(usage: Usage) -> None:
    assert usage.answer("count_over_time((kube_replicaset_status_ready_replicas{} > 0)[2d:1m])", NOW) == []


class Nothing:
    """A cluster without objects."""

    def every(self, kind: str, namespace: str | None = None) -> list[Any]:
        return []
