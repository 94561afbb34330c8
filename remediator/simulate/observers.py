"""A story's Prometheus and Alertmanager, in this process: what fires, what is told of it, what people silenced.

They answer the service through the protocols `Metrics` and `Alertmanager`; `happenings.py` makes alerts begin and end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from remediator.alertmanager.base import AlertmanagerUnavailable, Listed
from remediator.model import Alert, Json
from remediator.prometheus.base import AlertingRule, PrometheusUnavailable, Sample
from remediator.rules.matcher import Matcher
from remediator.simulate.alertmanager import SentAlert, fingerprint, webhook_bodies
from remediator.simulate.alertrules import Observed, Rule, kubernetes_rules
from remediator.simulate.usage import Usage

INTERVAL_SECONDS = 30.0
RESOLVED_AFTER = timedelta(seconds=30)
"""From the last time an expression held until Alertmanager says so: an evaluation, and a group interval."""


@dataclass(slots=True)
class Firing:
    """One alert of a story. `holds` says whether its expression does now; `ended_at` is set once it has been resolved,
    `gone_since` when it was first seen not to hold."""

    labels: Mapping[str, str]
    began_at: datetime
    holds: Callable[[datetime], bool]
    truncated: int = 0
    has_rule: bool = True
    gone_since: datetime | None = None
    ended_at: datetime | None = None

    @property
    def name(self) -> str:
        return self.labels["alertname"]

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.labels)

    def sent(self) -> SentAlert:
        return SentAlert(self.labels, self.began_at, ends_at=self.ended_at)


class StoryPrometheus:
    """`trouble`: up, away, empty (every expression is) or frozen (rules are not evaluated any more)."""

    def __init__(self, cluster: Observed, usage: Usage, now: Callable[[], datetime]) -> None:
        self._cluster = cluster
        self._usage = usage
        self._now = now
        self._known = {rule.name: rule for rule in kubernetes_rules()}
        self._frozen_at: datetime | None = None
        self.answers: list[tuple[str, Callable[[datetime], float | None]]] = []
        """A part of an expression -> its value at a time."""
        self.trouble = "up"
        self.firing: list[Firing] = []

    def set_trouble(self, trouble: str) -> None:
        self.trouble = trouble
        self._frozen_at = self._now() if trouble == "frozen" else None

    def known(self, alertname: str) -> Rule | None:
        """kubernetes-mixin's rule of this name, where the embedded cluster can be asked its expression."""
        return self._known.get(alertname)

    def holds(self, firing: Firing) -> bool:
        """Whether the alert's own expression holds for it now."""
        return firing.ended_at is None and firing.holds(self._now())

    # --- Metrics

    async def query(self, expression: str, *, at: datetime | None = None) -> Sequence[Sample]:
        self._check()
        now = self._now()
        if self.trouble == "empty":
            return []
        if (told := self._told(expression)) is not None:
            return told
        for rule in self._known.values():
            if rule.expression == expression:
                return rule.evaluate(self._cluster, now)
        for part, value_at in self.answers:
            if part in expression:
                value = value_at(at or now)
                return [] if value is None else [Sample({}, value)]
        if (answer := self._usage.answer(expression, at or now)) is not None:
            return answer
        raise PrometheusUnavailable(f"the story has no answer to {expression[:200]}; give one under answers:")

    async def alerting_rules(self, alertname: str) -> Sequence[AlertingRule]:
        self._check()
        known = self._known.get(alertname)
        if known is None and not any(one.name == alertname and one.has_rule for one in self.firing):
            return []
        query = expression_of(alertname) if self._is_told(alertname) or known is None else known.expression
        at = self._frozen_at or self._now()
        return [AlertingRule(alertname, query, {}, "ok", INTERVAL_SECONDS, at)]

    async def is_ready(self) -> bool:
        return self.trouble != "away"

    async def close(self) -> None: ...

    def _check(self) -> None:
        if self.trouble == "away":
            raise PrometheusUnavailable("Prometheus: connection refused")

    def _is_told(self, alertname: str) -> bool:
        """Whether the story itself says when an alert of kubernetes-mixin holds."""
        return any(one.name == alertname and not isinstance(one.holds, Evaluated) for one in self.firing)

    def _told(self, expression: str) -> Sequence[Sample] | None:
        """The series of a story's own alert, None: it is no such expression."""
        for name in {one.name for one in self.firing}:
            if expression == expression_of(name):
                mine = [one for one in self.firing if one.name == name and self.holds(one)]
                return [Sample({k: v for k, v in one.labels.items() if k != "alertname"}, 1.0) for one in mine]
        return None


def expression_of(alertname: str) -> str:
    """The expression of an alert that the story itself makes hold."""
    return f'story_alert{{name="{alertname}"}} > 0'


@dataclass(frozen=True, slots=True)
class Evaluated:
    """An alert of kubernetes-mixin holds as its expression does on the cluster, for the object in its labels."""

    rule: Rule
    cluster: Observed
    labels: Mapping[str, str]

    def __call__(self, now: datetime) -> bool:
        names = ("namespace", "pod", "deployment")
        wanted = {name: self.labels[name] for name in names if name in self.labels}
        return any(wanted.items() <= sample.labels.items() for sample in self.rule.evaluate(self.cluster, now))


@dataclass(slots=True)
class StoryAlertmanager:
    """`outbox` holds the webhook bodies that are to be delivered, oldest first."""

    now: Callable[[], datetime]
    trouble: str = "up"
    silences: list[tuple[tuple[Matcher, ...], datetime]] = field(default_factory=list)
    active: dict[str, Firing] = field(default_factory=dict)
    outbox: list[Json] = field(default_factory=list)

    def tell(self, firing: Firing) -> None:
        """Deliver what this alert is now, unless someone silenced it: then neither it nor its end is told."""
        if firing.ended_at is None:
            self.active[firing.fingerprint] = firing
        else:
            self.active.pop(firing.fingerprint, None)
        if self._silenced(firing.labels) is not None:
            return
        [body] = webhook_bodies([firing.sent()], group_by=sorted(firing.labels))
        self.outbox.append({**body, "truncatedAlerts": firing.truncated})

    async def look_up(self, alert: Alert) -> Listed | None:
        if self.trouble == "away":
            raise AlertmanagerUnavailable("Alertmanager: connection refused")
        if self.trouble == "empty" or alert.fingerprint not in self.active:
            return None
        number = self._silenced(alert.labels)
        return Listed(() if number is None else (f"silence {number}",))

    async def close(self) -> None: ...

    def _silenced(self, labels: Mapping[str, str]) -> int | None:
        for number, (matchers, until) in enumerate(self.silences, start=1):
            if until > self.now() and all(matcher.matches(labels) for matcher in matchers):
                return number
        return None
