"""What is wrong with a rule file, as people read it: place, text, the line with a caret, and what was meant.

Made by `load.py` and its parts; printed by `check rules`; the text of the ConfigError that stops a start or a reload.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from remediator.errors import ConfigError, cut

MAX_LINE_LENGTH = 150


class Level(StrEnum):
    """An `error` cannot be used, or loses alerts; a `warning` can be used and is probably not what was meant."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake. `line` and `column` count from 1; `source` is the line of the file, `hint` may be empty.

    `code` names the kind of mistake and never changes, for scripts and code scanning.
    """

    file: str
    line: int
    column: int
    text: str
    hint: str
    source: str
    code: str = ""
    level: Level = Level.ERROR

    @property
    def suggestion(self) -> str:
        """What to write instead: the hint, or the part of the text that says it."""
        return self.hint or self.text.partition("; ")[2]

    def __str__(self) -> str:
        head = f"{self.file}:{self.line}:{self.column}: {self.level}: {self.text}"
        if not self.source:
            return head + (f" ({self.hint})" if self.hint else "")
        start = max(0, self.column - MAX_LINE_LENGTH + 40)
        shown = cut(self.source[start:], max_length=MAX_LINE_LENGTH)
        caret = " " * (self.column - 1 - start) + "^" + (f" {self.hint}" if self.hint else "")
        return f"{head}\n{self.line:>5} | {shown}\n{'':>5} | {caret}"


class FileError(ConfigError):
    """A file that cannot be used; the text is the whole report."""

    def __init__(self, report: str, *, problems: Sequence[Problem]) -> None:
        super().__init__(report)
        self.problems = tuple(problems)


class RulesError(FileError):
    """Rule files that cannot be used. `calendars` are the files that they name."""

    def __init__(self, report: str, *, problems: Sequence[Problem], calendars: Sequence[Path] = ()) -> None:
        super().__init__(report, problems=problems)
        self.calendars = tuple(calendars)


def report(problems: Iterable[Problem], *, rules: int) -> str:
    """Every problem, and how many there are in how many rules."""
    all_problems = [str(problem) for problem in problems]
    count = f"{len(all_problems)} error{'' if len(all_problems) == 1 else 's'}"
    return "\n".join([*all_problems, f"{count} in {rules} rule{'' if rules == 1 else 's'}"])


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """A hint with the nearest known name; the known names themselves if they are few and none is near."""
    names = list(known)
    by_lower = {each.lower(): each for each in names}
    near = difflib.get_close_matches(str(name).lower(), by_lower, n=1)
    if near:
        return f"did you mean '{by_lower[near[0]]}'?"
    return f"one of: {', '.join(names)}" if 0 < len(names) <= 12 else ""
