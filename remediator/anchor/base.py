"""What an anchor is: a place outside the database that remembers how far the log had come. And what the log lacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from remediator.errors import TransientError
from remediator.reasons import Reason
from remediator.store.base import Record
from remediator.store.log_base import LogStanding


class AnchorUnavailable(TransientError):
    """The anchor cannot be read or written now."""


class Anchor(Protocol):
    """One place. It holds the newest checkpoint that it was given, as a signed note."""

    @property
    def name(self) -> str:
        """For people: `file /var/lib/...`, `ConfigMap remediator/remediator-audit`."""

    async def read(self) -> bytes | None:
        """The note; None: it never held one. Raises AnchorUnavailable."""

    async def write(self, note: bytes, *, unless: Callable[[bytes], bool]) -> None:
        """Returns when it is kept, or one is held of which `unless` holds: another replica was further. Raises
        AnchorUnavailable."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why nothing may be written to the cluster on the strength of this log.

    `needs_epoch`: what the log promised before cannot be kept any more, so that a person can only go on under a new
    name; else a word that it is as it should be is enough.
    """

    reason: Reason
    detail: str
    needs_epoch: bool = False


class LogOwner(Protocol):
    """What the keeper asks of the store."""

    async def log_standing(self) -> LogStanding: ...

    async def log_root_at(self, size: int) -> bytes:
        """The root over the first records. Raises ValueError beyond the end."""

    async def log_look_over(self, first: int, count: int) -> tuple[int | None, str]:
        """Compare so many tiles, from one on, with their records: where to go on (None: all done), what is wrong."""

    async def checkpoints(self, *, after: int, limit: int = 1000) -> Sequence[tuple[int, datetime, bytes]]: ...

    async def begin_epoch(self, *, at: datetime, by: str, comment: str) -> None: ...

    async def note(self, notes: Sequence[Record], *, at: datetime) -> None: ...
