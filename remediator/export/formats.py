"""What the formats of an export are; `table.py` has them in order.

A *document* tells incidents for people, one after the other; *rows* are records, one a line. Both are written in
pieces, so that an export of any length needs the memory of one incident or one page. Pure: text in, bytes out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable
from zoneinfo import ZoneInfo

from remediator.export.events import Event
from remediator.export.story import Story
from remediator.store.base import CommittedRecord
from remediator.store.exporting_base import Period
from remediator.store.reading import IncidentRow


@dataclass(frozen=True, slots=True)
class Head:
    """What was asked for, and what a whole export has in common.

    `period` None: one incident. `incidents` is the overview of a period, `is_cut` says that there are more of them.
    `is_whole`: everything, not only what is worth a person's time. `source` names the log in CloudEvents.
    """

    title: str
    made_at: datetime
    source: str
    version: str
    period: Period | None = None
    incidents: Sequence[IncidentRow] = ()
    is_cut: bool = False
    tz: ZoneInfo | None = None
    is_whole: bool = False


@runtime_checkable
class Document(Protocol):
    """Incidents: `begin`, each `incident`, `beside` (what of a period belongs to none, maybe nothing), `end`."""

    @property
    def name(self) -> str: ...

    @property
    def media_type(self) -> str: ...

    @property
    def suffix(self) -> str: ...

    def begin(self, head: Head) -> bytes: ...

    def incident(self, story: Story, head: Head, *, is_first: bool) -> bytes: ...

    def beside(self, events: Sequence[Event], head: Head) -> bytes: ...

    def end(self, head: Head) -> bytes: ...


class Rows(Protocol):
    """Records, one a line: `begin`, each page of `rows`, `end`."""

    @property
    def name(self) -> str: ...

    @property
    def media_type(self) -> str: ...

    @property
    def suffix(self) -> str: ...

    def begin(self, head: Head) -> bytes: ...

    def rows(self, records: Sequence[CommittedRecord], head: Head, *, is_first: bool) -> bytes: ...

    def end(self, head: Head) -> bytes: ...


Format = Document | Rows
