"""The story of one incident: the one frozen value that every renderer reads. Pure.

`stream.py` makes it from what the store knows; nothing of it is read from the rows that may still hold exact requests.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from remediator.export.attempts import Attempt, attempt_of
from remediator.export.content import Contents, Redaction, TakenBack, redactions_of
from remediator.export.events import Event, began_of, event_of, rolled_out_of
from remediator.export.facts import Facts, facts_of
from remediator.export.short import curated
from remediator.export.words import Lane
from remediator.model import Json
from remediator.store.base import CommittedRecord
from remediator.store.reading import IncidentView

RELEASED_WITHIN = timedelta(hours=2)
"""A release so long before the first alert belongs to its story: as long as it is watched."""

ROLES = ("Incident commander", "Operations", "Communications", "Scribe")
"""Who a runbook names for an incident; people fill in the names."""

TO_FILL: Mapping[str, str] = {
    "Impact": "Who noticed, what did not work, for how long, how many.",
    "Root cause": "Why it could happen; the cause above is only where it showed.",
    "Lessons": "What went well, what did not, where luck helped.",
    "Follow-ups": "What will be changed, by whom, until when.",
}
"""Sections that people fill in -> what belongs there."""


@dataclass(frozen=True, slots=True)
class RuleAsItWas:
    """A rule by its digest; `text` as it was loaded then, None where no record of these holds it."""

    name: str
    digest: str
    text: Mapping[str, Json] | TakenBack | None


@dataclass(frozen=True, slots=True)
class Found:
    """One finding of a diagnosis: `text` is what a log said, empty for the others."""

    remediation: int
    kind: str
    summary: str
    text: str


@dataclass(frozen=True, slots=True)
class Story:
    """`timeline` is the short one, `whole` every event; `records` are those of the incident and, between them in the
    order of the log, those that concern it. `diagnoses` is remediation -> its findings as JSON, `TakenBack` where
    their evidence was taken back."""

    facts: Facts
    timeline: tuple[Event, ...]
    whole: tuple[Event, ...]
    attempts: tuple[Attempt, ...]
    rules: tuple[RuleAsItWas, ...]
    found: tuple[Found, ...]
    redactions: tuple[Redaction, ...]
    diagnoses: Mapping[int, Json | TakenBack]
    records: Sequence[CommittedRecord]
    made_at: datetime

    @property
    def people(self) -> tuple[Event, ...]:
        """What people did, and what they were told."""
        theirs = (event for event in self.whole if event.lane is Lane.PEOPLE)
        return tuple(event for event in theirs if not event.kind.startswith("rollout."))


def story_of(view: IncidentView, *, around: Sequence[CommittedRecord] = (), made_at: datetime) -> Story:
    """`around` are records of no incident that concern this one: pauses, the kill switch, gates, releases."""
    redactions = redactions_of(view.records)
    contents = Contents(redactions)
    records = sorted([*view.records, *around], key=lambda record: record.seq)
    own: dict[int | None, list[CommittedRecord]] = defaultdict(list)
    for record in view.records:
        own[record.remediation_id].append(record)
    attempts = tuple(attempt_of(one, own[one.id], contents) for one in view.remediations)
    facts = facts_of(view.row, attempts, view.records)
    diagnoses = _diagnoses(view, attempts)
    whole = _events(records, contents)
    released = _released(diagnoses, facts.began_at)
    short = curated(sorted([*released, *_with_beginnings(records, whole, contents)], key=lambda event: event.at))
    return Story(
        facts=facts,
        timeline=short,
        whole=whole,
        attempts=attempts,
        rules=_rules(view.records, contents),
        found=tuple(_found(diagnoses)),
        redactions=redactions,
        diagnoses=diagnoses,
        records=records,
        made_at=made_at,
    )


def events_of(records: Sequence[CommittedRecord]) -> tuple[Event, ...]:
    """The whole timeline of records that belong together."""
    return _events(records, Contents(redactions_of(records)))


def _events(records: Sequence[CommittedRecord], contents: Contents) -> tuple[Event, ...]:
    return tuple(event_of(record, contents) for record in records)


def _with_beginnings(
    records: Sequence[CommittedRecord], events: Sequence[Event], contents: Contents
) -> Iterable[Event]:
    for record, event in zip(records, events, strict=True):
        began = began_of(record, contents) if record.kind == "alert.received" else None
        if began is not None:
            yield began
        yield event


def _released(diagnoses: Mapping[int, Json | TakenBack], began_at: datetime | None) -> list[Event]:
    for diagnosis in diagnoses.values():
        if began_at is None or isinstance(diagnosis, TakenBack):
            continue
        event = rolled_out_of(findings_of(diagnosis), before=began_at, within=RELEASED_WITHIN)
        if event is not None:
            return [event]
    return []


def _diagnoses(view: IncidentView, attempts: Sequence[Attempt]) -> Mapping[int, Json | TakenBack]:
    """What is kept of each diagnosis; what went with its evidence is said to be gone."""
    kept: dict[int, Json | TakenBack] = {}
    for attempt in attempts:
        if attempt.remediation in view.diagnoses:
            kept[attempt.remediation] = view.diagnoses[attempt.remediation]
        elif isinstance(attempt.evidence, TakenBack):
            kept[attempt.remediation] = attempt.evidence
    return kept


def _found(diagnoses: Mapping[int, Json | TakenBack]) -> Iterable[Found]:
    for remediation, diagnosis in diagnoses.items():
        for one in () if isinstance(diagnosis, TakenBack) else findings_of(diagnosis):
            kind, facts = str(one.get("kind", "")), one.get("facts") or {}
            text = str(facts.get("text") or "") if kind == "log" else ""
            yield Found(remediation, kind, str(one.get("summary", "")), text)


def findings_of(diagnosis: Json) -> Sequence[Mapping[str, Json]]:
    """The findings of a diagnosis as it is kept; none where it has none."""
    found: Sequence[Mapping[str, Json]] = diagnosis.get("findings") or ()
    return found


def _rules(records: Sequence[CommittedRecord], contents: Contents) -> tuple[RuleAsItWas, ...]:
    """Each rule once for each text it had, in the order in which they were first used."""
    found: dict[str, RuleAsItWas] = {}
    for record in records:
        digest = record.body.get("rule_digest")
        if not isinstance(digest, str) or not digest:
            continue
        text = contents.get(record, "rule_text")
        known = found.get(digest)
        if known is None or (text is not None and not isinstance(known.text, Mapping)):
            found[digest] = RuleAsItWas(str(record.body.get("rule") or ""), digest, text)
    return tuple(found.values())
