"""What the rest of the service knows of Alertmanager: the protocol `Alertmanager`, its answer and its error.

`alertmanager/client.py` implements it, and `Lists` for `alertmanager/reconcile.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from remediator.errors import TransientError
from remediator.model import Alert, Json


class AlertmanagerUnavailable(TransientError):
    """No replica gave a usable answer."""


@dataclass(frozen=True, slots=True)
class Listed:
    """An alert as Alertmanager has it now. `muted_by` says what keeps it quiet (silences, inhibition, mute times)."""

    muted_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """All alerts that any replica lists, each once, whether quieted or not: as the API has them.

    `started_at` is when the replica started that started last, None: one of them does not answer, and may know more.
    """

    alerts: Sequence[Json]
    started_at: datetime | None


class Lists(Protocol):
    async def listing(self) -> Listing:
        """Raises AlertmanagerUnavailable if no replica answers."""


class Alertmanager(Protocol):
    async def look_up(self, alert: Alert) -> Listed | None:
        """The alert by its fingerprint, None: no replica that answered has it. Raises AlertmanagerUnavailable."""

    async def close(self) -> None: ...
