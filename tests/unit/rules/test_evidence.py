"""What the conditions of a rule can ask about, by kind of workload."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from remediator.actions.base import Case, NoPlan
from remediator.model import Cause, Finding
from remediator.rules.plan import evidence_of, make_plan
from tests.unit.actions.test_rollback_ordered import HISTORY, NEW_ONES, story, with_pods
from tests.unit.rules.make import a_rule
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


def test_advice_names_what_was_found_and_says_what_was_not() -> None:
    advice = "Restore {finding.missing} of {target} ({cause}), see {finding.nobody_found_it}"
    rule = a_rule(respond=[{"do": "recommend", "advice": advice}])
    found = Finding("config-missing", "", {"missing": "ConfigMap settings"})

    answer = make_plan(rule, case(findings=(found,), cause=Cause.MISSING_CONFIG)).answer

    assert isinstance(answer, NoPlan)
    assert answer.advice == (
        "Restore ConfigMap settings of shop/deployment/checkout (missing-config), see (not known)"
    )


def test_what_was_found_is_not_looked_through_for_placeholders() -> None:
    """It comes from logs, events and names: it says what it says, and nothing of ours."""
    rule = a_rule(respond=[{"do": "recommend", "advice": "{finding.text} of {target}: {finding.other}"}])
    found = (Finding("log", "", {"text": "{cause} {finding.other} {finding.no}"}), Finding("event", "", {"other": "x"}))

    answer = make_plan(rule, case(findings=found)).answer

    assert isinstance(answer, NoPlan)
    assert answer.advice == "{cause} {finding.other} {finding.no} of shop/deployment/checkout: x"


@pytest.mark.parametrize(
    ("healthy", "expected"),
    [((), None), ((True, True), True), ((True, None), None), ((None, False), False), ((True, False), False)],
)
def test_dependencies_are_healthy_when_all_are_known_to_be(
    healthy: tuple[bool | None, ...], expected: bool | None
) -> None:
    found = tuple(Finding("dependency", "", {"name": str(n), "healthy": one}) for n, one in enumerate(healthy))

    assert evidence_of(case(findings=found)).dependencies_healthy is expected
