"""What is known of alerts, for the comparison with what Alertmanager lists: the protocol `KnownAlerts` and its value.

`store/known.py` implements it; `alertmanager/reconcile.py` asks.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class KnownAlert:
    """An episode as it is stored. `labels` are without secrets, so that they may be others than Alertmanager has;
    `receiver` is as the webhook had it."""

    fingerprint: str
    starts_at: datetime
    is_firing: bool
    labels: Mapping[str, str]
    receiver: str
    last_received_at: datetime
    times_received: int = 1
    resolved_at: datetime | None = None


class KnownAlerts(Protocol):
    """Every method raises StoreUnavailable when the database cannot answer."""

    async def of(self, fingerprints: Collection[str]) -> Sequence[KnownAlert]:
        """All episodes of these fingerprints."""

    async def firing(self, *, received_before: datetime, limit: int) -> Sequence[KnownAlert]:
        """Episodes that fire as far as anybody said, and that nobody spoke of since: the longest first."""
