"""What the documents for people have in common: which moments, how much of what, and how a period is called. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from remediator.export.attempts import Attempt
from remediator.export.content import TakenBack
from remediator.export.difference import as_yaml
from remediator.export.facts import Facts
from remediator.export.times import utc
from remediator.model import Json
from remediator.rules.schema import Row, Rule
from remediator.store.exporting_base import Period

_KEYS: tuple[str, ...] = tuple(
    field.alias or name for model in (Rule, Row) for name, field in model.model_fields.items()
)
"""The keys of a rule in the order in which people write them."""

LOG_LINES = 20
"""Of each log, its last ones; the whole of what was kept is in `diagnostics.json`."""

MAX_ATTEMPTS = 12
MAX_EVENTS = 2000
"""More would be no document any more; the CSV and the JSON Lines have them all."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One of the moments of an incident, and how long after its beginning it came."""

    name: str
    at: datetime | None
    after: timedelta | None


def moments_of(facts: Facts) -> tuple[Moment, ...]:
    named = (
        ("Began to fire", facts.began_at),
        ("Received", facts.received_at),
        ("Decided", facts.decided_at),
        ("Acted", facts.acted_at),
        ("Well again", facts.recovered_at),
    )
    began = facts.began_at
    return tuple(
        Moment(name, at, None if at is None or began is None or at is began else at - began) for name, at in named
    )


def shown_attempts(attempts: Sequence[Attempt]) -> tuple[Sequence[Attempt], Sequence[Attempt]]:
    """Those that are told in full, and those that are only named: what acted or planned comes before what waited."""
    if len(attempts) <= MAX_ATTEMPTS:
        return attempts, ()
    ranked = sorted(attempts, key=lambda one: (one.acted_at is None, one.plan is None, -one.remediation))
    full = {one.remediation for one in ranked[:MAX_ATTEMPTS]}
    return (
        [one for one in attempts if one.remediation in full],
        [one for one in attempts if one.remediation not in full],
    )


def has_change(attempt: Attempt) -> bool:
    return bool(attempt.diff) or isinstance(attempt.plan, TakenBack)


def did_change(attempt: Attempt) -> bool:
    """Whether the change of its plan was made, and not only meant."""
    return attempt.acted_at is not None


def rule_yaml(rule: Mapping[str, Json]) -> str:
    """A rule as it was loaded, defaults included, as people would write it."""
    return as_yaml(_ordered(rule))


def _ordered(value: Json) -> Json:
    if isinstance(value, Mapping):
        known = [name for name in _KEYS if name in value]
        return {name: _ordered(value[name]) for name in (*known, *(name for name in value if name not in known))}
    return [_ordered(item) for item in value] if isinstance(value, list) else value


def period_words(period: Period) -> str:
    """`from … until …` in UTC, without the filters."""
    return f"From {utc(period.since)} until {utc(period.until)}"


def filters_of(period: Period) -> Sequence[tuple[str, str]]:
    """What the period is narrowed to: `rule` and `namespace` with their names."""
    named = (("rule", period.rule), ("namespace", period.namespace))
    return [(what, name) for what, name in named if name is not None]
