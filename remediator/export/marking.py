"""Pieces of Markdown: code spans and blocks that hold any text, and tables. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from remediator.export.printable import one_line

_RUN = re.compile("`+")


def code(text: object, *, is_cell: bool = False) -> str:
    """Foreign text as a code span; a dash for none. In the cell of a table a bar is escaped."""
    shown = one_line(str(text)).strip()
    if not shown:
        return "-"
    fence = "`" * (1 + _longest_run([shown]))
    pad = " " if "`" in (shown[0], shown[-1]) else ""
    span = f"{fence}{pad}{shown}{pad}{fence}"
    return span.replace("|", "\\|") if is_cell else span


def block(text: Iterable[str], language: str = "") -> list[str]:
    """Foreign lines as a fenced block."""
    shown = [one_line(line) for line in text]
    fence = "`" * max(3, 1 + _longest_run(shown))
    return [f"{fence}{language}", *shown, fence]


def table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Cells are Markdown already."""
    return [f"| {' | '.join(row)} |" for row in (heading, ["---"] * len(heading), *rows)]


def joined(found: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in found).encode("utf-8", "backslashreplace")


def _longest_run(shown: Iterable[str]) -> int:
    return max((len(run) for line in shown for run in _RUN.findall(line)), default=0)
