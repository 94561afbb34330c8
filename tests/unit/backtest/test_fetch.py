"""A history out of Prometheus: in pieces, halved where they are too large, and what is not there is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from remediator.backtest.episodes import episodes
from remediator.backtest.fetch import NothingThere, Wanted, fetch
from remediator.backtest.history import History
from remediator.backtest.known import FACTS, expression_of
from remediator.prometheus.base import BadQuery, Course, PrometheusUnavailable, Sample, TooManySamples
from tests.unit.backtest.written import FACT_STEP, STEP, at, when

FIRING = 'ALERTS{alertstate="firing"}'
PODS = expression_of(FACTS["pods"], is_exported=False)


@dataclass
class Past:
    """A Prometheus that has some series at some minutes, and counts what it is asked."""

    series: Mapping[str, list[tuple[dict[str, str], float, float]]]
    most_points: int = 11_000
    bad: Sequence[str] = ()
    told: Sequence[str] = ()
    asked: list[tuple[str, datetime, datetime]] = field(default_factory=list)

    async def query(self, expression: str, *, at: datetime | None = None) -> Sequence[Sample]:
        return [Sample({}, 1.0)] if expression in self.told else []

    async def query_range(
        self, expression: str, *, begin: datetime, end: datetime, step: timedelta
    ) -> Sequence[Course]:
        self.asked.append((expression, begin, end))
        if expression in self.bad:
            raise BadQuery("many-to-many matching not allowed")
        count = int((end - begin) / step) + 1
        if count > self.most_points:
            raise TooManySamples("query processing would load too many samples into memory")
        times = [begin.timestamp() + number * step.total_seconds() for number in range(count)]
        found = []
        for labels, first, last in self.series.get(expression, ()):
            points = [(time, 1.0) for time in times if at(first) <= time <= at(last)]
            if points:
                found.append(Course(labels, points))
        return found


def wanted(minutes: float = 3000) -> Wanted:
    return Wanted(when(0), when(minutes), STEP, FACT_STEP, {"cluster": "prod"}, "http://prometheus:9090")


async def fetched(past: Past, minutes: float = 3000) -> History:
    return await fetch(past, wanted(minutes), lambda done, of: None)


A = {"__name__": "ALERTS", "alertname": "A", "alertstate": "firing"}


async def test_a_run_over_several_pieces_is_one_episode() -> None:
    """Each day is a question of its own; every sample lies in one of them."""
    past = Past({FIRING: [(A, 100, 2000)]})
    found = await fetched(past)
    pieces = [(begin, end) for expression, begin, end in past.asked if expression == FIRING]
    assert len(pieces) == 3
    assert all(after[0] - before[1] == STEP for before, after in pairwise(pieces))
    [episode] = episodes(found)
    assert (episode.begins_at, episode.ends_at) == (when(100), when(2001))
    assert episode.labels == {"alertname": "A", "cluster": "prod"}


async def test_a_piece_that_is_too_large_is_halved_until_it_is_not() -> None:
    """Nothing of it is lost, and nothing is there twice."""
    past = Past({FIRING: [(A, 100, 2000)]}, most_points=200)
    [series] = (await fetched(past)).alerts
    assert series.spans == ((at(100), at(2000), 1.0),)
    assert max(int((end - begin) / STEP) for e, begin, end in past.asked if e == FIRING) > 200


async def test_even_a_short_piece_that_is_too_large_is_named() -> None:
    with pytest.raises(TooManySamples, match=r"ALERTS: Prometheus refuses even \dm of it at once: .* too many samples"):
        await fetched(Past({FIRING: [(A, 100, 2000)]}, most_points=1))


async def test_no_alert_at_all_is_named_with_the_time() -> None:
    expected = "no ALERTS that fired between 2026-11-23T12:00:00Z and 2026-11-25T14:00:00Z"
    with pytest.raises(NothingThere, match=expected):
        await fetched(Past({}))


async def test_a_fact_is_told_where_its_metric_is_there_even_if_nothing_of_it_was() -> None:
    """No pod was ever "unready": told. No series of nodes at all: not told, and never taken for none."""
    pod = {"namespace": "shop", "pod": "web-1"}
    past = Past({FIRING: [(A, 100, 200)], PODS: [(pod, -2000, 500)]}, told=["count(kube_pod_status_ready)"])
    found = await fetched(past, 600)
    assert set(found.facts) == {"pods", "unready"}
    assert list(found.facts["unready"]) == []
    [series] = found.facts["pods"]
    assert series.spans[0].first == at(-24 * 60), "a day before shows what was deployed last"


async def test_a_fact_whose_expression_is_not_taken_is_not_told() -> None:
    found = await fetched(Past({FIRING: [(A, 100, 200)], PODS: [({"pod": "x"}, 0, 500)]}, bad=[PODS]), 600)
    assert "pods" not in found.facts


async def test_the_labels_of_a_scrape_that_does_not_honour_them_are_the_objects_own() -> None:
    exported = expression_of(FACTS["pods"], is_exported=True)
    assert "exported_namespace, exported_pod" in exported
    labels = {"exported_namespace": "shop", "exported_pod": "web-1", "node": "node-1", "priority_class": ""}
    told = ['count(kube_pod_info{exported_pod!=""})']
    found = await fetched(Past({FIRING: [(A, 100, 200)], exported: [(labels, 0, 500)]}, told=told), 600)
    [series] = found.facts["pods"]
    assert series.labels == {"namespace": "shop", "pod": "web-1", "node": "node-1"}


async def test_a_prometheus_that_is_away_ends_it() -> None:
    class Away(Past):
        async def query_range(self, expression: str, **_: object) -> Sequence[Course]:
            raise PrometheusUnavailable("Prometheus: connection refused")

    with pytest.raises(PrometheusUnavailable, match="connection refused"):
        await fetched(Away({}))
