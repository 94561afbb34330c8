"""The alerts in `deploy/prometheus`: promtool finds no fault in them, they fire as told, and our rules understand them.

The cases of `generate prometheus-rules --form tests` and `tests/data/prometheus/*.yaml` are promtool's own unit tests.
What they expect to fire is given to our matching and target resolution too, so that an alert that fires is one that can
be answered.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from remediator.generate.alerts import NEEDED
from remediator.generate.promtool import CASES as OF_GROUP
from remediator.rules.load import load_rules
from remediator.rules.match import match_labels
from remediator.rules.ruleset import alertnames
from remediator.rules.schema import Rule
from remediator.rules.shipped import shipped_rules
from remediator.target.labels import Claim, claim
from tests.cluster.binaries import Binaries

ROOT = Path(__file__).parents[1]
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yaml"
CASES = ROOT / "remediator" / "generate" / "cases"
TESTS = sorted(
    [
        *(CASES / f"{name}.yaml" for group in NEEDED for name in OF_GROUP[group]),
        *(Path(__file__).parent / "data" / "prometheus").glob("*.yaml"),
    ]
)
RULES_FILE = "remediator.rules.yaml"
OURS = "Remediator"

TABLE = load_rules(shipped_rules())
Object = dict[str, Any]


def manifest() -> Object:
    loaded: Object = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))
    return loaded


def alerts() -> list[Object]:
    return [rule for group in manifest()["spec"]["groups"] for rule in group["rules"] if "alert" in rule]


def fired() -> Iterator[tuple[str, Object]]:
    """Alertname and labels of every alert that a test of promtool expects."""
    for file in TESTS:
        for test in yaml.safe_load(file.read_text(encoding="utf-8"))["tests"]:
            for asked in test.get("alert_rule_test", ()):
                for alert in asked["exp_alerts"]:
                    yield asked["alertname"], alert["exp_labels"]


FIRED = sorted({(name, tuple(sorted(labels.items()))) for name, labels in fired()})


@pytest.fixture
def rules_file(tmp_path: Path) -> Path:
    """The groups as a plain rule file, as somebody without the Prometheus Operator makes it."""
    file = tmp_path / RULES_FILE
    file.write_text(yaml.safe_dump(manifest()["spec"], sort_keys=False), encoding="utf-8")
    return file


def promtool(binaries: Binaries, *arguments: str | Path) -> str:
    """What it printed. Fails the test, with that, unless it is content."""
    done = subprocess.run([binaries["promtool"], *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.cluster  # builds promtool where it is not built yet
def test_promtool_finds_nothing_to_complain_of(binaries: Binaries, rules_file: Path) -> None:
    count = sum(len(group["rules"]) for group in manifest()["spec"]["groups"])

    said = promtool(binaries, "check", "rules", "--lint=all", "--lint-fatal", rules_file)

    assert f"{count} rules found" in said


@pytest.mark.cluster
@pytest.mark.parametrize("test", TESTS, ids=lambda path: path.stem)
def test_alerts_fire_where_they_should_and_only_there(binaries: Binaries, rules_file: Path, test: Path) -> None:
    copy = rules_file.parent / test.name
    copy.write_text(test.read_text(encoding="utf-8"), encoding="utf-8")

    promtool(binaries, "test", "rules", copy)


@pytest.mark.parametrize("severity", ["critical", "warning"])
def test_every_alert_of_a_severity_is_seen_to_fire(severity: str) -> None:
    shipped = {alert["alert"] for alert in alerts() if alert["labels"]["severity"] == severity}

    assert shipped == {name for name, labels in FIRED if dict(labels)["severity"] == severity}


@pytest.mark.parametrize("name", sorted({alert["alert"] for alert in alerts()}))
def test_every_alert_is_seen_not_to_fire(name: str) -> None:
    """A look-alike and missing data at least."""
    silent = [
        asked
        for file in TESTS
        for test in yaml.safe_load(file.read_text(encoding="utf-8"))["tests"]
        for asked in test.get("alert_rule_test", ())
        if asked["alertname"] == name and not asked["exp_alerts"]
    ]

    assert len(silent) >= 2


@pytest.mark.parametrize(("name", "labels"), FIRED)
def test_what_fires_has_a_rule_and_names_one_workload_or_pod(name: str, labels: tuple[tuple[str, str], ...]) -> None:
    found = match_labels({"alertname": name, **dict(labels)}, TABLE)

    assert isinstance(found, Rule)
    target = claim(dict(labels), found.target.spec())
    assert isinstance(target, Claim), target
    assert target.kind in ("Deployment", "StatefulSet", "DaemonSet", "Pod")
    assert target.namespace == dict(labels)["namespace"]


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: f"{alert['alert']}-{alert['labels']['severity']}")
def test_alert_and_rule_send_people_to_the_same_runbook(alert: Object) -> None:
    rule = match_labels({"alertname": alert["alert"], "namespace": "shop"}, TABLE)

    assert isinstance(rule, Rule)
    assert alert["annotations"]["runbook_url"] == rule.runbook_url
    assert {"summary", "description"} <= alert["annotations"].keys()


def test_our_rules_wait_for_no_alert_that_does_not_exist() -> None:
    asked = {name for rule in TABLE.rules for name in alertnames(rule) or () if name.startswith(OURS)}

    assert asked == {alert["alert"] for alert in alerts()}


def test_severities_of_the_alerts_are_in_the_table() -> None:
    assert {alert["labels"]["severity"] for alert in alerts()} <= TABLE.severities.labels.keys()


def test_the_files_apply_as_they_are() -> None:
    """What kustomize and the operator need, without either."""
    folder = ALERTS.parent
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))["resources"]

    assert [folder / name for name in listed] == [ALERTS, folder / "mixin.yaml"]
    for name in listed:
        one = yaml.safe_load((folder / name).read_text(encoding="utf-8"))
        assert (one["apiVersion"], one["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
