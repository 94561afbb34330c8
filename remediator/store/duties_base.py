"""What one replica does for all, and who it is now: the protocol `Duties`.

A duty lease saves work, and is no fence: what a duty changes in the store stays right when two replicas do it at once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Duty:
    """`owner` has it until `until`, by its own clock, if it does not prolong it. `epoch` counts its owners."""

    name: str
    owner: str
    until: datetime
    epoch: int


@dataclass(frozen=True, slots=True)
class Held:
    """Which duties are ours, name -> epoch; and by how much our clock is ahead of the database's, negative: behind.
    Zero where the database has none of its own."""

    epochs: Mapping[str, int] = field(default_factory=dict)
    clock_ahead: timedelta = timedelta()


class Duties(Protocol):
    """Every method raises StoreUnavailable when the database cannot answer."""

    @property
    def is_shared(self) -> bool:
        """Whether another process can have a duty: what is given up with nobody to take it is only done later."""

    async def hold_duties(self, names: Collection[str], *, owner: str, lease: timedelta) -> Held:
        """Prolong those that are ours, and take those that nobody has or whose lease ran out; all at once."""

    async def leave_duties(self, names: Collection[str] | None = None, *, owner: str) -> None:
        """Give up those that are ours, None: all, so that another may take them at once."""

    async def duties(self) -> Sequence[Duty]:
        """All that anybody ever had, by name."""
