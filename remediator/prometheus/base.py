"""What the rest of the service knows of Prometheus: the protocol `Metrics` and its errors.

`prometheus/client.py` implements it. Empty, NaN and missing are "unknown" to every caller, never "safe to act".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from remediator.errors import PermanentError, TransientError

_REGEX_SPECIAL = re.compile(r"([\\.+*?()|\[\]{}^$])")


@dataclass(frozen=True, slots=True)
class Sample:
    """One series of an instant query; `value` is never NaN (such series are left out and counted by the client)."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Course:
    """One series of a range query: its samples as (Unix seconds, value), oldest first, none of them NaN."""

    labels: Mapping[str, str]
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class AlertingRule:
    """One alerting rule as Prometheus runs it.

    `health` is Prometheus' own word (`ok`, `err`, `unknown`); `interval_seconds` is its group's evaluation interval;
    `last_evaluated_at` is None before the first evaluation.
    """

    name: str
    query: str
    labels: Mapping[str, str]
    health: str
    interval_seconds: float
    last_evaluated_at: datetime | None


class BadQuery(PermanentError):
    """Prometheus understood the request and refused the expression."""


class TooManySamples(BadQuery):
    """The answer is larger than Prometheus allows, or than we read: ask for less at once."""


class PrometheusUnavailable(TransientError):
    """No usable answer: unreachable, timeout, overloaded, 5xx."""


class Samples(list[Sample]):
    """The samples of an instant query that are numbers. `left_out` are the labels of the series that were not: NaN
    compares false with everything, and yet an alert whose expression gives it fires."""

    def __init__(self, numbers: Iterable[Sample] = (), *, left_out: Sequence[Mapping[str, str]] = ()) -> None:
        super().__init__(numbers)
        self.left_out = left_out


class Metrics(Protocol):
    async def query(self, expression: str, *, at: datetime | None = None) -> Sequence[Sample]:
        """An instant query. Raises BadQuery, TooManySamples, PrometheusUnavailable."""

    async def alerting_rules(self, alertname: str) -> Sequence[AlertingRule]:
        """The loaded alerting rules of that name; several may exist. Raises PrometheusUnavailable."""

    async def is_ready(self) -> bool: ...

    async def close(self) -> None: ...


class Ranges(Protocol):
    """What was, over a time: for the backtest, which looks at a month."""

    async def query(self, expression: str, *, at: datetime | None = None) -> Sequence[Sample]: ...

    async def query_range(
        self, expression: str, *, begin: datetime, end: datetime, step: timedelta
    ) -> Sequence[Course]:
        """A range query, both ends inclusive. Raises BadQuery, TooManySamples, PrometheusUnavailable."""


def label_value(text: str) -> str:
    """`text` as a label value in double quotes, as PromQL and both of Alertmanager's parsers read it back.

    Only what has to be is escaped: Alertmanager's older parser takes every other escape for two characters.
    Source: prometheus/prometheus `promql/parser/lex.go` (`lexString`), prometheus/alertmanager `pkg/labels/parse.go`.
    """
    escaped = text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return f'"{escaped}"'


def regex_literal(text: str) -> str:
    """A regular expression, in RE2's syntax, that matches this text only."""
    return _REGEX_SPECIAL.sub(r"\\\1", text)
