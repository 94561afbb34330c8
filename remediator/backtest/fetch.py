"""Reads a history from Prometheus: range queries in pieces that it can answer, facts in the day before as well.

Called by `cli/backtest.py`. Each piece is bounded in time and in samples of a series (Prometheus allows 11,000); one
that is too large all the same is halved. A fact whose expression Prometheus does not take is one that is not told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from remediator.backtest.history import History, Series, joined, runs_of
from remediator.backtest.known import EXPORTED, FACTS, SCRAPE, Fact, expression_of
from remediator.backtest.rollouts import LONGEST_WINDOW
from remediator.clock import rfc3339
from remediator.errors import PermanentError
from remediator.prometheus.base import BadQuery, Ranges, TooManySamples
from remediator.units import format_duration

PIECE = timedelta(days=1)
MAX_POINTS = 10_000
"""Samples of one series in one answer; Prometheus refuses more than 11,000."""

AT_ONCE = 3
"""Questions under way at once: one less than the client has threads."""

IS_EXPORTED = 'count(kube_pod_info{exported_pod!=""})'


class NothingThere(PermanentError):
    """Prometheus answers, and has nothing of what was asked for."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The time, how fine, and what Alertmanager adds to the labels of every alert."""

    begins: datetime
    ends: datetime
    step: timedelta
    fact_step: timedelta
    external: Mapping[str, str]
    source: str


async def fetch(metrics: Ranges, wanted: Wanted, told: Callable[[int, int], None]) -> History:
    """`told` hears how many questions of how many are answered. Raises NothingThere when no alert fired, TooManySamples
    when even a short piece is too large, and the errors of `Ranges`."""
    begins, ends = _aligned(wanted.begins, wanted.step), _aligned(wanted.ends, wanted.step)
    fact_begins, fact_ends = (_aligned(at, wanted.fact_step) for at in (wanted.begins - LONGEST_WINDOW, wanted.ends))
    pieces = list(_pieces(begins, ends, wanted.step))
    fact_pieces = list(_pieces(fact_begins, fact_ends, wanted.fact_step))
    asking = _Asking(metrics, told, 2 * len(pieces) + len(FACTS) * len(fact_pieces))
    alerts = await asking.over("ALERTS", 'ALERTS{alertstate="firing"}', pieces, wanted.step)
    if not alerts:
        time = f"between {rfc3339(begins)} and {rfc3339(ends)}"
        raise NothingThere(f"Prometheus has no ALERTS that fired {time}: none did, or it does not keep them that long")
    states = await asking.over("ALERTS_FOR_STATE", "ALERTS_FOR_STATE", pieces, wanted.step)
    is_exported = bool(await metrics.query(IS_EXPORTED, at=ends))
    facts = {}
    for name, fact in FACTS.items():
        found = await _fact(asking, name, fact, fact_pieces, wanted.fact_step, is_exported=is_exported)
        if found or await _is_told(metrics, fact, (fact_begins, fact_ends)):
            facts[name] = found
    return History(
        begins=begins,
        ends=ends,
        step=wanted.step,
        fact_step=wanted.fact_step,
        alerts=alerts,
        states=states,
        facts=facts,
        external=wanted.external,
        source=wanted.source,
    )


Piece = tuple[datetime, datetime]


@dataclass(slots=True)
class _Asking:
    """The questions of one history, and how many of them are answered."""

    metrics: Ranges
    told: Callable[[int, int], None]
    of: int
    done: int = 0

    async def over(self, what: str, expression: str, pieces: Sequence[Piece], step: timedelta) -> list[Series]:
        """The series of an expression over all pieces, a few at once. Raises the errors of `Ranges`."""
        places = asyncio.Semaphore(AT_ONCE)

        async def one(piece: Piece) -> list[Series]:
            async with places:
                found = await self._piece(what, expression, piece, step)
            self.done += 1
            self.told(self.done, self.of)
            return found

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(piece)) for piece in pieces]
        except ExceptionGroup as several:
            raise several.exceptions[0] from None
        return joined((series for task in tasks for series in task.result()), step.total_seconds())

    async def _piece(self, what: str, expression: str, piece: Piece, step: timedelta) -> list[Series]:
        begin, end = piece
        try:
            courses = await self.metrics.query_range(expression, begin=begin, end=end, step=step)
        except TooManySamples as error:
            if end - begin < 4 * step:
                length = format_duration(end - begin)
                raise TooManySamples(f"{what}: Prometheus refuses even {length} of it at once: {error}") from error
            middle = begin + step * ((end - begin) // step // 2)
            first = await self._piece(what, expression, (begin, middle), step)
            return first + await self._piece(what, expression, (middle + step, end), step)
        return [Series(one.labels, tuple(runs_of(one.points, step.total_seconds()))) for one in courses]


async def _fact(
    asking: _Asking, name: str, fact: Fact, pieces: Sequence[Piece], step: timedelta, *, is_exported: bool
) -> list[Series]:
    expression = expression_of(fact, is_exported=is_exported)
    try:
        found = await asking.over(name, expression, pieces, step)
    except TooManySamples:
        raise
    except BadQuery:
        return []
    return [Series(_plain(one.labels), one.spans) for one in found]


def _plain(labels: Mapping[str, str]) -> Mapping[str, str]:
    """The object's own labels under their own names."""
    exported = {EXPORTED + name: name for name in SCRAPE}
    own = {exported.get(name, name): value for name, value in labels.items()}
    return {name: value for name, value in own.items() if value and name != "__name__"}


async def _is_told(metrics: Ranges, fact: Fact, ends: Piece) -> bool:
    """Whether the metric was there at all: then a fact without series is one that held for nothing."""
    begin, end = ends
    for at in (end, begin + (end - begin) / 2):
        if await metrics.query(f"count({fact.metric})", at=at):
            return True
    return False


def _aligned(at: datetime, step: timedelta) -> datetime:
    """The step at or before: all pieces lie on one grid."""
    seconds = step.total_seconds()
    return datetime.fromtimestamp(at.timestamp() // seconds * seconds, UTC)


def _pieces(begin: datetime, end: datetime, step: timedelta) -> Iterator[Piece]:
    """Times that follow each other on the grid, each sample in one of them."""
    count = max(1, min(MAX_POINTS, int(PIECE / step)))
    while begin <= end:
        last = min(begin + step * (count - 1), end)
        yield begin, last
        begin = last + step
