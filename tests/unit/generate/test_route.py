"""The route is made from the rules: every alert of the table comes, once, and people hear what they heard before."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from remediator.cli.main import app
from remediator.errors import ConfigError
from remediator.generate.route import Shape, Wanted, as_text, beside, child, into, operator
from remediator.generate.routing import covered
from remediator.lint.routing.config import Route, read_config
from remediator.lint.routing.reach import receivers_told
from remediator.lint.routing.review import review_routing
from remediator.model import Json
from remediator.rules.load import load_rules
from remediator.rules.match import match_labels
from remediator.rules.ruleset import RuleSet, alertnames
from remediator.rules.schema import Rule
from remediator.rules.shipped import shipped_rules
from remediator.settings import Settings
from remediator.watchdog import Awaited, awaited
from tests.cluster.binaries import Binaries

SHIPPED = load_rules(shipped_rules())
WANTED = Wanted("http://remediator.remediator.svc:9095/api/v1/alerts", token_file="/etc/alertmanager/token")
WATCHDOG = awaited(Settings.model_construct())
WATCHED = replace(WANTED, watchdog=WATCHDOG)
BARKS = {"alertname": "Watchdog", "severity": "none"}
ODD = """rules:
  - {name: one, match: ['alertname=~"A|B"', 'severity="critical"'], severity: 1, respond: [{do: escalate}]}
  - {name: two, match: ['alertname="B"', 'namespace!="x"'], severity: 1, respond: [{do: escalate}]}
  - {name: three, match: ['alertname="It''s.C\\\\D"'], severity: 1, respond: [{do: escalate}]}
  - {name: four, match: ['team="web"'], severity: 1, respond: [{do: escalate}]}
  - {name: five, match: ['alertname=~"E.*"', 'team=~"db|web"'], severity: 1, respond: [{do: escalate}]}
"""
EXISTING = """# ours
global: {resolve_timeout: 5m}
route:
  receiver: pager      # whoever is on call
  group_by: [alertname]
  routes:
    - receiver: "null"
      matchers: ['alertname="Watchdog"']
    - receiver: chat
      matchers: ['severity="warning"']
      continue: true
    - receiver: database
      matchers: ['alertname="RemediatorDatabaseErrors"']
receivers:
  - name: pager
  - name: chat
  - name: database
  - name: "null"
"""


@pytest.fixture
def odd(tmp_path: Path) -> RuleSet:
    file = tmp_path / "rules.yaml"
    file.write_text(ODD, encoding="utf-8")
    return load_rules(file)


def tables(odd: RuleSet) -> list[RuleSet]:
    return [SHIPPED, odd]


def labels_to_try(table: RuleSet) -> list[dict[str, str]]:
    names = {name for rule in table.rules for name in alertnames(rule) or ()} | {"Watchdog", "Else", "It's.C\\D", "Eq"}
    rest = product(("shop", "kube-system", "x", ""), ("critical", "warning", "info", ""), ("web", "db", ""))
    return [
        {key: value for key, value in {"namespace": n, "severity": s, "team": t}.items() if value} | {"alertname": name}
        for n, s, t in rest
        for name in sorted(names)
    ]


def tree_of(configuration: Json) -> Route:
    return read_config("alertmanager.yml", yaml.safe_dump(configuration).encode()).root


def told(tree: Route, labels: Mapping[str, str]) -> list[str]:
    return list(receivers_told(tree, labels))


def test_every_alert_that_a_rule_takes_is_sent_and_people_hear_everything(odd: RuleSet) -> None:
    for table in tables(odd):
        tree = tree_of(beside(table, WANTED))
        for labels in labels_to_try(table):
            receivers = told(tree, labels)
            assert receivers.count("people") == 1
            if isinstance(match_labels(labels, table), Rule):
                assert "remediator" in receivers, labels


def test_no_alert_of_a_listed_name_comes_twice(odd: RuleSet) -> None:
    for table in tables(odd):
        tree = tree_of(beside(table, WANTED))
        for labels in labels_to_try(table):
            if labels["alertname"] in {name for one in covered(table) for name in one.names or ()} and not labels.get(
                "team"
            ):
                assert told(tree, labels).count("remediator") <= 1, labels


def test_what_no_rule_takes_is_left_out_where_the_matchers_can_say_so() -> None:
    tree = tree_of(beside(SHIPPED, WANTED))
    assert told(tree, {"alertname": "Watchdog", "severity": "none"}) == ["people"]
    assert told(tree, {"alertname": "KubePodCrashLooping", "namespace": "kube-system"}) == ["people"]
    assert told(tree, {"alertname": "KubeNodeNotReady"}) == ["remediator", "people"]


def test_names_that_mean_something_in_an_expression_are_taken_literally(odd: RuleSet) -> None:
    tree = tree_of(beside(odd, WANTED))
    assert "remediator" in told(tree, {"alertname": "It's.C\\D"})
    assert told(tree, {"alertname": "It'sxC\\D"}) == ["people"]


def test_one_alert_is_one_body_and_nothing_of_it_is_cut() -> None:
    [*ours, people] = beside(SHIPPED, WANTED)["route"]["routes"]
    assert all(route["group_by"] == ["..."] and route["continue"] for route in ours)
    assert people == {"receiver": "people"}
    [webhook] = beside(SHIPPED, WANTED)["receivers"][1]["webhook_configs"]
    assert (webhook["send_resolved"], webhook["max_alerts"]) == (True, 0)
    assert webhook["http_config"] == {
        "authorization": {"credentials_file": "/etc/alertmanager/token"},
        "follow_redirects": False,
    }


def test_the_parts_go_into_a_tree_that_exists_and_people_still_hear_what_they_heard() -> None:
    text = into(EXISTING, SHIPPED, WANTED, file="alertmanager.yml")
    before, after = (tree_of(yaml.safe_load(one)) for one in (EXISTING, text))
    for labels in labels_to_try(SHIPPED):
        heard = [one for one in told(after, labels) if one != "remediator"]
        # The one exception, told in the comment: what a route with `continue` took reaches the root's receiver as well.
        assert heard == told(before, labels) or heard == [*told(before, labels), "pager"], labels
        assert set(heard) - set(told(before, labels)) <= ({"pager"} if labels.get("severity") == "warning" else set())
        if isinstance(match_labels(labels, SHIPPED), Rule):
            assert "remediator" in told(after, labels)
    assert "# whoever is on call" in text
    assert text.startswith("# ours\n")


def test_without_the_last_routes_people_would_not_hear() -> None:
    """The negative control: what the parts named `last` are for."""
    parts = child(SHIPPED, WANTED)
    alone = {"route": {"receiver": "pager", "routes": parts["first"]}}
    whole = {
        "route": {
            "receiver": "pager",
            "routes": [*parts["first"], *child(SHIPPED, Wanted("http://x", people="pager"))["last"]],
        }
    }
    labels = {"alertname": "KubeNodeNotReady"}
    assert told(tree_of(alone), labels) == ["remediator"]
    assert told(tree_of(whole), labels) == ["remediator", "pager"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[]", "no `route`"),
        ("route: {}", "no `route` with a receiver"),
        ("route: {receiver: a}\nreceivers: {}", "must be lists"),
        ("route: {receiver: a}\nreceivers: [{name: remediator}]", "already"),
        ("route: [", "alertmanager.yml"),
    ],
)
def test_a_file_that_cannot_take_them_is_said(text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        into(text, SHIPPED, WANTED, file="alertmanager.yml")


def test_the_operator_gets_one_object_for_each_route_and_the_trap_is_told() -> None:
    objects = operator(SHIPPED, Wanted("http://r/api/v1/alerts", token_secret="token-of-us/key"))
    assert [one["metadata"]["name"] for one in objects] == ["remediator", "remediator-2"]
    for one in objects:
        route = one["spec"]["route"]
        assert route["groupBy"] == ["..."]
        assert route["groupInterval"] == "30s"
        assert {each["matchType"] for each in route["matchers"]} <= {"=", "!=", "=~", "!~"}
        [receiver] = one["spec"]["receivers"]
        assert receiver["name"] == route["receiver"]
        [hook] = receiver["webhookConfigs"]
        assert hook["httpConfig"]["authorization"]["credentials"] == {"name": "token-of-us", "key": "key"}
    text = as_text(Shape.OPERATOR, SHIPPED, WANTED)
    assert "alertmanagerConfigMatcherStrategy: {type: None}" in text
    assert list(yaml.safe_load_all(text)) == list(operator(SHIPPED, WANTED))


def test_as_the_operator_renders_it_with_the_strategy_none_all_arrives() -> None:
    """First-level routes of the operator, put first, with `continue: true`; people have a route of their own."""
    rendered = [
        {
            "receiver": f"monitoring/{one['metadata']['name']}/{one['spec']['route']['receiver']}",
            "matchers": [f'{m["name"]}{m["matchType"]}"{m["value"]}"' for m in one["spec"]["route"]["matchers"]],
            "continue": True,
        }
        for one in operator(SHIPPED, WANTED)
    ]
    tree = tree_of({"route": {"receiver": "root", "routes": [*rendered, {"receiver": "people"}]}})
    for labels in labels_to_try(SHIPPED):
        if isinstance(match_labels(labels, SHIPPED), Rule):
            assert any(one.endswith("/remediator") for one in told(tree, labels))
            assert "people" in told(tree, labels)


# --- the watchdog


def patient(absent: float, confirm: float, matchers: str = 'alertname="Watchdog"') -> Awaited:
    settings = Settings.model_construct(
        watchdog=matchers, watchdog_absent_seconds=absent, watchdog_confirm_seconds=confirm
    )
    found = awaited(settings)
    assert found is not None
    return found


def test_the_watchdog_comes_to_us_and_to_whom_it_came_before() -> None:
    tree = tree_of(beside(SHIPPED, WATCHED))
    assert told(tree, BARKS) == ["remediator", "people"]
    existing = tree_of(yaml.safe_load(into(EXISTING, SHIPPED, WATCHED, file="x")))
    assert told(existing, BARKS) == ["remediator", "null"], "a dead man's switch still gets it"
    without = EXISTING.replace("Watchdog", "Else")
    assert told(tree_of(yaml.safe_load(into(without, SHIPPED, WATCHED, file="x"))), BARKS) == ["remediator", "pager"]


def test_where_none_is_awaited_there_is_no_route_for_it() -> None:
    given_up = replace(WANTED, watchdog=awaited(Settings.model_construct(watchdog=" ")))
    assert told(tree_of(beside(SHIPPED, given_up)), BARKS) == ["people"]
    assert "Watchdog" not in as_text(Shape.BESIDE, SHIPPED, given_up)


def test_it_is_the_alert_that_the_settings_name() -> None:
    named = replace(WANTED, watchdog=patient(900, 120, 'alertname="Heart.Beat",prometheus=~"monitoring/.*"'))
    tree = tree_of(beside(SHIPPED, named))
    assert told(tree, {"alertname": "Heart.Beat", "prometheus": "monitoring/k8s"}) == ["remediator", "people"]
    assert told(tree, {"alertname": "Heart.Beat", "prometheus": "other/k8s"}) == ["people"]
    assert told(tree, BARKS) == ["people"]


@pytest.mark.parametrize(
    ("absent", "confirm", "group", "repeat"),
    [(900, 120, "30s", "2m"), (86400, 3600, "30s", "2m"), (300, 120, "30s", "1m15s"), (60, 10, "5s", "15s")],
)
def test_it_comes_as_often_as_it_is_awaited(absent: float, confirm: float, group: str, repeat: str) -> None:
    wanted = replace(WANTED, watchdog=patient(absent, confirm))
    route = beside(SHIPPED, wanted)["route"]["routes"][-2]
    assert (route["group_wait"], route["group_interval"], route["repeat_interval"]) == ("0s", group, repeat)
    assert (route["continue"], route["group_by"]) == (True, ["..."])


@pytest.mark.parametrize("absent", [30, 61, 299, 900, 86400])
@pytest.mark.parametrize("confirm", [3, 59, 120, 3600])
def test_the_lint_is_content_with_what_is_made(absent: float, confirm: float) -> None:
    watchdog = patient(absent, confirm)
    wanted = replace(WANTED, watchdog=watchdog)
    made = beside(SHIPPED, wanted)
    made["receivers"][0]["email_configs"] = [{"to": "sre@example.com"}]
    for text in (yaml.safe_dump(made), into(EXISTING, SHIPPED, wanted, file="x")):
        found = review_routing(read_config("am.yml", text.encode()), SHIPPED, (), watchdog=watchdog)
        assert [str(one) for one in found if one.code.startswith("watchdog")] == []
    assert [str(one) for one in review_routing(read_config("am.yml", yaml.safe_dump(made).encode()), SHIPPED, ())] == []
    without = yaml.safe_dump(beside(SHIPPED, WANTED))
    found = review_routing(read_config("am.yml", without.encode()), SHIPPED, (), watchdog=watchdog)
    assert "watchdog-not-routed" in [one.code for one in found], "the control"


def test_the_operator_gets_an_object_for_it_whose_name_stays() -> None:
    *_, last = operator(SHIPPED, WATCHED)
    assert last["metadata"]["name"] == "remediator-watchdog"
    route = last["spec"]["route"]
    assert route["matchers"] == [{"name": "alertname", "value": "Watchdog", "matchType": "="}]
    assert (route["groupWait"], route["groupInterval"], route["repeatInterval"]) == ("0s", "30s", "2m")
    assert list(yaml.safe_load_all(as_text(Shape.OPERATOR, SHIPPED, WATCHED))) == list(operator(SHIPPED, WATCHED))


def test_the_command_reads_the_settings_for_it(tmp_path: Path) -> None:
    """And without a file it is kube-prometheus' Watchdog, as for the service."""
    for text, lines in (("", 1), ("watchdog: alertname=Beat\nwatchdog_absent_seconds: 60\n", 0), ('watchdog: ""\n', 0)):
        file = tmp_path / "settings.yaml"
        file.write_text(text, encoding="utf-8")
        given = ["--config.file", str(file)] if text else []
        printed = CliRunner().invoke(app, ["generate", "alertmanager-route", *given]).stdout
        assert printed.count('alertname="Watchdog"') == lines
        assert ('alertname="Beat"' in printed, "repeat_interval: 15s" in printed) == (("Beat" in text),) * 2
    file.write_text('watchdog: severity="none"\n', encoding="utf-8")
    done = CliRunner().invoke(app, ["generate", "alertmanager-route", "--config.file", str(file)])
    assert (done.exit_code, done.stdout) == (1, "")
    assert 'expected matchers with alertname="NAME"' in done.stderr


def check_config(binaries: Binaries, file: Path) -> str:
    done = subprocess.run(
        [binaries["amtool"], "check-config", file], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.cluster  # builds amtool where it is not built yet
@pytest.mark.parametrize("which", ["beside", "child", "odd"])
def test_amtool_accepts_it(binaries: Binaries, tmp_path: Path, odd: RuleSet, which: str) -> None:
    file = tmp_path / "alertmanager.yml"
    if which == "child":
        file.write_text(into(EXISTING, SHIPPED, WATCHED, file="x"), encoding="utf-8")
    else:
        file.write_text(as_text(Shape.BESIDE, odd if which == "odd" else SHIPPED, WATCHED), encoding="utf-8")

    assert "SUCCESS" in check_config(binaries, file)


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("alert", "receivers"),
    [
        ({"alertname": "KubePodCrashLooping", "namespace": "shop", "severity": "warning"}, "remediator,chat,pager"),
        ({"alertname": "RemediatorDatabaseErrors", "namespace": "shop", "severity": "critical"}, "remediator,database"),
        ({"alertname": "KubeNodeNotReady"}, "remediator,pager"),
        ({"alertname": "Watchdog", "severity": "none"}, "remediator,null"),
        ({"alertname": "Else"}, "pager"),
    ],
)
def test_amtool_walks_the_tree_as_we_do(
    binaries: Binaries, tmp_path: Path, alert: dict[str, str], receivers: str
) -> None:
    file = tmp_path / "alertmanager.yml"
    file.write_text(into(EXISTING, SHIPPED, WATCHED, file="x"), encoding="utf-8")
    asked: list[Any] = [binaries["amtool"], "config", "routes", "test", f"--config.file={file}"]

    done = subprocess.run([*asked, *(f"{k}={v}" for k, v in alert.items())], capture_output=True, text=True, timeout=60)

    assert done.stdout.strip() == receivers
    assert ",".join(told(tree_of(yaml.safe_load(file.read_text())), alert)) == receivers
