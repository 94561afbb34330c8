"""Alertmanager: whether each replica answers, and whether the alerts that the rules wait for are sent to us, and the
watchdog often enough."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

from remediator.alertmanager.base import AlertmanagerUnavailable
from remediator.alertmanager.status import Replica, status_of
from remediator.doctor.base import Asked, Examination, Result, failed, ok, skipped, warning
from remediator.errors import ConfigError
from remediator.lint.noted import Noted
from remediator.lint.routing.alerts import upstream
from remediator.lint.routing.config import Config, Receiver, read_config
from remediator.lint.routing.reach import receivers_told
from remediator.lint.routing.watchdog import review_watchdog
from remediator.lint.routing.webhooks import review_webhooks
from remediator.rules.matcher import Matcher
from remediator.rules.report import FileError, Level, Problem
from remediator.rules.ruleset import RuleSet, alertnames
from remediator.rules.schema import Rule
from remediator.watchdog import Awaited, awaited

SERVER, ROUTE = "alertmanager", "alertmanager-route"
SEVERITIES = ("critical", "warning")
"""Those of the alerts that people write rules for; `info` and `none` are seldom sent on."""

EXAMPLES = ("shop", "payments", "app", "")
REMEDY = "`remediator generate alertmanager-route` prints a route for these rules"
TRAP = "an AlertmanagerConfig gets `namespace=` of its own unless alertmanagerConfigMatcherStrategy is {type: None}"


async def run(asked: Asked) -> AsyncIterator[Result]:
    urls = asked.settings.alertmanager_urls
    if not urls:
        told = "not configured: silences that come after a delivery are not seen"
        yield warning(SERVER, told, "set alertmanager_urls to all replicas")
        yield skipped(ROUTE, "no Alertmanager is configured, so that its routes cannot be looked at")
        return
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_status(url, asked)) for url in urls]
    answers = [task.result() for task in tasks]
    replicas = [answer for answer in answers if isinstance(answer, Replica)]
    away = [answer for answer in answers if isinstance(answer, str)]
    yield _servers(replicas, away)
    if replicas:
        yield _reached(replicas[0].configuration, asked)


async def _status(url: str, asked: Asked) -> Replica | str:
    """The replica, or why it does not answer."""
    token_file, ca_file = asked.settings.alertmanager_token_file, asked.settings.alertmanager_ca_file
    limit = asked.limit_seconds * 0.8
    try:
        return await status_of(url, token_file=token_file, ca_file=ca_file, limit_seconds=limit)
    except (AlertmanagerUnavailable, ConfigError) as error:
        return str(error)


def _servers(replicas: Sequence[Replica], away: Sequence[str]) -> Result:
    if not replicas:
        return failed(SERVER, "; ".join(away), "check alertmanager_urls; curl URL/api/v2/status from the same place")
    told = f"{len(replicas)} of {len(replicas) + len(away)} replicas answer, version {replicas[0].version}"
    if away:
        return warning(
            SERVER, f"{told}: {'; '.join(away)}", "a replica that is away may know an alert that no other has"
        )
    if len({one.configuration for one in replicas}) > 1:
        return warning(SERVER, f"{told}, and their configurations differ", "reload all of them with the same file")
    return ok(SERVER, told)


def _reached(text: str, asked: Asked) -> Result:
    if asked.rules is None:
        return skipped(ROUTE, "the rules cannot be loaded")
    try:
        config = read_config("Alertmanager", text.encode())
    except FileError as error:
        return warning(ROUTE, f"its configuration is not understood: {error.problems[0].text}", "amtool check-config")
    known = {name: one for name, one in config.ours(asked.receiver).items() if one.webhooks}
    if not known:
        looked = (
            f"no receiver {asked.receiver}" if asked.receiver else "no webhook receiver with remediator in its name"
        )
        told = f"{looked}: nothing is sent here (Alertmanager hides the addresses of webhooks)"
        return failed(ROUTE, told, f"name yours with --receiver; {REMEDY}")
    try:
        watchdog = awaited(asked.settings)
    except ConfigError as error:
        return failed(ROUTE, str(error), "correct it in the settings, or write `watchdog: ''` to await none")
    return judged(asked.rules, config, known, watchdog=watchdog)


def judged(
    table: RuleSet,
    config: Config,
    known: Mapping[str, Receiver],
    *,
    watchdog: Awaited | None = None,
) -> Result:
    """Whether each rule's alerts are sent to one of our receivers, and the watchdog often enough. Pure."""
    lost, partly = [], []
    for rule in table.rules:
        for name in sorted(alertnames(rule) or ()):
            tried = _examples(rule, name)
            reached = [severity for severity, alert in tried if set(receivers_told(config.root, alert)) & set(known)]
            if tried and not reached:
                lost.append(f"rule {rule.name}: no route sends {name} to {', '.join(known)}")
            elif len(reached) < len(tried):
                partly.append(f"rule {rule.name}: {name} is sent here only with severity {', '.join(reached)}")
    noted = Noted()
    for receiver in known.values():
        review_webhooks(receiver, config, noted)
    traps = _told(problem for problem in noted.in_order() if problem.level is Level.ERROR)
    seldom = _told(_of_watchdog(config, known, watchdog)) if watchdog is not None else []
    lines = (*lost, *partly, *traps, *seldom)
    count = sum(len(alertnames(rule) or ()) for rule in table.rules)
    if lost:
        told = f"{len(lost)} of {count} alerts of the rules never reach us: {lost[0]}"
        remedy = f"{REMEDY}; {TRAP}" if any("/" in name for name in known) else REMEDY
        return (failed if len(lost) == count else warning)(ROUTE, told, remedy, lines=lines)
    if partly or traps or seldom:
        return warning(ROUTE, lines[0], REMEDY, lines=lines)
    hooks = sum(len(receiver.webhooks) for receiver in known.values())
    told = f"all {count} alerts of the rules are sent to {', '.join(known)} ({hooks} webhooks)"
    return ok(ROUTE, told)


def _of_watchdog(config: Config, known: Mapping[str, Receiver], watchdog: Awaited) -> Sequence[Problem]:
    """What `check alertmanager` says of it."""
    noted = Noted()
    routes = [route for route in config.root.all() if route.receiver in known]
    review_watchdog(config, routes, upstream(watchdog.name), watchdog, noted)
    return noted.in_order()


def _told(problems: Iterable[Problem]) -> Sequence[str]:
    return [f"{problem.text}; {problem.hint}" for problem in problems]


def _examples(rule: Rule, alertname: str) -> Sequence[tuple[str, Mapping[str, str]]]:
    """(severity, labels) of alerts that this rule takes; none where its matchers admit no value that we think of."""
    labels = {"alertname": alertname}
    for name in dict.fromkeys(each.name for each in rule.matchers if each.name not in ("alertname", "severity")):
        value = _value(name, rule.matchers)
        if value is None:
            return []
        labels[name] = value
    if not rule.target.node_scope:
        labels.setdefault("namespace", EXAMPLES[0])
    of_severity = [each for each in rule.matchers if each.name == "severity"]
    severities = [one for one in SEVERITIES if all(each.matches_value(one) for each in of_severity)]
    if not severities and (other := _value("severity", rule.matchers)):
        severities = [other]
    return [(one, {key: value for key, value in {**labels, "severity": one}.items() if value}) for one in severities]


def _value(name: str, matchers: Sequence[Matcher]) -> str | None:
    """A value of that label for which all of its matchers hold."""
    about = [each for each in matchers if each.name == name]
    offered = [value for each in about for value in sorted(each.accepted() or ())]
    return next((one for one in (*offered, *EXAMPLES) if all(each.matches_value(one) for each in about)), None)


ALERTMANAGER = Examination((SERVER, ROUTE), run)
