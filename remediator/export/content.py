"""What a record says, and what was taken back of it: a value that is gone on purpose is not a value that never was.

A record commits to its free fields (`audit/commitments.py`). One that it commits to and that is not there any more was
taken back by a person; documents say so, with who and why where that still stands. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from remediator.audit.commitments import COMMITTED
from remediator.audit.record import decode_body
from remediator.model import Json
from remediator.store.base import CommittedRecord

REDACTED = "audit.redacted"
TAKEN_BACK = "taken back"
_MARK = f'"{COMMITTED}":{{'.encode()


@dataclass(frozen=True, slots=True)
class TakenBack:
    """In place of a value: of which record it was, and who took it back when and why, as far as that is known."""

    seq: int
    by: str = ""
    comment: str = ""
    at: datetime | None = None

    def __str__(self) -> str:
        who = f" by {self.by}" if self.by else ""
        why = f": {self.comment}" if self.comment else ""
        return f"{TAKEN_BACK}{who}{why}"


@dataclass(frozen=True, slots=True)
class Redaction:
    """One act of taking back: the fields of one record, in one record of its own."""

    seq: int
    of: int
    fields: tuple[str, ...]
    by: str
    comment: str
    at: datetime


def gone_from(record: CommittedRecord) -> tuple[str, ...]:
    """The fields that the record commits to and does not hold any more, in order."""
    if _MARK not in record.canonical:
        return ()
    committed: Mapping[str, str] = decode_body(record.canonical).get(COMMITTED) or {}
    return tuple(sorted(name for name in committed if name not in record.body))


def redactions_of(records: Iterable[CommittedRecord]) -> tuple[Redaction, ...]:
    """What was taken back, by the records of it among these."""
    return tuple(_redaction(record) for record in records if record.kind == REDACTED)


def _redaction(record: CommittedRecord) -> Redaction:
    body = record.body
    gone = gone_from(record)
    return Redaction(
        seq=record.seq,
        of=int(body["redacted"]),
        fields=tuple(body["fields"]),
        by=TAKEN_BACK if "by" in gone else str(body.get("by") or ""),
        comment=TAKEN_BACK if "comment" in gone else str(body.get("comment") or ""),
        at=record.at,
    )


class Contents:
    """The records of one story, read by field. `redactions` say who took back what."""

    def __init__(self, redactions: Iterable[Redaction] = ()) -> None:
        self._why = {(one.of, name): one for one in redactions for name in one.fields}
        self._gone: dict[int, tuple[str, ...]] = {}

    def gone(self, record: CommittedRecord) -> tuple[str, ...]:
        """As `gone_from`, looked at once for each record."""
        if record.seq not in self._gone:
            self._gone[record.seq] = gone_from(record)
        return self._gone[record.seq]

    def get(self, record: CommittedRecord, name: str) -> Any:
        """The value as JSON, `TakenBack`, or None where the record never had one."""
        if name in record.body:
            value: Json = record.body[name]
            return value
        if name not in self.gone(record):
            return None
        why = self._why.get((record.seq, name))
        return TakenBack(record.seq) if why is None else TakenBack(record.seq, why.by, why.comment, why.at)

    def text(self, record: CommittedRecord, name: str) -> str:
        """The value as text: empty for none."""
        value = self.get(record, name)
        return "" if value is None else str(value)
