"""Durations and rates as Prometheus users write them (`1h30m`, `3 per 1h`), for everything that reads YAML or flags.

Below every drawer, so that a guard's or a check's own parameter model can use `Duration` as a field type.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_UNITS: tuple[tuple[str, timedelta], ...] = (
    ("y", timedelta(days=365)),
    ("w", timedelta(weeks=1)),
    ("d", timedelta(days=1)),
    ("h", timedelta(hours=1)),
    ("m", timedelta(minutes=1)),
    ("s", timedelta(seconds=1)),
    ("ms", timedelta(milliseconds=1)),
)
_DURATION = "".join(rf"(?:([0-9]{{1,9}}){unit})?" for unit, _ in _UNITS)
_LIMIT = re.compile(rf"([0-9]{{1,6}}) +per +({_DURATION})")
LONGEST = timedelta(days=10 * 365)


def parse_duration(text: str) -> timedelta:
    """A Prometheus duration: numbers with units in falling order, or `0`. Raises ValueError.

    Source: prometheus/common `model/time.go` `ParseDuration` (a year is 365 days, a week 7, a day 24 hours).
    """
    if text == "0":
        return timedelta(0)
    found = re.fullmatch(_DURATION, text)
    if not text or found is None:
        raise ValueError(f"{text!r} is not a duration; write numbers with units (ms, s, m, h, d, w), like 1h30m")
    total = timedelta(0)
    for count, (_, unit) in zip(found.groups(), _UNITS, strict=True):
        if count is not None:
            if int(count) > LONGEST / unit:
                raise ValueError(f"{text!r} is too long; at most {format_duration(LONGEST)}")
            total += int(count) * unit
    return total


def format_duration(value: timedelta) -> str:
    """The shortest exact text that `parse_duration` reads back, to the millisecond: `1h30m`, `0s`."""
    left, parts = value, []
    for unit, size in _UNITS:
        if unit in ("y", "w") and left % size:
            continue  # 400d reads better than 1y5w
        count = left // size
        left -= count * size
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def _duration(value: Any) -> Any:
    if isinstance(value, str):
        return parse_duration(value)
    if isinstance(value, timedelta):
        return value
    raise ValueError(f"{value!r} has no unit; write a duration like 90s, 10m or 2h")


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": r"^(0|([0-9]+(y|w|d|h|ms|m|s))+)$", "examples": ["90s", "10m", "2h"]}),
]
"""A pydantic field that reads and writes Prometheus durations. Bound it with `at_least` and `at_most`."""


def between(least: timedelta, most: timedelta) -> BeforeValidator:
    """A validator for a `Duration` field whose message names the bounds with their unit."""

    def check(value: Any) -> Any:
        duration = _duration(value)
        if not least <= duration <= most:
            bounds = f"between {format_duration(least)} and {format_duration(most)}"
            raise ValueError(f"must be {bounds}, got {format_duration(duration)}")
        return duration

    return BeforeValidator(check)


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `count` actions in any window of length `per`."""

    count: int
    per: timedelta

    def __str__(self) -> str:
        return f"{self.count} per {format_duration(self.per)}"


def parse_limit(text: str) -> Limit:
    """`3 per 1h`. Raises ValueError, also for a count or a window of zero."""
    found = _LIMIT.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not a limit; write a count and a window, like '3 per 1h'")
    limit = Limit(int(found[1]), parse_duration(found[2]))
    if not limit.count:
        raise ValueError(f"{text!r} allows nothing; use mode: silent to keep a rule from acting")
    if not limit.per:
        raise ValueError(f"{text!r} has no window; write one like '3 per 1h'")
    return limit


def _limit(value: Any) -> Any:
    if isinstance(value, str):
        return parse_limit(value)
    if isinstance(value, Limit):
        return value
    raise ValueError(f"{value!r} is not a limit; write a count and a window, like '3 per 1h'")


LimitText = Annotated[
    Limit,
    BeforeValidator(_limit),
    PlainSerializer(str, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9]+ +per +([0-9]+(y|w|d|h|ms|m|s))+$"}),
]
"""A pydantic field that reads and writes `3 per 1h`."""
