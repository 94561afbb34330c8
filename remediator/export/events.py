"""From records to the events of a story: all of them, and the few that are worth a person's time. Pure.

The short timeline leaves out what only leads up to something, tells a wait once however often it was looked at, and
says of each line from which earlier one it followed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from remediator.clock import parse_rfc3339
from remediator.export.content import Contents, TakenBack
from remediator.export.words import BEGAN, ROLLED_OUT, WORDS, Lane, Tone, words_of
from remediator.model import Json, Reason
from remediator.store.base import CommittedRecord

SAME = timedelta(minutes=1)
"""Alerts of one name that begin within this time of each other are one line."""

_DONE_NEXT = frozenset({"action.applied", "action.not-applied", "action.intent", "outcome.unknown"})
"""After an intent one of these says what became of it; the intent itself is then no news."""

_HOLDERS: Mapping[str, tuple[str, ...]] = {
    Reason.KILL_SWITCH: ("switch.engaged",),
    Reason.PAUSED_BY_PERSON: ("pause.set",),
    Reason.STORM: ("gate.entered",),
    Reason.SHARED_CAUSE: ("gate.entered",),
    Reason.CLUSTER_UNHEALTHY: ("gate.entered",),
}
"""Reason of a wait -> the events that it follows from."""


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a timeline.

    `seq` is the record's number; None: it is no record of its own. `follows` is the place, from 1, of an earlier event
    of the same timeline, None: of none. `until` is when a wait ends as it was said then; `times` and `last_at` count
    what was folded into it. `taken_back` are fields of the record whose content is gone.
    """

    at: datetime
    kind: str
    lane: Lane
    tone: Tone
    title: str
    detail: str
    seq: int | None = None
    remediation: int | None = None
    incident: int | None = None
    reason: str = ""
    by: str = ""
    until: datetime | None = None
    times: int = 1
    last_at: datetime | None = None
    follows: int | None = None
    taken_back: tuple[str, ...] = ()

    @property
    def ended_at(self) -> datetime:
        return self.last_at or self.at


def event_of(record: CommittedRecord, contents: Contents) -> Event:
    """The record as a line of the whole timeline."""
    body = record.body
    words = words_of(record.kind, body)
    return Event(
        at=record.at,
        kind=record.kind,
        lane=words.lane,
        tone=words.tone,
        title=words.title,
        detail=_detail(record, contents),
        seq=record.seq,
        remediation=record.remediation_id,
        incident=record.incident_id,
        reason=str(body.get("reason") or ""),
        by=contents.text(record, "by"),
        until=instant(body.get("until")),
        taken_back=contents.gone(record),
    )


def began_of(record: CommittedRecord, contents: Contents) -> Event | None:
    """When the alert of a received record began to fire; None where it does not say."""
    at = instant(record.body.get("starts_at"))
    if at is None:
        return None
    words = WORDS[BEGAN]
    received = f", received {record.at:%H:%M:%SZ}" if record.at - at >= timedelta(seconds=1) else ""
    return Event(
        at=min(at, record.at),
        kind=BEGAN,
        lane=words.lane,
        tone=words.tone,
        title=words.title,
        detail=_alert_line(record) + received,
        seq=record.seq,
        remediation=record.remediation_id,
        incident=record.incident_id,
        taken_back=contents.gone(record),
    )


def rolled_out_of(findings: Iterable[Json], *, before: datetime, within: timedelta) -> Event | None:
    """The release that the diagnosis found, if it began at most so long before the first alert."""
    found = next((one for one in findings if one["kind"] == "rollout"), None)
    at = None if found is None else instant(found["facts"].get("started_at"))
    if found is None or at is None or not before - within <= at <= before:
        return None
    facts, words = found["facts"], WORDS[ROLLED_OUT]
    images = ", ".join(str(image) for image in (facts.get("images") or {}).values())
    detail = f"revision {facts.get('revision')}" + (f" with {images}" if images else "")
    by = str(facts.get("by") or "")
    return Event(at, ROLLED_OUT, words.lane, words.tone, words.title, detail, by=by)


def curated(events: Sequence[Event]) -> tuple[Event, ...]:
    """The short timeline of these events, which are in the order of time."""
    kept: list[Event] = []
    next_of = _next_kinds(events)
    for number, event in enumerate(events):
        if not _is_worth_a_line(event, next_of[number]) or _is_said(kept, event):
            continue
        place = _same(kept, event)
        if place is None:
            kept.append(replace(event, follows=_cause(kept, event)))
        else:
            first = kept[place]
            kept[place] = replace(
                first, times=first.times + event.times, last_at=event.at, until=event.until or first.until
            )
    return tuple(kept)


def instant(value: Json) -> datetime | None:
    """A time as records write it; None for anything else, since what was taken back may stand there."""
    if not isinstance(value, str):
        return None
    try:
        return parse_rfc3339(value)
    except ValueError:
        return None


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


def _is_said(kept: Sequence[Event], event: Event) -> bool:
    """Whether it plans once more what it planned before: each look after a wait does."""
    if event.kind != "step.planned":
        return False
    last = next((one for one in reversed(kept) if _is_of(one, event) and one.kind == event.kind), None)
    return last is not None and last.detail == event.detail


def _same(kept: Sequence[Event], event: Event) -> int | None:
    """The place of the line that this one adds to, None: it is a line of its own."""
    if event.kind in (BEGAN, "alert.resolved"):
        is_same = bool(kept) and kept[-1].kind == event.kind and event.at - kept[-1].ended_at <= SAME
        return len(kept) - 1 if is_same and _head(kept[-1]) == _head(event) else None
    if event.kind != "decision.held":
        return None
    own = (n for n in range(len(kept) - 1, -1, -1) if _is_of(kept[n], event))
    last = next((n for n in own if kept[n].kind != "step.planned"), None)
    return last if last is not None and _wait(kept[last]) == _wait(event) else None


def _is_of(one: Event, other: Event) -> bool:
    return one.remediation is not None and one.remediation == other.remediation


def _wait(event: Event) -> tuple[str, str]:
    return event.kind, event.reason


def _head(event: Event) -> str:
    return event.detail.partition(" ")[0]


def _cause(kept: Sequence[Event], event: Event) -> int | None:
    """The place, from 1, of the line that this one followed from."""
    places = range(len(kept), 0, -1)
    holders = _HOLDERS.get(event.reason, ()) if event.kind.startswith("decision.") else ()
    if (place := next((n for n in places if kept[n - 1].kind in holders), None)) is not None:
        return place
    if event.kind == "audit.redacted" or event.remediation is None or event.kind == BEGAN:
        return None
    return next((n for n in places if kept[n - 1].remediation == event.remediation), None)


def _detail(record: CommittedRecord, contents: Contents) -> str:
    """The record's own words, or the ones that fit its kind."""
    body = record.body
    if record.kind.startswith("alert.") and record.kind != "alert.quarantined":
        return _alert_line(record)
    if record.kind == "step.planned":
        return _planned(record, contents)
    if record.kind == "audit.redacted":
        return f"{', '.join(body.get('fields') or ())} of record {body.get('redacted')}{_said(record, contents)}"
    if record.kind.startswith(("pause.", "ledger.")):
        return f"{body.get('what')} {body.get('subject')}{_said(record, contents)}"
    if record.kind.startswith("switch."):
        return _said(record, contents).lstrip(": ")
    if record.kind.startswith("outcome.") and isinstance(evidence := contents.get(record, "evidence"), Mapping):
        return _checks_line(evidence)
    if record.kind.startswith("rollout."):
        images = ", ".join(str(image) for image in (body.get("images") or {}).values())
        return f"{body.get('target')} revision {body.get('revision')} {images}".strip()
    return contents.text(record, "detail") or contents.text(record, "comment") or contents.text(record, "problem")


def _said(record: CommittedRecord, contents: Contents) -> str:
    comment = contents.text(record, "comment")
    return f": {comment}" if comment else ""


def _checks_line(evidence: Mapping[str, Json]) -> str:
    """The checks that passed by name, and what the others saw."""
    passed = [name for name, one in evidence.items() if one["look"] == "passed"]
    others = [f"{name} {one['look']}: {one['detail']}" for name, one in evidence.items() if one["look"] != "passed"]
    said = [f"{len(passed)} of {len(evidence)} passed: {', '.join(passed)}"] if passed else []
    return "; ".join([*others, *said])


def _planned(record: CommittedRecord, contents: Contents) -> str:
    cause, evidence = record.body.get("cause"), contents.get(record, "evidence")
    why = f" ({evidence})" if isinstance(evidence, TakenBack) else f" ({evidence[0]})" if evidence else ""
    return f"{cause}{why}; plan: {contents.text(record, 'detail')}"


def _alert_line(record: CommittedRecord) -> str:
    """The alert's name, and what its labels say it is about."""
    labels = record.body.get("labels") or {}
    about = [str(labels[name]) for name in ("namespace", "deployment", "pod", "container", "node") if labels.get(name)]
    return " ".join([str(labels.get("alertname", "")), *(["on", "/".join(about)] if about else [])])
