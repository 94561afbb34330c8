"""What a sink is: somewhere committed records are told. At least once, in order, each sink with its own place."""

from __future__ import annotations

from typing import Protocol

from remediator.store.base import CommittedRecord


class Sink(Protocol):
    @property
    def name(self) -> str: ...

    async def tell(self, record: CommittedRecord) -> None:
        """Tell one record; telling it twice must do no harm. Raises TransientError to be asked again later, and
        PermanentError to have the record passed over (and counted)."""
