"""What the conditions of a rule can ask about, by kind of workload."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from remediator.actions.base import Case
from remediator.rules.plan import evidence_of
from tests.unit.actions.test_rollback_ordered import HISTORY, NEW_ONES, story, with_pods
from tests.workloads import TARGET, case, workload

JOB = case(workload(object={"spec": {}}, replica_sets=()), target=replace(TARGET, kind="Job"))


@pytest.mark.parametrize(
    ("of", "ago"),
    [
        (case(), timedelta(minutes=9)),
        (story(), timedelta(0)),
        (with_pods(*NEW_ONES), timedelta(minutes=10)),
        (story("DaemonSet"), timedelta(0)),
        (story(revisions=None), None),
        (story(revisions=HISTORY[1:]), None),
        (JOB, None),
    ],
    ids=[
        "a Deployment that was completed a minute after it began",
        "a StatefulSet whose rollout runs",
        "one whose pods are all new",
        "a DaemonSet whose rollout runs",
        "revisions that may not be listed",
        "a spec that was not observed",
        "a kind without rollouts",
    ],
)
def test_how_long_ago_it_was_deployed(of: Case, ago: timedelta | None) -> None:
    assert evidence_of(of).deployed_ago == ago
