"""What is remembered of the watchdog alert: the protocol `WatchdogStore` and its value.

`store/watchdog.py` implements it; `remediator/watchdog.py` decides by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Heard:
    """When the watchdog alert last fired here, and when it was last reported as resolved, None: never.

    What was reported as resolved by `confirmed_to` is confirmed: it fired for long enough after that.
    """

    seen_at: datetime
    resolved_at: datetime | None
    confirmed_to: datetime


class WatchdogStore(Protocol):
    """Every method raises StoreUnavailable when the database cannot answer."""

    async def heard(self, *, at: datetime, fires: bool, confirm: timedelta) -> None:
        """It came, firing or resolved. Firing confirms what was resolved at least `confirm` before, and ends the
        escalations of which nothing fires any more. One that never fired here cannot be resolved."""

    async def read(self) -> Heard | None:
        """None: it never came."""

    async def forget(self) -> None:
        """It is not awaited any more: what is reported as resolved counts at once, as before it ever came."""

    async def resolved_at(self, fingerprint: str, starts_at: datetime) -> datetime | None:
        """When that episode, or a later one of the fingerprint, was first reported as resolved; None: it was not."""
