"""What a verification finds: the four answers, and what is said with them. Called by what verifies."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from remediator.audit.note import Checkpoint


class Answer(StrEnum):
    VERIFIED = "verified"
    TAMPERED = "tampered"
    COMPLETENESS_NOT_PROVEN = "completeness not proven"
    AUTHOR_NOT_PROVEN = "author not proven"


EXIT_CODES: Mapping[Answer, int] = {
    Answer.VERIFIED: 0,
    Answer.TAMPERED: 1,
    Answer.COMPLETENESS_NOT_PROVEN: 3,
    Answer.AUTHOR_NOT_PROVEN: 4,
}


class Unreadable(ValueError):
    """What was given is no bundle, database, key list or anchor; nothing can be said of it."""


class Tampered(Exception):
    """Found to be changed; the text is the place and what is wrong there."""


@dataclass(frozen=True, slots=True)
class Report:
    """The answer, why, and what it is about. `records` were checked, `redacted` are values taken back, `pruned` records
    given up by retention and known by their hashes only. `scope`: what a bundle says that it was asked for."""

    answer: Answer
    reason: str
    origin: str = ""
    size: int = 0
    root: str = ""
    records: int = 0
    redacted: int = 0
    pruned: int = 0
    signed_by: Sequence[str] = ()
    notes: Sequence[str] = field(default_factory=tuple)
    scope: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    head: Checkpoint
    records: int
    redacted: int
    pruned: int
    signed_by: Sequence[str]
    notes: Sequence[str] = ()
    scope: str = ""

    def report(self, answer: Answer, reason: str) -> Report:
        return Report(
            answer,
            reason,
            origin=self.head.origin,
            size=self.head.size,
            root=base64.b64encode(self.head.root).decode(),
            records=self.records,
            redacted=self.redacted,
            pruned=self.pruned,
            signed_by=self.signed_by,
            notes=self.notes,
            scope=self.scope,
        )
