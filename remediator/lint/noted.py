"""Where lints put what they find: problems with the line that they are about, in the order of the files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from remediator.rules.report import Level, Problem
from remediator.rules.ruleset import Place


@dataclass(slots=True)
class Noted:
    """The problems found so far."""

    problems: list[Problem] = field(default_factory=list)

    def warn(self, place: Place, text: str, hint: str, *, code: str) -> None:
        self._add(place, text, hint, code, Level.WARNING)

    def refuse(self, place: Place, text: str, hint: str, *, code: str) -> None:
        self._add(place, text, hint, code, Level.ERROR)

    def _add(self, place: Place, text: str, hint: str, code: str, level: Level) -> None:
        line = _line(place.file, place.line)
        self.problems.append(Problem(place.file, place.line, place.column, text, hint, line, code, level))

    def in_order(self) -> Sequence[Problem]:
        """Each file's together, by place; a mistake that is found twice is told once."""
        files = list(dict.fromkeys(one.file for one in self.problems))
        found = dict.fromkeys(self.problems)
        return sorted(found, key=lambda one: (files.index(one.file), one.line, one.column, one.code))


@cache
def _lines(file: str) -> Sequence[str]:
    try:
        return Path(file).read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError:  # what was read over HTTP has no lines here
        return ()


def _line(file: str, number: int) -> str:
    lines = _lines(file)
    return lines[number - 1] if 0 < number <= len(lines) else ""
