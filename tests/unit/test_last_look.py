"""What is well now is left alone, for the causes that pods show."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from remediator.guards.stop import Stop
from remediator.last_look import SHOWN_BY_PODS, condition_gone
from remediator.model import Cause
from remediator.reasons import Reason
from tests.workloads import NOW, deployment, template

WELL = {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}
BY_METRICS = (Cause.LOAD, Cause.LEAK, Cause.BAD_ROLLOUT, Cause.OUT_OF_MEMORY, Cause.UNKNOWN)


def workload(**status: Any) -> Any:
    item = deployment(template())
    item["status"] |= {**WELL, **status}
    return item


@pytest.mark.parametrize("cause", sorted(SHOWN_BY_PODS))
def test_a_cause_that_pods_show_is_gone_with_it(cause: Cause) -> None:
    stop = condition_gone(workload(), "Deployment", cause)
    assert stop is not None
    assert stop.reason is Reason.CONDITION_GONE
    assert stop.detail == f"2 of 2 replicas available: nothing is to be seen of {cause} any more"
    assert stop.ask_again_at(NOW) == NOW + timedelta(minutes=2)


@pytest.mark.parametrize("cause", BY_METRICS)
def test_what_only_metrics_show_may_well_go_on(cause: Cause) -> None:
    assert condition_gone(workload(), "Deployment", cause) is None


@pytest.mark.parametrize(
    "status",
    [
        {"availableReplicas": 1},
        {"updatedReplicas": 1},
        {"replicas": 3},
        {"observedGeneration": 6},
        {"conditions": [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]},
    ],
    ids=lambda status: next(iter(status)),
)
def test_what_is_not_whole_is_not_well(status: dict[str, Any]) -> None:
    assert condition_gone(workload(**status), "Deployment", Cause.CODE_ERROR) is None


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("StatefulSet", {"readyReplicas": 2, "updatedReplicas": 2}),
        ("DaemonSet", {"desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 2}),
    ],
)
def test_each_kind_has_its_own_status(kind: str, status: dict[str, Any]) -> None:
    assert isinstance(condition_gone(workload(**status), kind, Cause.CODE_ERROR), Stop)
    less = dict.fromkeys(status, 2) | {next(reversed(status)): 1, "readyReplicas": 1}
    assert condition_gone(workload(**less), kind, Cause.CODE_ERROR) is None


def test_what_has_no_pods_of_its_own_is_not_asked() -> None:
    assert condition_gone({"metadata": {}, "status": {}}, "Node", Cause.NODE_FAULT) is None
