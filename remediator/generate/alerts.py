"""`generate prometheus-rules` and `generate mixin`: alerting rules as text, from the groups beside this.

A group is a file of `groups/`, as it stands in a rule file of Prometheus, with its comments. `prometheus-rules` takes
those whose alerts a rule of the table waits for; `mixin` is about remediator itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files

import yaml

from remediator.errors import ConfigError
from remediator.generate.promtool import unit_tests
from remediator.generate.routing import covered, literal
from remediator.model import Json
from remediator.rules.matcher import Op
from remediator.rules.ruleset import RuleSet, alertnames

NEEDED = ("workloads", "errors", "latency", "memory", "pods", "services", "database")
"""The groups whose alerts rules are about, in the order of the output."""

OWN = ("remediator",)
AWAITED = "@AWAITED@"
"""Stands in a group for the alertnames of the table, as a quoted expression of PromQL."""

_RECORD = re.compile(r"record: (\S+)")
LABELS: Mapping[str, str] = {"prometheus": "k8s", "role": "alert-rules"}
"""What kube-prometheus selects rules by."""


class Form(StrEnum):
    OPERATOR = "prometheusrule"
    PLAIN = "plain"
    TESTS = "tests"


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a PrometheusRule goes, and the labels by which its Prometheus finds it."""

    name: str
    namespace: str = "monitoring"
    labels: Mapping[str, str] | None = None


def needed(table: RuleSet, form: Form, placed: Placed) -> str:
    """The alerts that the table waits for and that we ship. Raises ConfigError where it waits for none of them."""
    wanted = [name for name in NEEDED if any(_is_awaited(alert, table) for alert in _alerts(name))]
    if not wanted:
        raise ConfigError("no rule waits for an alert that is shipped here; the alerts of these rules come from others")
    groups = _with_records(wanted)
    if form is Form.TESTS:
        return _tests(groups, table, rules_file="remediator.rules.yaml")
    texts = [_text(name) for name in groups]
    return _assembled([*_commented(_ABOUT_NEEDED), *_others(table)], texts, form, placed)


def own(table: RuleSet, form: Form, placed: Placed) -> str:
    """The alerts about remediator itself; one of them asks whether the alerts of this table reach it."""
    if form is Form.TESTS:
        return _tests(OWN, table, rules_file="remediator.mixin.yaml")
    return _assembled([*_commented(_ABOUT_OWN)], [_filled(_text(name), table) for name in OWN], form, placed)


def _tests(groups: Sequence[str], table: RuleSet, *, rules_file: str) -> str:
    rules = [
        rule
        for name in groups
        for group in yaml.safe_load(_filled(_text(name), table))
        for rule in group["rules"]
        if "alert" in rule
    ]
    awaited = min((name for one in covered(table) for name in one.names or ()), default=None)
    return unit_tests(groups, rules_file=rules_file, rules=rules, awaited=awaited)


def shipped_alerts() -> frozenset[str]:
    """The alertnames that the groups for rules define."""
    return frozenset(alert for name in NEEDED for alert in _alerts(name))


_ABOUT_NEEDED = """
The alerts of the rules that kubernetes-mixin has none for: errors, latency, memory, pods that all wait, services with
nobody behind them, databases out of reach. Made by `remediator generate prometheus-rules`.

With the Prometheus Operator: kubectl apply -f FILE. The labels in `metadata` are those that kube-prometheus selects;
the chart kube-prometheus-stack wants `--label release=<name of its release>` instead.
Without it: `--form plain > remediator.rules.yaml`, and name that file under `rule_files`.

Every alert names its namespace and its workload (`deployment`, `statefulset` or `daemonset`; memory: `pod`), since that
is what remediator acts on. `cluster` is kept where the series have it.

To adapt. The recording rules read what others export, the alerts only what is recorded, but for memory and pods. So
another metric is one change, in one place, and a threshold is the last number of an alert:
  http_requests_total            counter; status in `code`, `status` or `status_code` ("500", "5xx")
  http_request_duration_seconds  classic histogram. OpenTelemetry: http_server_request_duration_seconds, whose _count
                                 with `http_response_status_code` also serves as the counter above
  db_connection_errors_total     counter; of the application, beside those of HikariCP and of OpenTelemetry
  kube_*                         kube-state-metrics with `honorLabels: true`, as kube-prometheus and its chart scrape it
  container_memory_*             cAdvisor, from the kubelet
The first three must carry `namespace` and `pod`, as every ServiceMonitor and PodMonitor attaches them.

A critical alert does not take its warning away: that is an inhibition in Alertmanager, which kube-prometheus has
(critical over warning, equal: [namespace, alertname]). remediator itself works on one alert of a workload at a time.
"""
_ABOUT_OWN = """
Alerts about remediator itself: is it there, does it hear, can it store and prove, does anybody answer.
Made by `remediator generate mixin`, for a Prometheus that scrapes its /metrics. For people: no rule takes them.
Each has a `runbook`: what it means, where to look, what to do.
"""


def _others(table: RuleSet) -> Iterator[str]:
    """What the table waits for and others have to ship."""
    listed = {name for rule in table.rules for name in alertnames(rule) or ()}
    if elsewhere := sorted(listed - shipped_alerts()):
        yield "#"
        yield "# Not in here, since kubernetes-mixin (kube-prometheus, kube-prometheus-stack) or you have them:"
        yield from (f"#   {name}" for name in elsewhere)


def _assembled(about: Sequence[str], groups: Sequence[str], form: Form, placed: Placed) -> str:
    if form is Form.PLAIN:
        return "\n".join([*about, "groups:", "\n".join(_indented(text, 2) for text in groups)])
    head = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {
            "name": placed.name,
            "namespace": placed.namespace,
            "labels": {
                "app.kubernetes.io/name": "remediator",
                "app.kubernetes.io/part-of": "remediator",
                **(LABELS if placed.labels is None else placed.labels),
            },
        },
    }
    top = yaml.safe_dump(head, sort_keys=False).rstrip("\n")
    return "\n".join([*about, top, "spec:", "  groups:", "\n".join(_indented(text, 4) for text in groups)])


def as_json(text: str) -> Json:
    """The same as values."""
    return yaml.safe_load(text)


def _commented(text: str) -> Iterator[str]:
    for line in text.strip("\n").splitlines():
        yield f"# {line}".rstrip()


def _indented(text: str, spaces: int) -> str:
    return "".join(f"{' ' * spaces}{line}" if line.strip() else line for line in text.splitlines(keepends=True))


def _with_records(wanted: Sequence[str]) -> Sequence[str]:
    """The groups, and those that record what they read."""
    chosen = set(wanted)
    while True:
        more = {name for name in NEEDED if name not in chosen and any(_reads(_text(one), name) for one in chosen)}
        if not more:
            return [name for name in NEEDED if name in chosen]
        chosen |= more


def _reads(text: str, group: str) -> bool:
    return any(record in text for record in _RECORD.findall(_text(group)))


def _is_awaited(alert: str, table: RuleSet) -> bool:
    return any(
        all(one.matches_value(alert) for one in rule.matchers if one.name == "alertname") for rule in table.rules
    )


def _filled(text: str, table: RuleSet) -> str:
    names = [
        one for each in covered(table) if each.names is not None for one in each.matchers if one.name == "alertname"
    ]
    expression = "|".join(one.value if one.op is Op.REGEX else literal(one.value) for one in names) or ".+"
    return text.replace(AWAITED, "'" + expression.replace("\\", "\\\\").replace("'", "\\'") + "'")


def _alerts(group: str) -> Sequence[str]:
    return re.findall(r"^ *- alert: (\S+)$", _text(group), re.MULTILINE)


@cache
def _text(group: str) -> str:
    return (files("remediator.generate") / "groups" / f"{group}.yaml").read_text(encoding="utf-8")
