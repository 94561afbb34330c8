"""Where Alertmanager sends an alert of which only some labels are known: surely, perhaps, or not. Pure.

As `dispatch/route.go` walks: depth first, the first child that matches takes it unless it says `continue`, and a route
keeps for its own receiver what no child matches.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise

from remediator.lint.routing.config import Route
from remediator.rules.document import Path
from remediator.rules.inclusion import TooComplex, value_of
from remediator.rules.matcher import Matcher


class Truth(IntEnum):
    NO = 0
    PERHAPS = 1
    YES = 2


@dataclass(frozen=True, slots=True)
class Asked:
    """An alert: what is known of its labels, and what a rule of ours demands of the others. `is_whole`: it has no
    others."""

    labels: Mapping[str, str]
    demands: Sequence[Matcher] = ()
    is_whole: bool = False

    def passes(self, matcher: Matcher) -> Truth:
        if matcher.name in self.labels or self.is_whole:
            return Truth.YES if matcher.matches(self.labels) else Truth.NO
        same = [(each, True) for each in self.demands if each.name == matcher.name]
        try:
            if value_of([*same, (matcher, True)]) is None:
                return Truth.NO
            return Truth.YES if value_of([*same, (matcher, False)]) is None else Truth.PERHAPS
        except TooComplex:
            return Truth.PERHAPS

    def passes_all(self, matchers: Sequence[Matcher]) -> Truth:
        return min((self.passes(one) for one in matchers), default=Truth.YES)


@dataclass(frozen=True, slots=True)
class Reached:
    """A route whose receiver is told, `way` from the root to it. `how` is never NO."""

    way: tuple[Route, ...]
    how: Truth

    @property
    def route(self) -> Route:
        return self.way[-1]


@dataclass(frozen=True, slots=True)
class Missed:
    """Why a route is not reached: a matcher of it or its parents says no, or an earlier route takes the alert."""

    route: Route
    matcher: Matcher | None = None
    path: Path = ()
    taken_by: Route | None = None
    refusals: int = 0


def reached(root: Route, asked: Asked) -> list[Reached]:
    """Every route that is told, in Alertmanager's order."""
    return _walk(root, asked, ())[1]


def receivers_told(root: Route, labels: Mapping[str, str]) -> Sequence[str]:
    """The receivers that are told of an alert with these labels and no others, in Alertmanager's order."""
    return [one.route.receiver for one in reached(root, Asked(labels, is_whole=True))]


def _walk(route: Route, asked: Asked, way: tuple[Route, ...]) -> tuple[Truth, list[Reached]]:
    truth = asked.passes_all([each for each, _ in route.matchers])
    if truth is Truth.NO:
        return truth, []
    way, found = (*way, route), []
    still, matched = Truth.YES, Truth.NO
    for child in route.routes:
        how, below = _walk(child, asked, way)
        found += [Reached(one.way, min(still, one.how)) for one in below]
        matched = max(matched, min(still, how))
        if how is not Truth.NO and not child.continues:
            if how is Truth.YES:
                break
            still = Truth.PERHAPS
    if matched is not Truth.YES:
        found.append(Reached(way, Truth.PERHAPS if matched is Truth.PERHAPS else Truth.YES))
    return truth, [Reached(one.way, min(truth, one.how)) for one in found]


def nearest_miss(root: Route, asked: Asked, wanted: Collection[Path]) -> Missed | None:
    """Of the routes at these places the one that fails least, and why; None: there is none."""
    found = [_missed(way, asked) for way in _ways(root, ()) if way[-1].path in wanted]
    return min(found, key=lambda one: one.refusals, default=None)


def _ways(route: Route, way: tuple[Route, ...]) -> Iterator[tuple[Route, ...]]:
    way = (*way, route)
    yield way
    for child in route.routes:
        yield from _ways(child, way)


def _missed(way: tuple[Route, ...], asked: Asked) -> Missed:
    refusing = [(one, at) for route in way for one, at in route.matchers if asked.passes(one) is Truth.NO]
    if refusing:
        # A route for other alerts is not meant; only of one that is are its other matchers worth a word.
        first = min(refusing, key=lambda pair: pair[0].name != "alertname")
        return Missed(way[-1], first[0], first[1], refusals=len(refusing))
    for parent, child in pairwise(way):
        for before in parent.routes:
            if before is child:
                break
            if not before.continues and asked.passes_all([each for each, _ in before.matchers]) is Truth.YES:
                return Missed(way[-1], taken_by=before)
    below = next((one for one in way[-1].routes), None)
    return Missed(way[-1], taken_by=below)
