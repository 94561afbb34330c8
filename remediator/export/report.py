"""What a report is to those who print it: numbers, and sections with a table each. Pure.

`handoff.py` and `monthly.py` make it from their values; `report_forms.py` prints it. A cell of `str` is text from
outside, or may hold some; `Own` marks our own words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from remediator.model import Json


class Own(str):
    """Our own words: they are printed as they are."""

    __slots__ = ()


Cell = str | int | float | datetime | timedelta | None


@dataclass(frozen=True, slots=True)
class Section:
    """A table with its heading; `note` says what counts, `empty` what is printed where there are no rows."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    empty: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """`numbers` are the few that tell most, `lead` is one sentence; `as_json` is the same for programs, and more."""

    title: str
    lead: str
    numbers: Sequence[tuple[str, Cell]]
    sections: Sequence[Section]
    as_json: Json
    made_at: datetime
    version: str


def share(part: int, whole: int) -> Own:
    """`3 of 4`; a dash where there is no whole."""
    return Own(f"{part} of {whole}" if whole else "-")
