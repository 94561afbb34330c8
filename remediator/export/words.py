"""What each kind of record is called in a story, in which lane it stands, and whether it is worth a person's time.

One table, in the order of the way of an alert. A kind that is not in it is shown under its own name, and is worth a
line when a person stands behind it. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from remediator.model import Json
from remediator.reasons import Reason
from remediator.sinks.kubernetes_event import VERBS


class Lane(StrEnum):
    """Where an event stands in the picture, from top to bottom."""

    ALERT = "alert"
    DECISION = "decision"
    ACTION = "action"
    VERIFICATION = "verification"
    PEOPLE = "people"


class Tone(StrEnum):
    """How it went, told by shape and word as well as by colour."""

    PLAIN = "plain"
    GOOD = "good"
    BAD = "bad"
    WAITS = "waits"


@dataclass(frozen=True, slots=True)
class Words:
    """`is_curated`: worth a line of the short timeline."""

    lane: Lane
    tone: Tone
    title: str
    is_curated: bool = True


BEGAN = "alert.began"
"""Not a record: when the alert began to fire, as Alertmanager said."""
ROLLED_OUT = "rollout.began"
"""Not a record: the release that a diagnosis found before the alert."""

WORDS: Mapping[str, Words] = {
    ROLLED_OUT: Words(Lane.PEOPLE, Tone.PLAIN, "Released"),
    BEGAN: Words(Lane.ALERT, Tone.BAD, "Began to fire"),
    "alert.received": Words(Lane.ALERT, Tone.PLAIN, "Received", is_curated=False),
    "alert.resolved": Words(Lane.ALERT, Tone.GOOD, "Resolved"),
    "alert.quarantined": Words(Lane.ALERT, Tone.BAD, "Set aside", is_curated=False),
    "step.diagnosing": Words(Lane.DECISION, Tone.PLAIN, "Looked at", is_curated=False),
    "step.diagnosed": Words(Lane.DECISION, Tone.PLAIN, "Diagnosed", is_curated=False),
    "step.planned": Words(Lane.DECISION, Tone.PLAIN, "Diagnosed and planned"),
    "gate.entered": Words(Lane.DECISION, Tone.WAITS, "Common cause seen"),
    "decision.recommended": Words(Lane.DECISION, Tone.PLAIN, "Recommended"),
    "decision.held": Words(Lane.DECISION, Tone.WAITS, "Held"),
    "decision.awaiting-approval": Words(Lane.DECISION, Tone.WAITS, "Asked a person"),
    "approval.granted": Words(Lane.PEOPLE, Tone.GOOD, "Approved"),
    "approval.denied": Words(Lane.PEOPLE, Tone.BAD, "Denied"),
    "decision.escalated": Words(Lane.DECISION, Tone.BAD, "Handed to people"),
    "decision.declined": Words(Lane.DECISION, Tone.PLAIN, "Declined"),
    "decision.cancelled": Words(Lane.DECISION, Tone.PLAIN, "Nothing to do any more"),
    "decision.expired": Words(Lane.DECISION, Tone.BAD, "No decision in time"),
    "action.intent": Words(Lane.ACTION, Tone.PLAIN, "About to act"),
    "action.not-applied": Words(Lane.ACTION, Tone.BAD, "Not done"),
    "action.applied": Words(Lane.ACTION, Tone.GOOD, "Acted"),
    "outcome.verified": Words(Lane.VERIFICATION, Tone.GOOD, "Verified"),
    "outcome.temporary": Words(Lane.VERIFICATION, Tone.GOOD, "Verified, for a time"),
    "outcome.failed": Words(Lane.VERIFICATION, Tone.BAD, "Did not help"),
    "outcome.unknown": Words(Lane.VERIFICATION, Tone.BAD, "Outcome unknown"),
    "revert.intent": Words(Lane.ACTION, Tone.WAITS, "Reverting"),
    "restore.intent": Words(Lane.ACTION, Tone.WAITS, "Giving back"),
    "outcome.reverted": Words(Lane.ACTION, Tone.PLAIN, "Reverted"),
    "escalation.opened": Words(Lane.PEOPLE, Tone.WAITS, "Told people"),
    "escalation.joined": Words(Lane.PEOPLE, Tone.PLAIN, "Told people of a further cause", is_curated=False),
    "escalation.reminded": Words(Lane.PEOPLE, Tone.PLAIN, "Reminded", is_curated=False),
    "escalation.passed-on": Words(Lane.PEOPLE, Tone.WAITS, "Told the next person"),
    "escalation.unanswered": Words(Lane.PEOPLE, Tone.BAD, "Nobody answered"),
    "escalation.acknowledged": Words(Lane.PEOPLE, Tone.GOOD, "Acknowledged"),
    "escalation.ended": Words(Lane.PEOPLE, Tone.PLAIN, "Escalation over", is_curated=False),
    "switch.engaged": Words(Lane.PEOPLE, Tone.WAITS, "Kill switch engaged"),
    "switch.released": Words(Lane.PEOPLE, Tone.GOOD, "Kill switch released"),
    "pause.set": Words(Lane.PEOPLE, Tone.WAITS, "Paused"),
    "pause.lifted": Words(Lane.PEOPLE, Tone.GOOD, "Pause lifted"),
    "ledger.reset": Words(Lane.PEOPLE, Tone.PLAIN, "Counting begins anew"),
    "score.judged": Words(Lane.VERIFICATION, Tone.PLAIN, "Judged by what happened without us", is_curated=False),
    "score.said": Words(Lane.PEOPLE, Tone.PLAIN, "Recommendation judged by a person"),
    "rollout.proven-good": Words(Lane.PEOPLE, Tone.GOOD, "Release proven good", is_curated=False),
    "rollout.stable": Words(Lane.PEOPLE, Tone.GOOD, "Release stable", is_curated=False),
    "audit.redacted": Words(Lane.PEOPLE, Tone.PLAIN, "Content taken back"),
    "audit.confirmed": Words(Lane.PEOPLE, Tone.PLAIN, "Audit log confirmed"),
    "audit.epoch": Words(Lane.PEOPLE, Tone.WAITS, "Audit log begun anew"),
    "audit.broken": Words(Lane.DECISION, Tone.BAD, "Audit log broken"),
}

_LANES = {"alert": Lane.ALERT, "action": Lane.ACTION, "outcome": Lane.VERIFICATION, "audit": Lane.PEOPLE}


def words_of(kind: str, body: Mapping[str, Json]) -> Words:
    """The words for a record of that kind, with its action and reason where these say more."""
    known = WORDS.get(kind)
    if known is None:
        has_person = isinstance(body.get("by"), str)
        lane = Lane.PEOPLE if has_person else _LANES.get(kind.partition(".")[0], Lane.DECISION)
        return Words(lane, Tone.PLAIN, kind, is_curated=has_person)
    if (verbs := VERBS.get(str(body.get("action") or ""))) is None:
        return known
    if kind == "action.applied":
        return Words(known.lane, known.tone, _spaced(verbs[1]))
    if kind == "decision.recommended" and body.get("reason") != Reason.ROW_RECOMMENDS:
        return Words(known.lane, known.tone, _spaced(verbs[0]))
    return known


def _spaced(word: str) -> str:
    """`WouldRollBack` -> `Would roll back`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", word).capitalize()
