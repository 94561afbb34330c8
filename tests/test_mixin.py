"""The alerts about remediator itself: promtool finds no fault, each fires as told, each has a runbook.

`generate mixin --form tests` and `tests/data/mixin/*.yaml` are promtool's own unit tests. That the metrics exist is
asked of our own exposition.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from remediator.generate.alerts import Form, Placed, needed, own, shipped_alerts
from remediator.model import AlertStatus, Mode
from remediator.reasons import Reason
from remediator.rules.load import load_rules
from remediator.rules.match import match_labels
from remediator.rules.ruleset import RuleSet
from remediator.rules.schema import Rule
from remediator.rules.shipped import shipped_rules
from remediator.telemetry import Decided, Telemetry
from tests.cluster.binaries import Binaries
from tests.test_prometheus_rules import promtool

ROOT = Path(__file__).parents[1]
COMMITTED = ROOT / "deploy" / "prometheus"
OVER_DAYS = Path(__file__).parent / "data" / "mixin" / "remediator-over-days.yaml"
RULES_FILE = "remediator.mixin.yaml"
TABLE = load_rules(shipped_rules())
PLACED = Placed("remediator-itself")
OF_OTHERS = {"ALERTS"}

Object = dict[str, Any]


def groups() -> list[Object]:
    loaded = yaml.safe_load(own(TABLE, Form.PLAIN, PLACED))
    return list(loaded["groups"])


def alerts() -> list[Object]:
    return [rule for group in groups() for rule in group["rules"]]


def asked() -> Iterator[Object]:
    """Every question of a test of promtool: alertname, time, and the alerts that it expects."""
    for text in (own(TABLE, Form.TESTS, PLACED), OVER_DAYS.read_text(encoding="utf-8")):
        for test in yaml.safe_load(text)["tests"]:
            yield from test["alert_rule_test"]


@pytest.mark.cluster  # builds promtool where it is not built yet
@pytest.mark.parametrize("make", [own, needed], ids=["mixin", "prometheus-rules"])
def test_promtool_finds_nothing_to_complain_of(binaries: Binaries, tmp_path: Path, make: Any) -> None:
    text = make(TABLE, Form.PLAIN, PLACED)
    (tmp_path / RULES_FILE).write_text(text, encoding="utf-8")

    said = promtool(binaries, "check", "rules", "--lint=all", "--lint-fatal", tmp_path / RULES_FILE)

    count = sum(len(group["rules"]) for group in yaml.safe_load(text)["groups"])
    assert f"{count} rules found" in said


@pytest.mark.cluster
def test_alerts_fire_where_they_should_and_only_there(binaries: Binaries, tmp_path: Path) -> None:
    """As somebody runs them who was given both by us."""
    (tmp_path / RULES_FILE).write_text(own(TABLE, Form.PLAIN, PLACED), encoding="utf-8")
    tests = tmp_path / "tests.yaml"
    tests.write_text(own(TABLE, Form.TESTS, PLACED), encoding="utf-8")

    promtool(binaries, "test", "rules", tests)


@pytest.mark.cluster
def test_what_takes_days_fires_too(binaries: Binaries, tmp_path: Path) -> None:
    """Without the runbooks, which the test would only repeat."""
    plain = {"groups": groups()}
    for rule in plain["groups"][0]["rules"]:
        del rule["annotations"]["runbook"]
    (tmp_path / RULES_FILE).write_text(yaml.safe_dump(plain, sort_keys=False), encoding="utf-8")
    copy = tmp_path / OVER_DAYS.name
    copy.write_text(OVER_DAYS.read_text(encoding="utf-8"), encoding="utf-8")

    promtool(binaries, "test", "rules", copy)


@pytest.mark.cluster
def test_a_table_of_ones_own_gets_tests_that_hold(binaries: Binaries, tmp_path: Path) -> None:
    """Only of the groups that it needs, and about an alert that it waits for; with a changed threshold they fail."""
    table = written(tmp_path, "RemediatorAllPodsPending")
    plain = needed(table, Form.PLAIN, PLACED)
    (tmp_path / "remediator.rules.yaml").write_text(plain, encoding="utf-8")
    tests = tmp_path / "tests.yaml"
    tests.write_text(needed(table, Form.TESTS, PLACED), encoding="utf-8")
    promtool(binaries, "test", "rules", tests)

    (tmp_path / "remediator.rules.yaml").write_text(plain.replace("for: 5m", "for: 50m"), encoding="utf-8")
    with pytest.raises(AssertionError, match="FAILED"):
        promtool(binaries, "test", "rules", tests)


@pytest.mark.parametrize(("names", "spoken_of"), [(("MyOwn", "Else"), "Else"), ((None,), None)])
def test_the_path_is_tested_with_an_alert_of_the_table(
    tmp_path: Path, names: Sequence[str | None], spoken_of: str | None
) -> None:
    tests = yaml.safe_load(own(written(tmp_path, *names), Form.TESTS, PLACED))["tests"]
    awaited = {
        alert["exp_labels"]["awaited"]
        for test in tests
        for one in test["alert_rule_test"]
        for alert in one["exp_alerts"]
        if one["alertname"] == "RemediatorHearsNothing"
    }
    assert awaited == ({spoken_of} if spoken_of else set())


def written(folder: Path, *names: str | None) -> RuleSet:
    """A table of rules that wait for these; None: for whatever is the web team's."""
    rules = [
        {
            "name": f"rule-{number}",
            "match": ['team="web"' if name is None else f'alertname="{name}"'],
            "severity": 1,
            "respond": [{"do": "escalate"}],
        }
        for number, name in enumerate(names)
    ]
    file = folder / "rules.yaml"
    file.write_text(json.dumps({"rules": rules}), encoding="utf-8")
    return load_rules(file)


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: f"{rule['alert']}-{rule['labels']['severity']}")
def test_every_alert_is_seen_to_fire_and_not_to_fire(rule: Object) -> None:
    fired = [
        alert
        for one in asked()
        for alert in one["exp_alerts"]
        if one["alertname"] == rule["alert"] and alert["exp_labels"]["severity"] == rule["labels"]["severity"]
    ]
    silent = [one for one in asked() if one["alertname"] == rule["alert"] and not one["exp_alerts"]]

    assert fired
    assert len(silent) >= 2


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: f"{rule['alert']}-{rule['labels']['severity']}")
def test_every_alert_says_what_it_means_where_to_look_and_what_to_do(rule: Object) -> None:
    told = rule["annotations"]
    assert set(told) == {"summary", "description", "runbook"}
    assert [line.partition(":")[0] for line in told["runbook"].splitlines() if re.match(r"[A-Z][a-z]+: ", line)] == [
        "Means",
        "Look",
        "Do",
    ]
    assert rule["labels"]["severity"] in ("critical", "warning")


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: f"{rule['alert']}-{rule['labels']['severity']}")
def test_no_rule_of_ours_takes_an_alert_about_ourselves(rule: Object) -> None:
    labels = {"alertname": rule["alert"], "namespace": "remediator", **rule["labels"]}
    assert not isinstance(match_labels(labels, TABLE), Rule)
    assert rule["alert"] not in shipped_alerts()


def exposed() -> dict[str, set[str]]:
    """Metric -> its labels, of a service in which everything has happened once."""
    telemetry = Telemetry.create(version="1", mode=Mode.SILENT)
    touch(telemetry)
    _, text = telemetry.exposition("text/plain")
    telemetry.shutdown()
    found: dict[str, set[str]] = {}
    for line in text.decode().splitlines():
        if (series := re.match(r"(remediator_\w+?)(?:\{(.*)\})? ", line)) is not None:
            found.setdefault(series[1], set()).update(re.findall(r'(\w+)="', series[2] or ""))
    return found


def touch(telemetry: Telemetry) -> None:
    telemetry.alerts_received(AlertStatus.FIRING, 1)
    telemetry.alerts_outside_credential("shop", 1)
    telemetry.webhook_answered(200)
    telemetry.decided(rule="crash-loop", action="rollback", decision=Decided.FAILED)
    telemetry.held(rule="crash-loop", reason=Reason.LIMIT_USED)
    telemetry.notified("webhook")
    telemetry.notification_failed("webhook", error=TimeoutError)
    telemetry.reloaded(at_seconds=1, successful=True)
    telemetry.watchdog(last_seen_seconds=1, is_absent=True)
    telemetry.duty_failed("watch-rollouts")
    telemetry.log_stands(size=1, root=b"123456", anchored=1, is_sound=True, at_seconds=1)


def test_every_metric_of_the_alerts_exists_with_the_labels_that_are_asked_for() -> None:
    """A renamed metric would make its alert silent for good."""
    known = exposed()
    for rule in alerts():
        for metric, _, selected in re.findall(r"\b(remediator_\w+|ALERTS)(\{([^}]*)\})?", rule["expr"]):
            if metric in OF_OTHERS:
                continue
            assert metric in known, f"{rule['alert']} reads {metric}"
            assert set(re.findall(r"(\w+)(?:=|!)", selected)) <= known[metric]
        grouped = {name for some in re.findall(r"by \(([^)]*)\)", rule["expr"]) for name in some.split(", ")}
        read = {label for metric in re.findall(r"remediator_\w+", rule["expr"]) for label in known[metric]}
        assert grouped <= read | {"cluster", "namespace", "job", "awaited"}


def test_reasons_in_the_expressions_are_those_of_the_model() -> None:
    asked_for = [one for rule in alerts() for one in re.findall(r'reason=~?"([^"]*)"', rule["expr"])]
    assert {word for some in asked_for for word in some.split("|")} <= {reason.value for reason in Reason}


@pytest.mark.parametrize(
    ("file", "make", "name"),
    [("alerts.yaml", needed, "remediator"), ("mixin.yaml", own, "remediator-itself")],
)
def test_what_is_committed_is_what_comes_of_the_shipped_rules(file: str, make: Any, name: str) -> None:
    """To write it again: remediator generate prometheus-rules > deploy/prometheus/alerts.yaml, and mixin likewise."""
    assert (COMMITTED / file).read_text(encoding="utf-8") == make(TABLE, Form.OPERATOR, Placed(name))


def test_the_path_is_watched_for_the_alerts_of_the_table(tmp_path: Path) -> None:
    text = own(written(tmp_path, "It's.Mine"), Form.PLAIN, PLACED)

    (heard,) = [one for one in yaml.safe_load(text)["groups"][0]["rules"] if one["alert"] == "RemediatorHearsNothing"]
    assert r"alertname=~'It\'s\\.Mine'" in heard["expr"]
