"""What a valid rule becomes: defaults, typed parameters, a digest, and a schema for editors."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from remediator.actions import ACTIONS
from remediator.generate.schemas import rules_schema
from remediator.guards import GUARDS
from remediator.model import Mode
from remediator.rules.ruleset import rule_set
from remediator.rules.schema import Rule
from remediator.rules.severity import SeverityRow
from remediator.target.spec import TargetSpec
from remediator.units import Limit
from tests.unit.rules.make import a_rule

ROOT = Path(__file__).parents[3]


def test_defaults_are_cautious() -> None:
    rule = a_rule(verify={"expect": ["alert-clear"]})
    assert rule.mode is Mode.SILENT
    assert rule.target.spec() == TargetSpec(from_alert=True)
    assert rule.verify is not None
    assert (rule.verify.within, rule.verify.stable_for) == (timedelta(minutes=10), timedelta(minutes=2))
    assert rule.verify.otherwise == "escalate"


def test_parameters_are_those_of_the_action_that_is_done() -> None:
    rule = a_rule(respond=[{"do": "rollback", "with": {"recent": "30m"}}, {"do": "escalate"}])
    assert isinstance(rule.respond[0].parameters, ACTIONS["rollback"].parameters)
    assert rule.respond[0].parameters.model_dump()["recent"] == timedelta(minutes=30)
    assert isinstance(rule.respond[1].parameters, ACTIONS["escalate"].parameters)


@pytest.mark.parametrize(("do", "acts"), [("rollback", True), ("recommend", False), ("escalate", False)])
def test_a_row_acts_if_its_action_needs_permissions(do: str, acts: bool) -> None:
    assert a_rule(respond=[{"do": do}]).acts is acts


def test_a_guard_runs_with_the_parameters_of_the_rule_or_its_own_defaults() -> None:
    rule = a_rule(guards={"cooldown": {"period": "30m"}})
    assert rule.guard_parameters("cooldown").model_dump() == {"period": timedelta(minutes=30)}
    for guard in GUARDS:
        assert isinstance(a_rule().guard_parameters(guard.name), guard.parameters)


@pytest.mark.parametrize(
    ("target", "spec"),
    [
        ({"from": "alert", "node_scope": True}, TargetSpec(from_alert=True, node_scope=True)),
        (
            {"labels": {"Deployment": "app", "namespace": "ns"}},
            TargetSpec(labels={"Deployment": "app", "namespace": "ns"}),
        ),
        (
            {"object": {"kind": "Deployment", "namespace": "shop", "name": "web"}},
            TargetSpec(fixed=("deployment", "shop", "web")),
        ),
        ({"object": {"kind": "Node", "name": "n1"}}, TargetSpec(fixed=("node", "", "n1"))),
    ],
)
def test_target_forms(target: dict[str, Any], spec: TargetSpec) -> None:
    assert a_rule(target=target).target.spec() == spec


def test_limits_have_a_count_and_a_window() -> None:
    assert a_rule(limits=["1 per 10m", "7 per 1d"]).limits == (
        Limit(1, timedelta(minutes=10)),
        Limit(7, timedelta(days=1)),
    )


def test_one_entry_may_hold_several_matchers() -> None:
    rule = a_rule(match=['{alertname="A",severity="critical"}', 'team="x"'])
    assert [str(each) for each in rule.matchers] == ['alertname="A"', 'severity="critical"', 'team="x"']


def test_a_rule_reads_back_from_its_json_with_the_same_digest() -> None:
    rule = a_rule(
        respond=[{"when": {"cause": "load", "replicas": {"min": 2}}, "do": "rollback"}, {"do": "escalate"}],
        verify={"expect": ["pods-ready"], "within": "90s", "stable_for": "0s"},
        limits=["1 per 10m"],
        guards={"cooldown": {"period": "20m"}},
        target={"object": {"kind": "Node", "name": "n1"}},
    )
    again = Rule.model_validate(json.loads(json.dumps(rule.as_json())))
    assert again.digest == rule.digest
    assert again == rule


@pytest.mark.parametrize(
    "change", [{"severity": 2}, {"mode": "active"}, {"respond": [{"do": "recommend"}]}, {"match": ['alertname="B"']}]
)
def test_the_digest_changes_with_the_rule(change: dict[str, Any]) -> None:
    assert a_rule(**change).digest != a_rule().digest


def test_the_digest_does_not_depend_on_how_a_rule_is_written() -> None:
    written_out = a_rule(match=["{ alertname = A }"], target={"from": "alert"}, mode="silent")
    assert written_out.digest == a_rule().digest


def test_the_digest_of_the_table_depends_on_order_and_severities() -> None:
    one, two = a_rule("one"), a_rule("two")
    digests = {
        rule_set([one, two]).digest,
        rule_set([two, one]).digest,
        rule_set([one, two], severities={3: SeverityRow(wait=timedelta(minutes=1))}).digest,
    }
    assert len(digests) == 3


@pytest.mark.parametrize(("severity", "minutes"), [(1, 0), (2, 0), (3, 5), (4, 15)])
def test_small_severities_watch_first(severity: int, minutes: int) -> None:
    assert rule_set([]).severities.wait(severity) == timedelta(minutes=minutes)


def test_a_rule_is_found_by_name() -> None:
    one = a_rule("one")
    assert rule_set([one]).rule("one") is one
    assert rule_set([one]).rule("gone") is None


def test_the_shipped_json_schema_is_of_these_models() -> None:
    """To write it again: print(json.dumps(rules_schema(), indent=2, ensure_ascii=False)) to `rules/schema.json`."""
    assert json.loads((ROOT / "rules" / "schema.json").read_text()) == rules_schema()
