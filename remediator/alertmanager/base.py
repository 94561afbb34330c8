"""What the rest of the service knows of Alertmanager: the protocol `Alertmanager`, its answer and its error.

`alertmanager/client.py` implements it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from remediator.errors import TransientError
from remediator.model import Alert


class AlertmanagerUnavailable(TransientError):
    """No replica gave a usable answer."""


@dataclass(frozen=True, slots=True)
class Listed:
    """An alert as Alertmanager has it now. `muted_by` says what keeps it quiet (silences, inhibition, mute times)."""

    muted_by: tuple[str, ...]


class Alertmanager(Protocol):
    async def look_up(self, alert: Alert) -> Listed | None:
        """The alert by its fingerprint, None: no replica that answered has it. Raises AlertmanagerUnavailable."""

    async def close(self) -> None: ...
