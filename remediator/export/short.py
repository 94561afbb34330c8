"""The short timeline: the few events of a story that are worth a person's time, and what followed from what. Pure.

It leaves out what only leads up to something, tells a wait once however often it was looked at, and says of each line
from which earlier one it followed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from remediator.export.events import Event
from remediator.export.words import BEGAN, WORDS
from remediator.reasons import Reason

SAME = timedelta(minutes=1)
"""Alerts of one name that begin within this time of each other are one line."""

_DONE_NEXT = frozenset({"action.applied", "action.not-applied", "action.intent", "outcome.unknown"})
"""After an intent one of these says what became of it; the intent itself is then no news."""

_OF_ITSELF = frozenset({BEGAN, "alert.resolved", "audit.redacted"})
"""What did not follow from the event before it, as far as anybody can tell."""

_HOLDERS: Mapping[str, tuple[str, ...]] = {
    Reason.KILL_SWITCH: ("switch.engaged",),
    Reason.PAUSED_BY_PERSON: ("pause.set",),
    Reason.STORM: ("gate.entered",),
    Reason.SHARED_CAUSE: ("gate.entered",),
    Reason.CLUSTER_UNHEALTHY: ("gate.entered",),
}
"""Reason of a wait -> the events that it follows from."""


def curated(events: Sequence[Event]) -> tuple[Event, ...]:
    """The short timeline of these events, which are in the order of time."""
    short = _Short()
    for event, next_kind in zip(events, _next_kinds(events), strict=True):
        if _is_worth_a_line(event, next_kind):
            short.add(event)
    return tuple(short.lines)


def _is_worth_a_line(event: Event, next_kind: str | None) -> bool:
    if event.kind == "action.intent":
        return next_kind not in _DONE_NEXT
    words = WORDS.get(event.kind)
    return bool(event.by) if words is None else words.is_curated


def _next_kinds(events: Sequence[Event]) -> list[str | None]:
    """Of each event, the kind of the next one of the same remediation."""
    following: dict[int | None, str] = {}
    found: list[str | None] = []
    for event in reversed(events):
        found.append(following.get(event.remediation))
        following[event.remediation] = event.kind
    return found[::-1]


@dataclass(slots=True)
class _Short:
    """The lines so far, and the places of the last ones: of each remediation, of its plan, and of each kind."""

    lines: list[Event] = field(default_factory=list)
    last: dict[int, int] = field(default_factory=dict)
    planned: dict[int, int] = field(default_factory=dict)
    decided: dict[int, int] = field(default_factory=dict)
    kinds: dict[str, int] = field(default_factory=dict)

    def add(self, event: Event) -> None:
        """As a line, or into the one that says the same; a plan that is made again as before says nothing new."""
        if (place := self._same(event)) is None:
            self._add_line(event)
        elif event.kind != "step.planned":
            first = self.lines[place]
            times, until = first.times + event.times, event.until or first.until
            self.lines[place] = replace(first, times=times, last_at=event.at, until=until)
            if event.remediation is not None:
                self.last[event.remediation] = place

    def _add_line(self, event: Event) -> None:
        place, own = len(self.lines), event.remediation
        self.lines.append(replace(event, follows=self._cause(event)))
        self.kinds[event.kind] = place
        if own is not None:
            self.last[own] = place
            (self.planned if event.kind == "step.planned" else self.decided)[own] = place

    def _same(self, event: Event) -> int | None:
        """The place of the line that this one adds to, None: it is a line of its own."""
        own, place = event.remediation, None
        if event.kind in (BEGAN, "alert.resolved"):
            place = len(self.lines) - 1 if self.lines else None
        elif own is not None and event.kind in ("decision.held", "step.planned"):
            place = (self.planned if event.kind == "step.planned" else self.decided).get(own)
        return place if place is not None and _says_the_same(self.lines[place], event) else None

    def _cause(self, event: Event) -> int | None:
        """The place, from 1, of the line that this one followed from."""
        holders = _HOLDERS.get(event.reason, ()) if event.kind.startswith("decision.") else ()
        places = [self.kinds[kind] for kind in holders if kind in self.kinds]
        own = self.last.get(event.remediation) if event.remediation is not None else None
        if not places and own is not None and event.kind not in _OF_ITSELF:
            places = [own]
        return max(places) + 1 if places else None


def _says_the_same(line: Event, event: Event) -> bool:
    if line.kind != event.kind:
        return False
    if event.kind == "decision.held":
        return line.reason == event.reason
    if event.kind == "step.planned":
        return line.detail == event.detail
    return event.at - line.ended_at <= SAME and _alertname(line) == _alertname(event)


def _alertname(event: Event) -> str:
    return event.detail.partition(" ")[0]
