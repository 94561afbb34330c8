"""What is asked of the store of escalations: that people are needed, who of them was told, and who acknowledged it.

An escalation is of one incident, or of one gate. It is opened in the transaction of what causes it (`Change.call`), and
ends by itself when nothing of it fires any more, or when its gate is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from remediator.errors import RemediatorError
from remediator.model import EscalationId, IncidentId, RemediationId, Target
from remediator.reasons import Reason


class NotOpen(RemediatorError):
    """There is no such escalation, it has ended, or somebody has acknowledged it before."""


@dataclass(frozen=True, slots=True)
class Call:
    """That people are needed, and why. `contact` is the row of the escalation matrix, `tell` the first of it, who has
    `wait` to answer."""

    contact: str
    tell: str
    wait: timedelta
    severity: int
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Escalation:
    """One escalation as it stands.

    It is of `incident_id`, caused first by `remediation_id`, or of `gate`; `title` is the alert's name, or the gate's
    key. `told` was told last, as number `level` of its row; then `reminders` times again. `next_at` is when the next
    one is told, None: nobody is, because it was acknowledged, has ended, or nobody is left. `needs_person`: it was
    opened when nothing fired any more, so that only a person can end it. `ended` says why it did.
    """

    id: EscalationId
    incident_id: IncidentId | None
    remediation_id: RemediationId | None
    cluster: str
    gate: str | None
    title: str
    target: Target | None
    rule: str | None
    contact: str
    severity: int
    level: int
    reminders: int
    told: str
    reason: Reason
    detail: str
    needs_person: bool
    opened_at: datetime
    next_at: datetime | None
    acked_at: datetime | None
    acked_by: str | None
    acked_comment: str | None
    ended_at: datetime | None
    ended: str | None

    @property
    def ref(self) -> str:
        """How people write it."""
        return f"E-{self.id}"


class Further(StrEnum):
    """What happens when nobody acknowledged in time. The value is the last word of the record's kind."""

    PASSED_ON = "passed-on"
    REMINDED = "reminded"
    UNANSWERED = "unanswered"


@dataclass(frozen=True, slots=True)
class Following:
    """What happens next to an escalation: `tell` hears of it and has `wait` to answer; None: nobody is left to tell."""

    step: Further
    tell: str
    wait: timedelta | None


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Somebody has taken it on. `closes`: it is also over, as they say, whatever fires."""

    by: str
    comment: str
    at: datetime
    closes: bool = False


class Escalations(Protocol):
    """Every method raises StoreUnavailable when the database cannot answer."""

    async def escalations(self) -> Sequence[Escalation]:
        """The open ones, most severe first, then the oldest."""

    async def due_escalations(self, *, at: datetime, limit: int) -> Sequence[Escalation]:
        """The open ones that nobody acknowledged in time, the longest due first."""

    async def pass_on(self, seen: Escalation, following: Following, *, at: datetime) -> bool:
        """Commit the next step of one that stands as it was seen. False: another replica was faster, or it has been
        acknowledged or has ended meanwhile; then nothing is written."""

    async def end_left_gates(self, *, at: datetime) -> int:
        """End the escalations whose gate was left. How many there were."""

    async def acknowledge(self, escalation: EscalationId, said: Acknowledgement) -> Escalation:
        """Nobody further is told. It ends when nothing of it fires, or `said` closes it. Raises NotOpen."""
