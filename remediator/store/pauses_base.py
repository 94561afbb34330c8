"""What is asked of the pauses that people set for one rule, namespace or target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from remediator.model import Target


class PauseOf(StrEnum):
    """What a pause is of."""

    RULE = "rule"
    NAMESPACE = "namespace"
    TARGET = "target"


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing is written for that rule, in that namespace or to that target, until `until` (None: a person says so).

    A target is written as records write it: `shop/deployment/checkout`.
    """

    what: PauseOf
    subject: str
    by: str
    comment: str
    at: datetime
    until: datetime | None

    def holds(self, rule: str, target: Target, now: datetime) -> bool:
        if self.until is not None and self.until <= now:
            return False
        own = {PauseOf.RULE: rule, PauseOf.NAMESPACE: target.namespace, PauseOf.TARGET: str(target)}
        return own[self.what] == self.subject


class Pauses(Protocol):
    """Every method raises StoreUnavailable when the database cannot answer."""

    async def pauses(self) -> Sequence[Pause]:
        """All that are set, also those that ran out, by what and subject."""

    async def set_pause(self, pause: Pause) -> None:
        """In place of an earlier one of the same. Also writes a record (`pause.set`)."""

    async def lift_pause(self, what: PauseOf, subject: str, *, by: str, comment: str, at: datetime) -> bool:
        """Whether there was one; then also a record (`pause.lifted`)."""
