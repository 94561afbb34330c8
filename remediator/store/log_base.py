"""What others see of the audit log as the store keeps it. `log.py` and `proofs.py` make it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from remediator.errors import RemediatorError


@dataclass(frozen=True, slots=True)
class LogStanding:
    """Its head, and why it is not signed (empty: it is). `has_key`: there is a key to sign it with."""

    origin: str
    size: int
    root: bytes
    note: bytes
    at: datetime
    has_key: bool
    problem: str

    @property
    def is_signed(self) -> bool:
        return self.has_key and not self.problem


@dataclass(frozen=True, slots=True)
class LogRow:
    """A record as the log keeps it: the bytes of its leaf, and what stands beside it."""

    seq: int
    canonical: bytes
    beside: bytes | None


class StillNeeded(RemediatorError):
    """What is under way stands on it: recovery, the inverse or an approval reads it from the same row."""


class LogReader(Protocol):
    """What the faces of the audit log ask of the store."""

    async def log_standing(self) -> LogStanding: ...

    async def log_proof(self, seq: int) -> tuple[bytes, int, Sequence[bytes], bytes] | None:
        """The bytes of one record, its index, its path to the root, and the checkpoint; None: there is none."""

    async def redact(
        self, seq: int, fields: Sequence[str], *, by: str, comment: str, at: datetime
    ) -> Sequence[str]:
        """Take back the free content of fields of a record, here and in the rows that hold it too; which it were.
        Leaves a record of it. Raises StillNeeded for the plan of what is not over."""
