"""Nothing else got worse: errors, latency, and other alerts; before an action and since."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from remediator.checks.base import Look
from remediator.checks.collateral import Collateral, NewAlerts
from remediator.prometheus.base import Sample
from tests.unit.checks.worlds import ACTED_AT, LATER, FakeMetrics, scene


class Traffic(FakeMetrics):
    """Errors and latency before the action, and since."""

    def __init__(self, errors: Sequence[float | None], seconds: Sequence[float | None] = (0.2, 0.2)) -> None:
        super().__init__()
        self._numbers = {"http_requests_total": errors, "http_request_duration_seconds_bucket": seconds}

    async def query(self, expression: str, *, at: datetime | None = None) -> Sequence[Sample]:
        assert at in (None, ACTED_AT)
        before, since = next(pair for name, pair in self._numbers.items() if name in expression)
        value = since if at is None else before
        return [] if value is None else [Sample({}, value)]


@pytest.mark.parametrize(
    ("errors", "seconds", "look"),
    [
        ((0.30, 0.01), (2.0, 0.2), Look.PASSED),
        ((0.01, 0.05), (0.2, 0.2), Look.PASSED),
        ((0.01, 0.07), (0.2, 0.2), Look.WAITING),
        ((0.20, 0.28), (0.2, 0.2), Look.PASSED),
        ((0.20, 0.31), (0.2, 0.2), Look.WAITING),
        ((0.0, 0.0), (0.2, 0.39), Look.PASSED),
        ((0.0, 0.0), (0.2, 0.41), Look.WAITING),
        ((0.0, 0.0), (0.01, 0.05), Look.PASSED),
        ((None, 0.5), (None, 9.0), Look.PASSED),
        ((0.5, None), (0.1, None), Look.PASSED),
    ],
)
async def test_worse_is_more_and_much_more(
    errors: Sequence[float | None], seconds: Sequence[float | None], look: Look
) -> None:
    result = await Collateral().look(scene(metrics=Traffic(errors, seconds)))
    assert result.look is look


async def test_says_what_got_worse() -> None:
    result = await Collateral().look(scene(metrics=Traffic((0.01, 0.5))))
    assert result.detail == "worse than before: error_ratio 0.01 before, 0.5 since"


@pytest.mark.parametrize(
    "changes",
    [{"metrics": None}, {"gives_back": True}, {"now": ACTED_AT + timedelta(seconds=59)}],
    ids=["no Prometheus", "to be given back", "too early"],
)
async def test_what_cannot_be_compared_is_no_objection(changes: dict[str, object]) -> None:
    facts = {"metrics": Traffic((0.01, 0.9)), "now": LATER, **changes}
    assert (await Collateral().look(scene(**facts))).look is Look.PASSED


async def test_another_alert_is_waited_for() -> None:
    assert (await NewAlerts().look(scene())).look is Look.PASSED
    result = await NewAlerts().look(scene(new_alerts=("B", "A", "A")))
    assert (result.look, result.detail) == (Look.WAITING, "fires since the action: A, B")
