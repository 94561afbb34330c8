"""`--form tests`: promtool's own unit tests for the alerts that are made, to run again after a threshold or a metric is
adapted.

The cases are files of `cases/`, each for the alerts of one group. Source: Prometheus "Unit testing for rules".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from remediator.model import Json

CASES: Mapping[str, Sequence[str]] = {
    "workloads": (),
    "errors": ("errors",),
    "latency": ("latency",),
    "memory": ("memory",),
    "pods": ("pending",),
    "services": ("endpoints",),
    "database": ("database",),
    "remediator": tuple(f"remediator-{what}" for what in ("reaching", "accepting", "deciding", "recording", "people")),
}
"""Group -> the files with its cases."""

AWAITED = "KubePodCrashLooping"
"""Stands in the cases for an alert that the table waits for."""


class _Plain(yaml.SafeDumper):
    """Without anchors: what a case has in common with another is written out."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def unit_tests(groups: Sequence[str], *, rules_file: str, rules: Sequence[Json], awaited: str | None) -> str:
    """The test file for these groups. `rules` are theirs, as loaded: a runbook of an alert is expected with it.

    `awaited` is an alertname that the table waits for; None: its rules list none, and no case speaks of one.
    """
    runbooks = {
        (rule["alert"], rule["labels"]["severity"]): rule["annotations"]["runbook"]
        for rule in rules
        if "runbook" in rule.get("annotations", {})
    }
    cases = [
        _completed(test, runbooks)
        for group in groups
        for name in CASES[group]
        for test in yaml.safe_load(_text(name, awaited or AWAITED))["tests"]
        if awaited is not None or AWAITED not in yaml.safe_dump(test)
    ]
    document = {"rule_files": [rules_file], "evaluation_interval": "1m", "tests": cases}
    return f"# promtool test rules FILE, beside {rules_file}\n" + yaml.dump(
        document, Dumper=_Plain, sort_keys=False, width=1000, allow_unicode=True
    )


def _completed(test: Json, runbooks: Mapping[tuple[str, str], str]) -> Json:
    for asked in test.get("alert_rule_test", ()):
        for alert in asked["exp_alerts"]:
            if (runbook := runbooks.get((asked["alertname"], alert["exp_labels"]["severity"]))) is not None:
                alert["exp_annotations"] = {**alert["exp_annotations"], "runbook": runbook}
    return test


@cache
def _text(name: str, awaited: str) -> str:
    text = (files("remediator.generate") / "cases" / f"{name}.yaml").read_text(encoding="utf-8")
    return text.replace(AWAITED, awaited)
