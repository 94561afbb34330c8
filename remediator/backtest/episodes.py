"""Series of `ALERTS` and `ALERTS_FOR_STATE` -> episodes: when each alert began to fire, and when it ended. Pure.

A range query shows an alert at each step at which it fires. What is a gap and what is an end, `ALERTS_FOR_STATE` tells:
its value is the moment from which on the rule's expression has held. Prometheus keeps that moment over a restart (for
an hour, `--rules.alert.for-outage-tolerance`), so an alert that comes back with a moment that lies before it was last
seen never ended; one whose moment lies after that is another episode, even if no step is missing between the two.
Without that series, every step without the alert is an end.

Source: prometheus/prometheus `rules/alerting.go` (`forStateSample`, `ActiveAt`), `rules/group.go` (`RestoreForState`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from remediator.backtest.history import History, Series, Span, instant

NAME, STATE = "__name__", "alertstate"
REPLICAS = frozenset({"prometheus_replica", "__replica__", "receive"})
"""Labels by which two Prometheus of one kind tell their copies of an alert apart; Alertmanager never sees them."""

Key = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Episode:
    """One firing of one label set.

    `begins_at` is the first step at which it was seen, or exact where the rule has no `for`; so it is late by a step at
    most. `ends_at` is the first step at which it was gone, None: it fired when the history ended. `active_at` is since
    when the expression held, None: not told. `is_cut`: it fired when the history began, so nobody knows since when.
    """

    labels: Mapping[str, str]
    begins_at: datetime
    ends_at: datetime | None
    active_at: datetime | None
    is_cut: bool


def episodes(history: History) -> list[Episode]:
    """All that fired within the history's time, the earliest first; those of one moment in order of their labels."""
    firing = _by_labels((one for one in history.alerts if one.labels.get(STATE, "firing") == "firing"), history)
    states = _by_labels(history.states, history)
    found = [one for key, runs in firing.items() for one in _of(dict(key), _merged(runs), states.get(key, ()), history)]
    inside = [one for one in found if one.begins_at <= history.ends and not _is_over(one, history)]
    return sorted(inside, key=lambda one: (one.begins_at, sorted(one.labels.items())))


def _is_over(episode: Episode, history: History) -> bool:
    return episode.ends_at is not None and episode.ends_at <= history.begins


def _by_labels(series: Iterable[Series], history: History) -> dict[Key, list[Span]]:
    """Runs by what Alertmanager would see as the label set; external labels never replace an alert's own."""
    found: dict[Key, list[Span]] = {}
    for one in series:
        labels = {**history.external, **one.labels}
        key = tuple(sorted((k, v) for k, v in labels.items() if k not in (NAME, STATE) and k not in REPLICAS and v))
        found.setdefault(key, []).extend(one.spans)
    return found


def _merged(runs: Iterable[Span]) -> list[Span]:
    """Runs of several copies as one: where any of them fires, it fires."""
    found: list[Span] = []
    for run in sorted(runs):
        if found and run.first <= found[-1].last:
            found[-1] = found[-1]._replace(last=max(found[-1].last, run.last))
        else:
            found.append(run)
    return found


@dataclass(frozen=True, slots=True)
class _Piece:
    """A run that fires, with the moment since which it is active."""

    first: float
    last: float
    active: float | None


def _of(labels: Mapping[str, str], firing: Sequence[Span], states: Sequence[Span], history: History) -> list[Episode]:
    step = history.step.total_seconds()
    joined: list[_Piece] = []
    for piece in (part for run in firing for part in _cut(run, sorted(states), step)):
        if joined and not _is_new(piece, joined[-1], step):
            joined[-1] = replace(joined[-1], last=piece.last, active=joined[-1].active or piece.active)
        else:
            joined.append(piece)
    following = [*(_begin(one, step) for one in joined[1:]), None]
    return [_episode(labels, one, after, history) for one, after in zip(joined, following, strict=True)]


def _cut(run: Span, states: Sequence[Span], step: float) -> list[_Piece]:
    """The run in pieces of one active moment each; of copies that overlap the first counts as long as it is told."""
    pieces: list[_Piece] = []
    at = run.first  # the next sample of the run that nobody has told of yet
    for state in states:
        first, last = max(state.first, at), min(state.last, run.last)
        if last < first:
            continue
        if first - at > step / 2:
            pieces.append(_Piece(at, first - step, None))
        pieces.append(_Piece(first, last, state.value))
        at = last + step
    if at - run.last <= step / 2:
        pieces.append(_Piece(min(at, run.last), run.last, None))
    return pieces


def _is_new(piece: _Piece, before: _Piece, step: float) -> bool:
    if piece.active is not None:
        return piece.active > before.last
    return piece.first - before.last > step * 1.5


def _begin(piece: _Piece, step: float) -> float:
    """Exact for a rule without `for`, which fires at the moment at which it becomes active."""
    is_exact = piece.active is not None and piece.first - step < piece.active <= piece.first
    return piece.active if is_exact and piece.active is not None else piece.first


def _episode(labels: Mapping[str, str], piece: _Piece, following: float | None, history: History) -> Episode:
    step, begins, ends = history.step.total_seconds(), history.begins.timestamp(), history.ends.timestamp()
    begin = _begin(piece, step)
    gone = piece.last + step
    if following is not None:
        gone = min(gone, following)
    return Episode(
        labels=labels,
        begins_at=instant(begin),
        ends_at=None if gone > ends else instant(gone),
        active_at=None if piece.active is None else instant(piece.active),
        is_cut=piece.first - step < begins and begin <= begins,
    )
