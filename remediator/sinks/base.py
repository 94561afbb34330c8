"""What a sink is: somewhere committed records are told. At least once, in order, each sink with its own place."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from remediator.store.base import CommittedRecord

LEADS_UP = frozenset({"alert.received", "alert.resolved", "step.diagnosing", "step.diagnosed", "step.planned"})
"""What only leads up to a decision."""


class Sink(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def silent_on(self) -> Collection[str]:
        """Kinds of records that it has nothing to say of: they are not even read. In a storm nearly all are such."""

    async def tell(self, record: CommittedRecord) -> None:
        """Tell one record; telling it twice must do no harm. Raises TransientError to be asked again later, and
        PermanentError to have the record passed over (and counted)."""
