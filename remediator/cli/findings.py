"""How every `check` tells what it found, and what it exits with: 0 good, 1 errors, 3 warnings with --lint-fatal."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from remediator.cli.output import Report
from remediator.rules.report import Level, Problem

GOOD, FAILED, MISUSE, LINT = 0, 1, 2, 3


@dataclass(frozen=True, slots=True)
class Found:
    """`files` are those that were read, `says` what people are told where all is well, `more` what JSON has besides."""

    command: str
    problems: Sequence[Problem]
    files: Sequence[str]
    says: Sequence[str] = ()
    more: Mapping[str, Any] = field(default_factory=dict)

    def of(self, level: Level) -> list[Problem]:
        return [one for one in self.problems if one.level is level]


def tell(found: Found, output: Report, *, is_fatal: bool) -> int:
    """Print it, and the exit code."""
    errors, warnings = found.of(Level.ERROR), found.of(Level.WARNING)
    match output:
        case Report.JSON:
            told = {"ok": not errors, "errors": list(map(as_json, errors)), "warnings": list(map(as_json, warnings))}
            print(json.dumps({**told, **found.more}, indent=2))
        case Report.SARIF:
            from importlib.metadata import version

            from remediator.cli.sarif import log

            print(json.dumps(log(found.problems, command=found.command, version=version("remediator")), indent=2))
        case Report.JUNIT:
            from remediator.cli.junit import report, text_of

            print(text_of(report(f"remediator {found.command}", _cases(found))))
        case _:
            print(
                "\n".join([*map(str, found.problems), *([_count(errors, warnings)] if found.problems else found.says)])
            )
    if errors:
        return FAILED
    return LINT if warnings and is_fatal else GOOD


def as_json(one: Problem) -> dict[str, Any]:
    return {
        "file": one.file,
        "line": one.line,
        "column": one.column,
        "level": one.level.value,
        "code": one.code,
        "text": one.text,
        "hint": one.hint,
        "suggestion": one.suggestion,
        "source": one.source,
    }


def _count(errors: Sequence[Problem], warnings: Sequence[Problem]) -> str:
    parts = [(len(errors), "error"), (len(warnings), "warning")]
    return ", ".join(f"{number} {word}{'' if number == 1 else 's'}" for number, word in parts)


def _cases(found: Found) -> Iterator[Any]:
    """Each finding is a test that failed, a warning too, so that CI shows it; a file without any is one that passed."""
    from remediator.cli.junit import Case

    for file in dict.fromkeys([*found.files, *(one.file for one in found.problems)]):
        own = [one for one in found.problems if one.file == file]
        if not own:
            yield Case(file, found.command, 1)
        for one in own:
            lines = [f"{one.level}: {one.text}", *([one.suggestion] if one.suggestion else [])]
            yield Case(file, f"{one.code}:{one.line}", one.line, lines)
