"""What is remembered of a time: series of samples, as runs of one value. What `fetch.py` reads from Prometheus,
`recording.py` keeps in a file, `episodes.py` and `facts.py` read. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple


class Span(NamedTuple):
    """A run of samples of one value, in Unix seconds from the first to the last of them, a step apart each."""

    first: float
    last: float
    value: float


@dataclass(frozen=True, slots=True)
class Series:
    """One label set and its runs, oldest first, none overlapping."""

    labels: Mapping[str, str]
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class History:
    """What was from `begins` to `ends`, both inclusive.

    `alerts` are the series of `ALERTS`, `states` those of `ALERTS_FOR_STATE`, sampled each `step`; `facts` is the name
    of a fact (`known.py`) -> its series, sampled each `fact_step`. A fact that is no key was not told at all; one
    without series was asked for, and nothing of it was. `external` are labels that every alert gets on its way to
    Alertmanager.
    """

    begins: datetime
    ends: datetime
    step: timedelta
    fact_step: timedelta
    alerts: Sequence[Series]
    states: Sequence[Series]
    facts: Mapping[str, Sequence[Series]] = field(default_factory=dict)
    external: Mapping[str, str] = field(default_factory=dict)
    source: str = ""


def runs_of(points: Iterable[tuple[float, float]], step_seconds: float) -> list[Span]:
    """Samples (Unix seconds, value), oldest first, as runs: a missing sample or another value ends one."""
    runs: list[Span] = []
    for at, value in points:
        if runs and runs[-1].value == value and at - runs[-1].last <= step_seconds * 1.5:
            runs[-1] = runs[-1]._replace(last=at)
        else:
            runs.append(Span(at, at, value))
    return runs


def joined(parts: Iterable[Series], step_seconds: float) -> list[Series]:
    """The series of several questions about times that follow each other, each label set once."""
    by: dict[tuple[tuple[str, str], ...], list[Span]] = {}
    labels: dict[tuple[tuple[str, str], ...], Mapping[str, str]] = {}
    for part in parts:
        key = tuple(sorted(part.labels.items()))
        labels[key] = part.labels
        runs = by.setdefault(key, [])
        for span in part.spans:
            last = runs[-1] if runs else None
            if last is not None and last.value == span.value and span.first - last.last <= step_seconds * 1.5:
                runs[-1] = last._replace(last=max(last.last, span.last))
            else:
                runs.append(span)
    return [Series(labels[key], tuple(runs)) for key, runs in by.items()]


def instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
