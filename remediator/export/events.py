"""From records to the events of a story, in words for people. Pure.

`short.py` picks the few that are worth a person's time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from remediator.clock import parse_rfc3339
from remediator.export.content import Contents, TakenBack
from remediator.export.words import BEGAN, ROLLED_OUT, WORDS, Lane, Tone, words_of
from remediator.model import Json
from remediator.store.base import CommittedRecord


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
    facts = next((one.get("facts") or {} for one in findings if one.get("kind") == "rollout"), {})
    at = instant(facts.get("started_at"))
    if at is None or not before - within <= at <= before:
        return None
    words = WORDS[ROLLED_OUT]
    images = ", ".join(str(image) for image in (facts.get("images") or {}).values())
    detail = f"revision {facts.get('revision')}" + (f" with {images}" if images else "")
    by = str(facts.get("by") or "")
    return Event(at, ROLLED_OUT, words.lane, words.tone, words.title, detail, by=by)


def instant(value: Json) -> datetime | None:
    """A time as records write it; None for anything else, since what was taken back may stand there."""
    if not isinstance(value, str):
        return None
    try:
        return parse_rfc3339(value)
    except ValueError:
        return None


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
    if record.kind.startswith(("switch.", "approval.")):
        return contents.text(record, "comment")
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
    passed = [name for name, one in evidence.items() if one.get("look") == "passed"]
    others = [
        f"{name} {one.get('look', '')}: {one.get('detail', '')}"
        for name, one in evidence.items()
        if one.get("look") != "passed"
    ]
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
