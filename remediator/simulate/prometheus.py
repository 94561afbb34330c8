"""The embedded Prometheus: the query and rules API on loopback, over the embedded cluster's state.

It reads no PromQL. It answers expressions that it knows word for word, from the Python that belongs to them, and
everything else with an empty vector *and a warning*: nobody can take "not known here" for "no such series".
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import TracebackType
from typing import Self

from aiohttp import web

from remediator.clock import Clock, parse_rfc3339, rfc3339
from remediator.model import Json
from remediator.prometheus.base import Sample
from remediator.simulate.alertrules import Evaluate, Observed, Rule, kubernetes_rules
from remediator.simulate.loopback import Loopback

UNKNOWN = "the embedded Prometheus does not know this expression"
PAST = "the embedded Prometheus keeps no history"
LOOKBACK = timedelta(minutes=5)

NOT_SCRAPED = (
    "http_requests_total",
    "http_request_duration_seconds_bucket",
    "kube_replicaset_status_ready_replicas",
)
"""Metrics of applications, which expose none here, and of what ReplicaSets were: expressions over them are empty."""


class Trouble(StrEnum):
    """How it misbehaves."""

    NONE = "none"
    DOWN = "down"
    SLOW = "slow"
    GARBAGE = "garbage"


@dataclass(frozen=True, slots=True)
class ActiveAlert:
    """An alert of one rule; it fires from `fired_at` on, and is pending while that is None."""

    rule: Rule
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    value: float
    active_at: datetime
    fired_at: datetime | None


class EmbeddedPrometheus:
    """An async context manager; its rules are evaluated each `interval_seconds` of the clock."""

    def __init__(
        self,
        clock: Clock,
        cluster: Observed,
        *,
        rules: Sequence[Rule] | None = None,
        interval_seconds: float = 30.0,
        external_labels: Mapping[str, str] | None = None,
    ) -> None:
        self._clock = clock
        self._cluster = cluster
        self._rules = list(kubernetes_rules() if rules is None else rules)
        self._queries: dict[str, Evaluate] = {rule.expression: rule.evaluate for rule in self._rules}
        self._interval_seconds = interval_seconds
        self._external_labels = dict(external_labels or {})
        self._active: dict[tuple[str, str], ActiveAlert] = {}
        self._evaluated_at: datetime | None = None
        self._server = Loopback(self._serve, clock, tick=self.evaluate, tick_seconds=interval_seconds)
        self.trouble = Trouble.NONE
        self.slow_seconds = 30.0
        """How long an answer takes under `Trouble.SLOW`, in seconds of the clock."""

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.__aexit__(kind, error, trace)

    @property
    def url(self) -> str:
        return self._server.url

    def answer_query(self, expression: str, evaluate: Evaluate) -> None:
        """Make it know one more expression."""
        self._queries[expression] = evaluate

    def evaluate(self) -> None:
        """Evaluate all rules now."""
        now = self._clock.now()
        active: dict[tuple[str, str], ActiveAlert] = {}
        for rule in self._rules:
            for sample in rule.evaluate(self._cluster, now):
                labels = {**sample.labels, **rule.labels, "alertname": rule.name}
                key = (rule.name, json.dumps(labels, sort_keys=True))
                active[key] = _advanced(self._active.get(key), rule, labels, sample.value, now)
        self._active = active
        self._evaluated_at = now

    def alerts(self) -> Sequence[ActiveAlert]:
        """What fires after an evaluation now, with the external labels that Prometheus adds when it sends."""
        self.evaluate()
        return [
            ActiveAlert(
                rule=alert.rule,
                labels={**self._external_labels, **alert.labels},
                annotations=alert.annotations,
                value=alert.value,
                active_at=alert.active_at,
                fired_at=alert.fired_at,
            )
            for alert in self._active.values()
            if alert.fired_at is not None
        ]

    # --- HTTP

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        match self.trouble:
            case Trouble.DOWN:
                return web.Response(status=503, text="Service Unavailable")
            case Trouble.GARBAGE:
                return web.Response(text="<html>login</html>", content_type="text/html")
            case Trouble.SLOW:
                await self._clock.sleep(self.slow_seconds)
            case Trouble.NONE:
                await asyncio.sleep(0)
        parameters = await _parameters(request)
        match request.path:
            case "/-/ready":
                return web.Response(text="Prometheus Server is Ready.\n")
            case "/-/healthy":
                return web.Response(text="Prometheus Server is Healthy.\n")
            case "/api/v1/query":
                return self._query(parameters)
            case "/api/v1/query_range":
                return self._query_range(parameters)
            case "/api/v1/rules":
                return self._list_rules(parameters)
            case "/api/v1/alerts":
                return _success({"alerts": [_alert(alert) for alert in self._active.values()]})
            case _:
                return web.Response(status=404, text="404 page not found\n")

    def _query(self, parameters: Mapping[str, Sequence[str]]) -> web.Response:
        now = self._clock.now()
        try:
            at = _instant(_first(parameters, "time")) or now
        except ValueError as error:
            return _bad_data(f'invalid parameter "time": {error}')
        expression = _first(parameters, "query")
        if not expression:
            return _bad_data('invalid parameter "query": unknown position: parse error: no expression found in input')
        samples, warnings = self._samples(expression, at, now)
        stamp = at.timestamp()
        series = [{"metric": dict(sample.labels), "value": [stamp, _number(sample.value)]} for sample in samples]
        return _success({"resultType": "vector", "result": series}, warnings)

    def _query_range(self, parameters: Mapping[str, Sequence[str]]) -> web.Response:
        now = self._clock.now()
        try:
            end = _instant(_first(parameters, "end")) or now
        except ValueError as error:
            return _bad_data(f'invalid parameter "end": {error}')
        samples, warnings = self._samples(_first(parameters, "query"), end, now)
        stamp = end.timestamp()
        series = [{"metric": dict(sample.labels), "values": [[stamp, _number(sample.value)]]} for sample in samples]
        return _success({"resultType": "matrix", "result": series}, [*warnings, PAST])

    def _samples(self, expression: str, at: datetime, now: datetime) -> tuple[Sequence[Sample], list[str]]:
        if any(metric in expression for metric in NOT_SCRAPED):
            return [], []
        if expression not in self._queries:
            return [], [UNKNOWN]
        if abs(now - at) > LOOKBACK:
            return [], [PAST]
        return self._queries[expression](self._cluster, now), []

    def _list_rules(self, parameters: Mapping[str, Sequence[str]]) -> web.Response:
        names = parameters.get("rule_name[]", ())
        wants_alerts = _first(parameters, "type") in ("", "alert")
        rules = [self._rule(rule) for rule in self._rules if wants_alerts and (not names or rule.name in names)]
        group = {
            "name": "kubernetes-apps",
            "file": "/etc/prometheus/rules/kubernetes-apps.yaml",
            "rules": rules,
            "interval": self._interval_seconds,
            "limit": 0,
            "evaluationTime": 0.0004,
            "lastEvaluation": self._last_evaluation(),
        }
        return _success({"groups": [group] if rules else []})

    def _rule(self, rule: Rule) -> Json:
        alerts = [alert for alert in self._active.values() if alert.rule is rule]
        states = ["firing" if alert.fired_at else "pending" for alert in alerts]
        return {
            "state": min(states, default="inactive"),
            "name": rule.name,
            "query": rule.expression,
            "duration": rule.hold.total_seconds(),
            "keepFiringFor": 0,
            "labels": dict(rule.labels),
            "annotations": dict(rule.annotations),
            "alerts": [_alert(alert) for alert in alerts],
            "health": "ok" if self._evaluated_at else "unknown",
            "evaluationTime": 0.0002,
            "lastEvaluation": self._last_evaluation(),
            "type": "alerting",
        }

    def _last_evaluation(self) -> str:
        return rfc3339(self._evaluated_at) if self._evaluated_at else "0001-01-01T00:00:00Z"


def _advanced(
    old: ActiveAlert | None, rule: Rule, labels: Mapping[str, str], value: float, now: datetime
) -> ActiveAlert:
    """The alert at this evaluation: new, still pending, or firing once it has held for the rule's `for`."""
    active_at = old.active_at if old else now
    fired_at = old.fired_at if old else None
    if fired_at is None and now - active_at >= rule.hold:
        fired_at = now
    annotations = {key: _filled(text, labels) for key, text in rule.annotations.items()}
    return ActiveAlert(rule, labels, annotations, value, active_at, fired_at)


def _filled(text: str, labels: Mapping[str, str]) -> str:
    return re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda match: labels.get(match[1], ""), text)


def _alert(alert: ActiveAlert) -> Json:
    return {
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "state": "firing" if alert.fired_at else "pending",
        "activeAt": rfc3339(alert.active_at),
        "value": f"{alert.value:e}",
    }


async def _parameters(request: web.Request) -> Mapping[str, Sequence[str]]:
    """Query string and form together, as Prometheus takes them."""
    form = await request.post() if request.method == "POST" else {}
    both = [*request.query.items(), *((key, str(value)) for key, value in form.items())]
    return {name: [value for key, value in both if key == name] for name, _ in both}


def _first(parameters: Mapping[str, Sequence[str]], name: str) -> str:
    return next(iter(parameters.get(name, ())), "")


def _instant(text: str) -> datetime | None:
    """Seconds since the epoch or RFC 3339. Raises ValueError."""
    if not text:
        return None
    try:
        return datetime.fromtimestamp(float(text), UTC)
    except ValueError:
        return parse_rfc3339(text)


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else str(value)


def _success(data: Json, warnings: Sequence[str] = ()) -> web.Response:
    body = {"status": "success", "data": data}
    return web.json_response(body | ({"warnings": list(warnings)} if warnings else {}))


def _bad_data(message: str) -> web.Response:
    return web.json_response({"status": "error", "errorType": "bad_data", "error": message}, status=400)
