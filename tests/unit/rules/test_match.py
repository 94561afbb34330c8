"""The first rule whose matchers all hold is taken; a miss says how near it was."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from remediator.model import Alert, AlertStatus
from remediator.rules.match import NoMatch, explain, match, match_labels
from remediator.rules.ruleset import rule_set
from remediator.rules.schema import Rule
from tests.unit.rules.make import a_rule

TABLE = rule_set(
    [
        a_rule("team-shop", match=['alertname=~"A|B"', 'namespace="shop"']),
        a_rule("any-critical", match=['severity="critical"']),
        a_rule("a", match=['alertname="A"', 'namespace!~"kube-.*"']),
        a_rule("b-and-more", match=['alertname="B"', 'namespace!~"kube-.*"', 'tier="1"']),
        a_rule("latency", match=['alertname=~"Latency.*"']),
    ]
)


@pytest.mark.parametrize(
    ("labels", "rule"),
    [
        ({"alertname": "A", "namespace": "shop"}, "team-shop"),
        ({"alertname": "B", "namespace": "shop", "tier": "1"}, "team-shop"),
        ({"alertname": "A", "namespace": "pay", "severity": "critical"}, "any-critical"),
        ({"alertname": "A", "namespace": "pay"}, "a"),
        ({"alertname": "A"}, "a"),
        ({"alertname": "LatencyHigh"}, "latency"),
        ({"severity": "critical"}, "any-critical"),
    ],
)
def test_takes_the_first_that_matches(labels: dict[str, str], rule: str) -> None:
    found = match_labels(labels, TABLE)
    assert isinstance(found, Rule)
    assert found.name == rule


@pytest.mark.parametrize(
    ("labels", "nearest", "why"),
    [
        (
            {"alertname": "A", "namespace": "kube-system"},
            "team-shop",
            'namespace="shop" does not hold: namespace is "kube-system"',
        ),
        ({"alertname": "B", "namespace": "pay"}, "team-shop", 'namespace="shop" does not hold: namespace is "pay"'),
        ({"alertname": "C"}, "any-critical", 'severity="critical" does not hold: severity is not set'),
    ],
)
def test_a_miss_names_the_rule_for_this_alertname_that_fails_least(
    labels: dict[str, str], nearest: str, why: str
) -> None:
    assert match_labels(labels, TABLE) == NoMatch(nearest, why)


def test_of_several_that_a_rule_misses_the_first_is_named() -> None:
    table = rule_set([a_rule("a", match=['alertname="A"', 'namespace="shop"', 'tier="1"'])])
    why = 'namespace="shop" does not hold: namespace is "pay"'
    assert match_labels({"alertname": "A", "namespace": "pay"}, table) == NoMatch("a", why)


def test_no_rule_for_an_alertname_has_no_nearest() -> None:
    table = rule_set([a_rule("a", match=['alertname="A"'])])
    assert match_labels({"alertname": "Z"}, table) == NoMatch(None, 'no rule for alertname "Z"')


def test_an_empty_table_matches_nothing() -> None:
    assert match_labels({"alertname": "A"}, rule_set([])) == NoMatch(None, 'no rule for alertname "A"')


def test_an_alert_is_matched_by_its_labels() -> None:
    labels = {"alertname": "A", "namespace": "pay"}
    at = datetime(2026, 11, 23, tzinfo=UTC)
    alert = Alert("f" * 16, AlertStatus.FIRING, labels, {}, at, None, "", "remediator", "{}")
    found = match(alert, TABLE)
    assert isinstance(found, Rule)
    assert found.name == "a"


def test_explain_shows_every_rule_and_the_value_seen() -> None:
    traces = explain({"alertname": "A", "namespace": "kube-system"}, TABLE)
    assert [(trace.rule, trace.matches) for trace in traces] == [(rule.name, False) for rule in TABLE.rules]
    assert [(m.matcher, m.holds, m.seen) for m in traces[2].matchers] == [
        ('alertname="A"', True, "A"),
        ('namespace!~"kube-.*"', False, "kube-system"),
    ]


def test_the_index_answers_as_asking_every_rule_in_order_does() -> None:
    for name in ("A", "B", "C", "LatencyLow", ""):
        for namespace in ("shop", "pay", "kube-system", ""):
            for severity in ("critical", ""):
                labels = {"alertname": name, "namespace": namespace, "severity": severity}
                by_hand = next((trace.rule for trace in explain(labels, TABLE) if trace.matches), None)
                found = match_labels(labels, TABLE)
                assert (found.name if isinstance(found, Rule) else None) == by_hand, labels
