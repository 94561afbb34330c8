"""What is asked of the memory of common causes: who alerts, what they share, and which gates were seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from remediator.model import Target
from remediator.verdicts import AffectedPod


@dataclass(frozen=True, slots=True)
class SeenGate:
    """A gate as people see it: since when, when it was last seen, and when it is left if it is not seen again."""

    cluster: str
    key: str
    reason: str
    detail: str
    since: datetime
    seen_at: datetime
    until: datetime


class Gates(Protocol):
    """Every method raises StoreUnavailable when the database cannot answer."""

    async def alerting_targets(self, *, cluster: str, since: datetime) -> int:
        """How many different targets have an alert that came after `since`."""

    async def alerts_unseen(self, *, since: datetime, at_most: int) -> int:
        """How many alerts came after `since` of which the target is not known yet; counted up to `at_most`."""

    async def alerts_since(
        self, target: Target, *, since: datetime, dependents: Sequence[tuple[str, str | None]], besides: str
    ) -> Sequence[str]:
        """Names of alerts that began after `since` and fire, on the target or on a target of one of these rules, in
        that namespace of its cluster (None: in any); without those named `besides`."""

    async def alert_changes(self, fingerprint: str, *, since: datetime) -> Sequence[datetime]:
        """When the alert changed between firing and resolved, oldest first."""

    async def affected_pods(self, *, cluster: str, since: datetime, limit: int = 2000) -> Sequence[AffectedPod]:
        """The pods that did not work when their targets were last looked at, newest look first."""

    async def gate_seen_at(self, key: str, *, cluster: str) -> datetime | None: ...

    async def gates(self, *, at: datetime) -> Sequence[SeenGate]:
        """Those that are not left yet, oldest first."""
