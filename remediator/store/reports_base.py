"""What reports ask of the store: what came, what was done, what waits, in a bounded time. `store/reports.py` answers.

Apart from `Store`: the way of an alert needs none of it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from remediator.model import Outcome
from remediator.store.base import CommittedRecord


@dataclass(frozen=True, slots=True)
class Came:
    """A remediation by the alert that it came with, as it stands now. `target` is empty where none was found.

    `resolved_at` is when Alertmanager said that the alert had ended; None: it fires, or nobody said so.
    """

    remediation: int
    incident: int | None
    alert: str
    rule: str
    state: str
    reason: str
    mode: str
    severity: int | None
    target: str
    began_at: datetime
    received_at: datetime
    resolved_at: datetime | None


@dataclass(frozen=True, slots=True)
class Step:
    """A record of a remediation, without its content: `reason` is why the answer was no."""

    remediation: int
    kind: str
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Debited:
    """A line of the ledger of actions: one that was begun, or in silent mode would have been. `outcome` None: not known
    yet."""

    remediation: int
    incident: int | None
    rule: str
    action: str
    target: str
    at: datetime
    outcome: Outcome | None
    is_shadow: bool


@dataclass(frozen=True, slots=True)
class Waiting:
    """A remediation that waits until `until`, why, and how its last record put it."""

    remediation: int
    incident: int | None
    state: str
    reason: str
    detail: str
    rule: str
    severity: int | None
    target: str
    until: datetime


class ReportReader(Protocol):
    """Every method raises StoreUnavailable when the database cannot answer."""

    async def came(self, since: datetime, until: datetime) -> Sequence[Came]:
        """What came in that time, oldest first."""

    async def steps(self, since: datetime, until: datetime, kinds: Collection[str]) -> Sequence[Step]:
        """The records of these kinds and of that time, in order."""

    async def debited(self, since: datetime, until: datetime) -> Sequence[Debited]:
        """The actions of that time that were not taken back, oldest first."""

    async def counted(self, since: datetime, until: datetime) -> Mapping[str, int]:
        """Kind -> how many records of that time."""

    async def told(
        self, since: datetime, until: datetime, kinds: Collection[str], *, limit: int
    ) -> Sequence[CommittedRecord]:
        """The newest records of these kinds and of that time, newest first."""

    async def waiting(self, *, limit: int) -> Sequence[Waiting]:
        """What waits now, most severe first."""
