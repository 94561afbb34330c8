"""Which rows are possible where not all is told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from remediator.backtest.asked import NEEDS, NOT_ASKED
from remediator.backtest.rows import Unsure, possible_rows
from remediator.guards import GUARDS
from remediator.model import Cause
from remediator.rules.conditions import Evidence
from remediator.rules.schema import Rule

CAUSE = Unsure("the cause")
RESTART = Unsure("restart or release", if_fails=False)
RECENT = {"when": {"deployed_within": "2h"}, "do": "restart"}
LAST = {"do": "escalate"}


def rule(*respond: dict[str, Any]) -> Rule:
    verify = {"expect": ["pods-ready"]}
    return Rule.model_validate(
        {"name": "r", "match": ['alertname="A"'], "severity": 1, "respond": list(respond), "verify": verify}
    )


def evidence(*, deployed_hours: float | None) -> Evidence:
    ago = None if deployed_hours is None else timedelta(hours=deployed_hours)
    return Evidence(Cause.UNKNOWN, deployed_ago=ago, kind="Deployment", replicas=2, affected_ratio=0.5)


CASES: dict[str, tuple[list[dict[str, Any]], float, dict[str, Unsure], list[tuple[str, tuple[str, ...]]]]] = {
    "all is told: as the service": ([RECENT, LAST], 1, {}, [("restart", ())]),
    "told, and it does not hold: out": ([RECENT, LAST], 3, {}, [("escalate", ())]),
    "not told: possible, and the next as well": (
        [{"when": {"cause": "load"}, "do": "restart"}, LAST],
        1,
        {"cause": CAUSE},
        [("restart", ("the cause",)), ("escalate", ())],
    ),
    "one condition is told and fails: out, whatever the other": (
        [{"when": {"cause": "load", "deployed_within": "2h"}, "do": "restart"}, LAST],
        3,
        {"cause": CAUSE},
        [("escalate", ())],
    ),
    "unsure only if it holds: it holds": (
        [RECENT, LAST],
        1,
        {"deployed_within": RESTART},
        [("restart", ("restart or release",)), ("escalate", ())],
    ),
    "unsure only if it holds: it fails": ([RECENT, LAST], 3, {"deployed_within": RESTART}, [("escalate", ())]),
    "no row for certain": (
        [{"when": {"cause": "load"}, "do": "restart"}],
        1,
        {"cause": CAUSE},
        [("restart", ("the cause",))],
    ),
    "no row at all": ([RECENT], 3, {}, []),
}


@pytest.mark.parametrize(("respond", "hours", "unsure", "expected"), CASES.values(), ids=CASES)
def test_rows_that_may_have_been_taken(
    respond: list[dict[str, Any]], hours: float, unsure: dict[str, Unsure], expected: list[tuple[str, tuple[str, ...]]]
) -> None:
    found = possible_rows(rule(*respond), evidence(deployed_hours=hours), unsure)
    assert [(one.do, one.needs) for one in found] == expected


def test_every_guard_is_either_asked_or_named() -> None:
    """A new guard has to say which."""
    assert {guard.name for guard in GUARDS} == NEEDS.keys() | NOT_ASKED.keys()
    assert not NEEDS.keys() & NOT_ASKED.keys()
