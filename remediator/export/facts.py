"""The facts at the head of a story: what it was about, how it ended, and the five moments that people ask for. Pure.

*Well again* (`recovered_at`) is when an action of ours was verified; without one, when Alertmanager had reported the
last of the incident's alerts as resolved, by its own `endsAt`. Time to recover counts from when the first alert began
to fire (`startsAt`), not from when it reached us: that is what users waited (the Site Reliability Workbook's "time to
mitigate"). A verification's own waiting time is part of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from remediator.export.attempts import Attempt, helped, is_only_mode
from remediator.export.times import length
from remediator.export.words import WORDS
from remediator.model import Json, State
from remediator.reasons import Reason
from remediator.store.base import CommittedRecord
from remediator.store.reading import IncidentRow

OBJECT = ("cluster", "kind", "namespace", "name", "uid")


class Recovery(StrEnum):
    """How it became well again, as far as the records tell."""

    AFTER_ACTION = "after an action"
    """An action was verified."""
    ALONE = "alone"
    """The alert was resolved before anything was done, and before we had asked people to do anything."""
    AFTER_TOLD = "after people were told"
    """The alert was resolved after a recommendation or a hand-over: alone or by people, the records cannot tell."""
    NOT = "not seen"


@dataclass(frozen=True, slots=True)
class Facts:
    """`object` are cluster, kind, namespace, name and uid; `chain` is how the target was found. Instants are UTC, None
    for what did not happen. `ending` is our word for how it ended, `plan` what was done or would have been."""

    ref: str
    title: str
    target: str
    object: tuple[tuple[str, str], ...]
    chain: tuple[str, ...]
    severity: int | None
    rule: str
    rule_digest: str
    mode: str
    contact: str
    runbook_url: str
    outcome: str
    reason: str
    began_at: datetime | None
    received_at: datetime | None
    decided_at: datetime | None
    acted_at: datetime | None
    verified_at: datetime | None
    recovered_at: datetime | None
    closed_at: datetime | None
    recovery: Recovery
    ending: str
    plan: str

    @property
    def time_to_recover(self) -> timedelta | None:
        if self.began_at is None or self.recovered_at is None:
            return None
        return max(self.recovered_at - self.began_at, timedelta(0))

    @property
    def is_open(self) -> bool:
        return self.closed_at is None

    @property
    def well(self) -> str:
        """Whether and when it was well again, as a sentence."""
        if self.time_to_recover is not None:
            return f"Well again {length(self.time_to_recover)} after it began, {self.recovery}."
        return "It goes on." if self.is_open else "Not seen to be well again."


def facts_of(row: IncidentRow, attempts: Sequence[Attempt], records: Sequence[CommittedRecord]) -> Facts:
    bodies = [record.body for record in records]
    target: Mapping[str, Json] = next((body["object"] for body in reversed(bodies) if body.get("object")), {})
    firing = [one.firing for one in attempts if one.firing is not None]
    best = helped(attempts)
    newest = attempts[-1] if attempts else None
    decisive = best or newest
    return Facts(
        ref=f"inc-{row.id}",
        title=row.title,
        target=row.target,
        object=tuple((name, str(target[name] or "")) for name in OBJECT if name in target),
        chain=tuple(map(str, next((body["target_chain"] for body in bodies if body.get("target_chain")), ()))),
        severity=row.severity,
        rule=(decisive.rule if decisive else "") or row.rule or "",
        rule_digest=decisive.rule_digest if decisive else "",
        mode=decisive.mode if decisive else "",
        contact=_last_text(records, "contact"),
        runbook_url=_last_text(records, "runbook_url"),
        outcome=row.outcome,
        reason=row.reason,
        began_at=_first(one.began_at for one in firing),
        received_at=next((record.at for record in records if record.kind == "alert.received"), None),
        decided_at=_first(one.decided_at for one in attempts),
        acted_at=_first(one.acted_at for one in attempts),
        verified_at=None if best is None else best.verified_at,
        recovered_at=_resolved_at(attempts) if best is None else best.verified_at,
        closed_at=row.closed_at,
        recovery=recovery_of(attempts),
        ending=_ending(decisive),
        plan=decisive.summary if decisive else "",
    )


def recovery_of(attempts: Sequence[Attempt]) -> Recovery:
    if helped(attempts) is not None:
        return Recovery.AFTER_ACTION
    if _resolved_at(attempts) is None:
        return Recovery.NOT
    is_alone = all(one.state == State.CANCELLED and one.reason == Reason.ALERT_RESOLVED for one in attempts)
    return Recovery.ALONE if is_alone else Recovery.AFTER_TOLD


def _resolved_at(attempts: Sequence[Attempt]) -> datetime | None:
    """When the last alert was resolved; None while any of them fires."""
    ends = [None if one.firing is None else one.firing.resolved_at for one in attempts]
    return max((end for end in ends if end is not None), default=None) if None not in ends else None


def _first(instants: Iterable[datetime | None]) -> datetime | None:
    return min((at for at in instants if at is not None), default=None)


def _last_text(records: Sequence[CommittedRecord], name: str) -> str:
    return next((str(value) for record in reversed(records) if (value := record.body.get(name))), "")


_ENDS = {
    State.VERIFIED: "outcome.verified",
    State.TEMPORARY: "outcome.temporary",
    State.FAILED: "outcome.failed",
    State.UNKNOWN: "outcome.unknown",
    State.REVERTED: "outcome.reverted",
    State.RECOMMENDED: "decision.recommended",
    State.ESCALATED: "decision.escalated",
    State.DECLINED: "decision.declined",
    State.CANCELLED: "decision.cancelled",
    State.EXPIRED: "decision.expired",
}


def _ending(decisive: Attempt | None) -> str:
    if decisive is None:
        return "Opened"
    if is_only_mode(decisive):
        return "Recommended, not done: silent mode"
    state = State(decisive.state)
    kind = _ENDS.get(state)
    return f"Still {state.replace('_', ' ')}" if kind is None else WORDS[kind].title
