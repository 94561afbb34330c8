"""A row is taken when all its conditions are proven to hold; what is unknown never holds."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from remediator.model import Cause
from remediator.rules.conditions import CONDITIONS
from remediator.rules.schema import When
from remediator.rules.when import Evidence, first_row
from tests.unit.rules.make import a_rule

UNKNOWN = Evidence(cause=Cause.UNKNOWN, deployed_ago=None, kind="", replicas=None, affected_ratio=None)
SEEN = Evidence(
    cause=Cause.CODE_ERROR,
    deployed_ago=timedelta(minutes=30),
    kind="Deployment",
    replicas=3,
    affected_ratio=0.5,
    trend="leak",
    began_with_rollout=False,
    queries={"errors": 0.2, "nobody-knows": None},
    dependencies_healthy=False,
    is_saturated=True,
)
QUERIES = {"errors": "sum(rate(errors[5m]))", "nobody-knows": "vector(1)"}
NEEDS = [{"name": "db", "kind": "Service", "object": "postgres"}]


@pytest.mark.parametrize(
    ("when", "holds", "seen"),
    [
        ({"cause": "code-error"}, True, "code-error"),
        ({"cause": ["load", "code-error"]}, True, "code-error"),
        ({"cause": ["load"]}, False, "code-error"),
        ({"deployed_within": "2h"}, True, "30m ago"),
        ({"deployed_within": "30m"}, True, "30m ago"),
        ({"deployed_within": "29m"}, False, "30m ago"),
        ({"kind": "Deployment"}, True, "Deployment"),
        ({"kind": ["StatefulSet", "DaemonSet"]}, False, "Deployment"),
        ({"replicas": {"min": 3}}, True, "3"),
        ({"replicas": {"min": 4}}, False, "3"),
        ({"replicas": {"max": 2}}, False, "3"),
        ({"affected_ratio": {"min": 0.5, "max": 0.5}}, True, "0.5"),
        ({"affected_ratio": {"max": 0.49}}, False, "0.5"),
        ({"trend": ["leak", "load"]}, True, "leak"),
        ({"trend": "flat"}, False, "leak"),
        ({"began_with_rollout": True}, False, "no"),
        ({"began_with_rollout": False}, True, "no"),
        ({"saturated": True}, True, "yes"),
        ({"dependency": "unhealthy"}, True, "unhealthy"),
        ({"dependency": "healthy"}, False, "unhealthy"),
        ({"query": {"name": "errors", "above": 0.1}}, True, "0.2"),
        ({"query": {"name": "errors", "above": 0.2}}, False, "0.2"),
        ({"query": {"name": "errors", "above": 0.1, "below": 0.15}}, False, "0.2"),
        ({"query": {"name": "nobody-knows", "above": 0.0}}, False, "unknown"),
    ],
)
def test_condition(when: dict[str, Any], holds: bool, seen: str) -> None:
    choice = first_row(
        a_rule(respond=[{"when": when, "do": "recommend"}], queries=QUERIES, depends_on=NEEDS), SEEN
    )
    (row,) = choice.trace
    assert (row.holds, row.conditions[0].seen) == (holds, seen)


@pytest.mark.parametrize(
    "when",
    [
        {"deployed_within": "1d"},
        {"kind": "Deployment"},
        {"replicas": {"min": 0}},
        {"replicas": {"max": 100}},
        {"affected_ratio": {"min": 0}},
        {"trend": ["flat", "leak", "load", "began-with-rollout"]},
        {"began_with_rollout": False},
        {"saturated": False},
        {"dependency": "healthy"},
        {"dependency": "unhealthy"},
        {"query": {"name": "errors", "above": -1.0}},
    ],
)
def test_what_is_unknown_does_not_hold(when: dict[str, Any]) -> None:
    choice = first_row(a_rule(respond=[{"when": when, "do": "recommend"}]), UNKNOWN)
    assert choice.row is None
    assert choice.trace[0].conditions[0].seen == "unknown"


def test_a_rollout_in_the_future_is_not_recent() -> None:
    """Clocks can disagree; a negative age proves nothing."""
    evidence = Evidence(Cause.CODE_ERROR, timedelta(seconds=-1), "Deployment", None, None)
    choice = first_row(a_rule(respond=[{"when": {"deployed_within": "1h"}, "do": "recommend"}]), evidence)
    assert choice.row is None
    assert choice.trace[0].conditions[0].seen == "in the future"


ROWS = [
    {"when": {"cause": "code-error", "deployed_within": "10m"}, "do": "rollback"},
    {"when": {"cause": ["load", "code-error"]}, "do": "recommend"},
    {"do": "escalate"},
]


def test_the_first_row_that_holds_is_taken_and_all_are_traced() -> None:
    choice = first_row(a_rule(respond=ROWS), SEEN)
    assert choice.row == 1
    assert [str(row) for row in choice.trace] == [
        "row 1 rollback: cause code-error: yes (code-error), deployed_within 10m: no (30m ago)",
        "row 2 recommend: cause load or code-error: yes (code-error)",
        "row 3 escalate: always",
    ]


def test_no_row_is_an_answer() -> None:
    assert first_row(a_rule(respond=ROWS[:1]), UNKNOWN).row is None


def test_the_trace_is_json() -> None:
    (row, *_) = first_row(a_rule(respond=ROWS), SEEN).as_json()
    assert row["do"] == "rollback"
    assert row["conditions"][1] == {"name": "deployed_within", "wanted": "10m", "holds": False, "seen": "30m ago"}


def test_every_condition_is_a_field_of_when() -> None:
    assert set(When.model_fields) == set(CONDITIONS)
