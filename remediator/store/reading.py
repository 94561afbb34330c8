"""What people read: incidents and their remediations. Apart from `Store`: the way of an alert needs none of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from remediator.model import IncidentId, Json, Remediation
from remediator.store.base import CommittedRecord
from remediator.store.escalations_base import Escalation


@dataclass(frozen=True, slots=True)
class IncidentRow:
    """One line of `incidents list`. `outcome` is the state of its newest remediation, `reason` that one's reason."""

    id: IncidentId
    title: str
    target: str
    severity: int | None
    outcome: str
    reason: str
    rule: str | None
    opened_at: datetime
    closed_at: datetime | None


@dataclass(frozen=True, slots=True)
class IncidentView:
    """An incident whole: its remediations (with their diagnoses by remediation id), every record and its escalations,
    oldest first."""

    row: IncidentRow
    remediations: Sequence[Remediation]
    diagnoses: Mapping[int, Json]
    records: Sequence[CommittedRecord]
    escalations: Sequence[Escalation]


@dataclass(frozen=True, slots=True)
class Untold:
    """The records in `(after, upto]` that a sink has something to say of, oldest first."""

    after: int
    upto: int
    records: Sequence[CommittedRecord]


class IncidentReader(Protocol):
    async def incidents(self, *, limit: int, open_only: bool) -> Sequence[IncidentRow]:
        """Newest first."""

    async def incident(self, incident_id: IncidentId) -> IncidentView | None: ...

    async def queue_depth(self) -> Mapping[str, int]:
        """State -> how many remediations are in it, for states that are not final."""

    async def open_escalations(self) -> Mapping[tuple[int, bool], int]:
        """(severity, whether acknowledged) -> how many escalations are open."""

    async def begin_cursors(self, sinks: Sequence[str]) -> Mapping[str, int]:
        """Give each sink that was never heard of its place: after the last record, so that nobody is told what happened
        long ago. The new ones -> how many records they are not told."""

    async def untold(self, sink: str, *, but: Collection[str], limit: int) -> Untold:
        """The next records for a sink, at most `limit`, without those of the kinds `but`."""

    async def cursor(self, sink: str) -> int:
        """The last record that the sink has been told."""

    async def move_cursor(self, sink: str, *, after: int, to: int) -> bool:
        """From where it was read; False: another replica has moved it meanwhile, and it stays where that left it."""
