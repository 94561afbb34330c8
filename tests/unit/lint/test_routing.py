"""The lint over Alertmanager's routes, Prometheus' alerts and our rules finds what is planted, and nothing else.

That the real Alertmanager takes every one of the files is tested in `tests/cluster/test_amtool.py`.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import remediator.lint.routing.review as review_module
from remediator.lint.routing.alerts import Raised, read_alerts
from remediator.lint.routing.config import read_config
from remediator.lint.routing.reach import Asked, Truth, reached
from remediator.lint.routing.review import review_routing
from remediator.rules.load import load_rules
from remediator.rules.matcher import parse_matchers
from remediator.rules.report import FileError
from remediator.rules.ruleset import RuleSet, rule_set
from remediator.rules.schema import Rule
from tests.unit.lint.alertmanagers import BAD, GOOD, RAISED, ROOT, TABLE, WATCHDOG, found_in, planted


@pytest.mark.parametrize("file", BAD, ids=lambda file: file.stem)
def test_finds_what_is_planted_and_nothing_else(file: Path) -> None:
    wanted = planted(file)
    found = found_in(file, rules=wanted.rules, receiver=wanted.receiver)
    told = [(one.code, one.level.value, f"{Path(one.file).name}:{one.line}") for one in found]
    assert told == [(wanted.code, wanted.level, wanted.place)]
    assert found[0].hint
    assert found[0].source.endswith("# here")


@pytest.mark.parametrize("file", GOOD, ids=lambda file: file.stem)
def test_finds_nothing_in_a_good_one(file: Path) -> None:
    assert [str(one) for one in found_in(file)] == []


@pytest.mark.parametrize("file", GOOD, ids=lambda file: file.stem)
def test_a_good_one_is_good_without_prometheus_rules_too(file: Path) -> None:
    """What kube-prometheus raises is known; of other alerts nothing but the name."""
    config = read_config(str(file), file.read_bytes())
    assert [str(one) for one in review_routing(config, TABLE, (), watchdog=WATCHDOG)] == []


def test_there_are_enough_of_each() -> None:
    codes = {planted(file).code for file in BAD}
    assert len(BAD) >= 20
    assert len(GOOD) >= 10
    assert len(codes) >= 20


ELSEWHERE = {"webhook-payload", "label-never-raised", "not-alertmanager"}
"""Codes with a test of their own below: what this Alertmanager does not load, or no shipped alert has."""


def test_every_code_is_planted_and_named_on_the_page_of_the_rules() -> None:
    files = Path(review_module.__file__).parent.glob("*.py")
    lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    codes = {
        code
        for line in lines
        if "code" in line or 'return "' in line
        for code in re.findall(r'"([a-z]+(?:-[a-z]+)+)"', line)
    }
    codes |= {"group-wait", "group-interval", "repeat-interval"}  # made from the field's name
    assert codes == {planted(file).code for file in BAD} | ELSEWHERE
    page = (ROOT / "rules" / "README.md").read_text(encoding="utf-8")
    assert {code for code in codes - ELSEWHERE if f"`{code}`" not in page} == set()


def test_severities_are_those_that_prometheus_gives() -> None:
    """One name may have several; a label that is a template is not known."""
    severities = {one.labels.get("severity") for one in RAISED if one.name == "RemediatorHighErrorRate"}
    assert severities == {"warning", "critical"}
    assert {one.name for one in RAISED} >= {"KubePodCrashLooping", "RemediatorMemoryNearLimit"}


@pytest.mark.parametrize(
    "text",
    [
        "groups: [{name: g, rules: [{alert: A, expr: up, labels: {severity: page, x: '{{ $value }}'}}]}]",
        "kind: PrometheusRule\nspec: {groups: [{name: g, labels: {severity: page}, rules: [{alert: A, expr: up}]}]}",
        "{kind: List, items: [{kind: PrometheusRule, spec: {groups: [{rules: [{alert: A, labels: &a"
        " {severity: page}}]}]}}]}",
        "kind: ConfigMap\n---\ngroups: [{rules: [{alert: A, labels: {severity: page}}, {record: a:b, expr: up}]}]",
    ],
)
def test_alerts_are_read_from_every_form_of_rule_file(tmp_path: Path, text: str) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(text, encoding="utf-8")
    [one] = read_alerts([file])
    assert (one.name, one.labels) == ("A", {"alertname": "A", "severity": "page"})


TREE = """
route:
  receiver: root
  routes:
    - {receiver: one, matchers: ['a="1"'], continue: true}
    - receiver: two
      matchers: ['a="1"']
      routes:
        - {receiver: three, matchers: ['b="1"']}
    - {receiver: four, matchers: ['a=~"1|2"']}
"""


@pytest.mark.parametrize(
    ("labels", "wanted"),
    [
        ({"a": "1", "b": "1"}, ["one yes", "three yes"]),
        ({"a": "1", "b": "2"}, ["one yes", "two yes"]),
        ({"a": "2"}, ["four yes"]),
        ({"a": "3"}, ["root yes"]),
        ({"a": "1"}, ["one yes", "three perhaps", "two perhaps"]),
        ({}, ["one perhaps", "three perhaps", "two perhaps", "four perhaps", "root perhaps"]),
    ],
)
def test_routes_are_walked_as_alertmanager_does(labels: dict[str, str], wanted: list[str]) -> None:
    root = read_config("am.yml", TREE.encode()).root
    found = reached(root, Asked(labels))
    assert [f"{one.route.receiver} {one.how.name.lower()}" for one in found] == wanted


def test_what_a_rule_demands_is_known_of_its_alerts() -> None:
    asked = Asked({"alertname": "A"}, parse_matchers('{namespace=~"shop-.*"}'))
    said = [
        asked.passes(parse_matchers(text)[0])
        for text in ('namespace!~"kube-.*"', 'namespace="x"', 'namespace="shop-a"')
    ]
    assert said == [Truth.YES, Truth.NO, Truth.PERHAPS]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: 1", "no Alertmanager configuration"),
        ("[1]", "no Alertmanager configuration"),
        ("", "no Alertmanager configuration"),
        ("route: {receiver: x", "not YAML"),
        ("route: {receiver: x, matchers: ['a']}", "bad matcher format"),
        ("route: {receiver: x, group_wait: soon}", "is not a duration"),
        ("route: {receiver: *no}", "unknown alias"),
    ],
)
def test_a_file_that_is_none_is_told_with_its_place(text: str, complaint: str) -> None:
    with pytest.raises(FileError, match=complaint) as refused:
        read_config("am.yml", text.encode())
    assert str(refused.value).startswith("am.yml:1:")


def test_a_body_of_ones_own_is_lost() -> None:
    """`payload` is of Alertmanager 0.32, which the rig does not have yet."""
    [good] = [file for file in GOOD if file.stem == "plain"]
    text = good.read_text(encoding="utf-8").replace("max_alerts: 0", "max_alerts: 0\n        payload: {a: b}")
    found = review_routing(read_config("am.yml", text.encode()), TABLE, RAISED)
    assert [one.code for one in found] == ["webhook-payload"]


def test_an_alert_with_a_label_that_the_rule_refuses_is_named() -> None:
    """Not only severity: any label that Prometheus always gives it."""
    [file] = [file for file in BAD if file.stem == "rule-of-a-severity"]
    raised = [Raised("KubePodCrashLooping", {"alertname": "KubePodCrashLooping", "severity": "critical"})]
    wanted = planted(file)
    assert wanted.rules is not None
    config = read_config(str(file), file.read_bytes())
    assert review_routing(config, load_rules(wanted.rules), raised) == []


def test_any_label_that_an_alert_never_has_is_named() -> None:
    [good] = [file for file in GOOD if file.stem == "plain"]
    given = {"match": ['alertname="A"', 'team="b"'], "severity": 1, "name": "x", "respond": [{"do": "escalate"}]}
    raised = [Raised("A", {"alertname": "A", "team": "a"})]
    found = review_routing(
        read_config(str(good), good.read_bytes()), rule_set([Rule.model_validate(given)]), raised, receiver="remediator"
    )
    assert [one.code for one in found] == ["label-never-raised"]
    assert 'it matches team="b", but A is raised with team=a (kube-prometheus)' in found[0].text


def test_a_rule_that_still_sees_some_of_its_alerts_is_a_warning() -> None:
    """Errors above 10 % are critical, above 5 % a warning: only the first arrive, which may be meant."""
    [file] = [file for file in BAD if file.stem == "severity"]
    found = review_routing(read_config(str(file), file.read_bytes()), only("error-rate"), RAISED, watchdog=WATCHDOG)
    assert [(one.code, one.level.value) for one in found] == [("severity-not-routed", "warning")]
    assert "RemediatorHighErrorRate is also raised as warning: not seen by 'error-rate'" in found[0].text


def only(name: str) -> RuleSet:
    return rule_set([rule for rule in TABLE.rules if rule.name == name])


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Kube|CPUThrottlingHigh", "expressions are anchored: write Kube.* for what begins with Kube"),
        ("kubepodcrashlooping", "'kubepodcrashlooping' is written 'KubePodCrashLooping'"),
        ("Other.*", 'alertname=~"Other.*" does not let KubePodCrashLooping through; add it'),
    ],
)
def test_why_a_name_does_not_pass(written: str, said: str) -> None:
    [good] = [file for file in GOOD if file.stem == "plain"]
    text = good.read_text(encoding="utf-8").replace("Kube.*|CPUThrottlingHigh|Remediator.*", written)
    found = review_routing(read_config("am.yml", text.encode()), only("crash-loop"), RAISED, watchdog=WATCHDOG)
    assert [(one.code, one.hint) for one in found] == [("not-routed", said)]
