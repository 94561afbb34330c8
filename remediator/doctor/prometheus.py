"""Prometheus: whether it answers, has the alerts that the rules wait for, and the series that evidence needs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

from remediator.doctor.base import Answer, Asked, Examination, Result, failed, ok, skipped, warning
from remediator.errors import ConfigError, RemediatorError, cut
from remediator.prometheus.base import AlertingRule, Metrics
from remediator.prometheus.client import PrometheusMetrics
from remediator.rules.ruleset import RuleSet, alertnames
from remediator.rules.schema import Rule

SERVER, ALERTS, SERIES = "prometheus", "prometheus-alerts", "kube-state-metrics"
SHIPPED = "Remediator"
NEEDED_SERIES: Mapping[str, str] = {
    "kube_pod_info": "kube-state-metrics",
    "kube_pod_owner": "kube-state-metrics",
    "kube_pod_status_phase": "kube-state-metrics",
    "kube_replicaset_owner": "kube-state-metrics",
    "kube_deployment_spec_replicas": "kube-state-metrics",
    "kube_node_status_condition": "kube-state-metrics",
    "container_memory_working_set_bytes": "the kubelet (cAdvisor)",
}
"""Metric -> who exports it. Every cluster has such series, so that none means that nobody scrapes them."""

PRESENT = f'count by (__name__) ({{__name__=~"{"|".join(NEEDED_SERIES)}"}})'
RENAMED = 'count(kube_pod_owner{exported_namespace!=""})'


async def run(asked: Asked) -> AsyncIterator[Result]:
    settings = asked.settings
    if settings.prometheus_url is None:
        told = "not configured: trends, baselines and whether an alert still fires are unknown, so that nothing is done"
        yield warning(SERVER, told, "set prometheus_url")
        yield skipped(ALERTS, "there is no Prometheus")
        yield skipped(SERIES, "there is no Prometheus")
        return
    try:
        metrics = PrometheusMetrics(
            settings.prometheus_url,
            asked.clock,
            token_file=settings.prometheus_token_file,
            ca_file=settings.prometheus_ca_file,
            read_seconds=asked.limit_seconds / 2,
        )
    except ConfigError as error:
        yield failed(SERVER, str(error), "correct the prometheus_ settings")
        return
    try:
        server = await _server(metrics)
        yield server
        if server.answer is Answer.FAILED:
            return
        yield await _alerts(metrics, asked.rules)
        yield await _series(metrics)
    finally:
        await metrics.close()


async def _server(metrics: Metrics) -> Result:
    try:
        await metrics.alerting_rules("Watchdog")  # says why not, where `/-/ready` only says no
    except RemediatorError as error:
        remedy = "curl URL/api/v1/rules from the same place; kube-prometheus' own NetworkPolicy lets nobody else in"
        return failed(SERVER, cut(str(error)), remedy)
    if not await metrics.is_ready():
        return warning(SERVER, "it answers and says that it is not ready", "wait: after a start it replays its log")
    return ok(SERVER, "it answers, and its rules can be read")


async def _alerts(metrics: Metrics, table: RuleSet | None) -> Result:
    """Each alertname of the table: is there a rule for it in Prometheus, and could ours take what it raises?"""
    if table is None:
        return skipped(ALERTS, "the rules cannot be loaded")
    names = sorted({name for rule in table.rules for name in alertnames(rule) or ()})
    async with asyncio.TaskGroup() as group:
        tasks = {name: group.create_task(_loaded(metrics, name)) for name in names}
    answered = {name: task.result() for name, task in tasks.items()}
    loaded = {name: found for name, found in answered.items() if not isinstance(found, str)}
    if unknown := [found for found in answered.values() if isinstance(found, str)]:
        return failed(ALERTS, f"{len(unknown)} of {len(names)} alerts cannot be asked for: {unknown[0]}", "try again")
    lines = tuple(line for rule in table.rules for line in faults_of(rule, loaded))
    missing = [name for name, found in loaded.items() if not found]
    if names and len(missing) == len(names):
        return failed(
            ALERTS, f"none of the {len(names)} alerts of the rules is loaded", _shipped_by(missing), lines=lines
        )
    if missing:
        told = f"{len(missing)} of {len(names)} alerts of the rules are not loaded: {', '.join(missing)}"
        return warning(ALERTS, told, _shipped_by(missing), lines=lines)
    if lines:
        return warning(ALERTS, lines[0], "change the rule's `match`, or the label in Prometheus", lines=lines)
    return ok(ALERTS, f"all {len(names)} alerts of the rules are loaded")


async def _loaded(metrics: Metrics, name: str) -> Sequence[AlertingRule] | str:
    """The alerting rules of that name, or why they cannot be asked for."""
    try:
        return await metrics.alerting_rules(name)
    except RemediatorError as error:
        return cut(str(error))


def faults_of(rule: Rule, loaded: Mapping[str, Sequence[AlertingRule]]) -> Sequence[str]:
    """Why this rule can never take an alert of one of its names, and what is wrong with those that raise it. Pure."""
    faults = []
    for name in sorted(alertnames(rule) or ()):
        found = loaded.get(name, ())
        if not found:
            faults.append(f"rule {rule.name} waits for {name}, which is not loaded")
            continue
        # Labels that the alerting rule itself sets are known; those of its series are not.
        known = [{**one.labels, "alertname": name} for one in found if "{{" not in "".join(one.labels.values())]
        asked = [each for each in rule.matchers if all(each.name in labels for labels in known)]
        wrong = [each for each in asked if known and not any(each.matches(labels) for labels in known)]
        if wrong:
            is_label = wrong[0].name
            raised = ", ".join(sorted({labels[is_label] for labels in known}))
            faults.append(f"rule {rule.name} asks for {wrong[0]}, and {name} is raised with {is_label} {raised}")
        faults += [
            f"{name} is {one.health} in Prometheus: its expression fails" for one in found if one.health == "err"
        ]
    return faults


def _shipped_by(missing: Sequence[str]) -> str:
    ours = any(name.startswith(SHIPPED) for name in missing)
    theirs = any(not name.startswith(SHIPPED) for name in missing)
    ways = ["`remediator generate prometheus-rules` has those that begin with Remediator"] if ours else []
    return "; ".join([*ways, *(["kubernetes-mixin (kube-prometheus) has the others"] if theirs else [])])


async def _series(metrics: Metrics) -> Result:
    try:
        found = {sample.labels.get("__name__", "") for sample in await metrics.query(PRESENT)}
        renamed = await metrics.query(RENAMED)
    except RemediatorError as error:
        return warning(SERIES, f"cannot be asked: {cut(str(error))}", "run the query by hand: " + PRESENT)
    missing = {name: source for name, source in NEEDED_SERIES.items() if name not in found}
    if missing:
        told = f"no series of {', '.join(missing)}"
        sources = " and ".join(dict.fromkeys(missing.values()))
        return (failed if len(missing) == len(NEEDED_SERIES) else warning)(
            SERIES, told, f"let Prometheus scrape {sources}"
        )
    if any(sample.value for sample in renamed):
        told = "kube-state-metrics is scraped without `honorLabels`: its own names are in `namespace` and `pod`"
        return warning(SERIES, told, "set `honorLabels: true` in its ServiceMonitor, or alerts name the exporter")
    return ok(SERIES, f"all {len(NEEDED_SERIES)} kinds of series are there")


PROMETHEUS = Examination((SERVER, ALERTS, SERIES), run)
