"""What applications write before they end, as patterns that rule files bring: the value, and how a log is searched.

Made from `log_patterns:` by `rules/patterns.py`, read by `signs.py`. A log is written by whoever can crash a container,
so it can only take a cause away from a release, never give one that an action answers; and no more than `MAX_CHARS` of
its end are searched, by expressions that need a step for each character whatever stands there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from remediator.model import Cause

CAUSES_OF_LOGS: tuple[Cause, ...] = (Cause.DEPENDENCY_DOWN, Cause.CHANGED_CONFIG, Cause.UNKNOWN)
"""All that a log may say. `changed-config` only counts where a ConfigMap in use did change; `unknown` says that the
process ended of something that neither the release nor its configuration need be to blame for."""

MAX_LINES = 15
MAX_CHARS = 8 * 1024
"""Of the end of one log: what stands further up did not end the process."""

_FRAMES = ("at ", "... ", 'File "', "/", "~", "^")
"""How the indented lines of a stack trace begin (Java, Node.js, .NET, Python, Go): they say where, not why."""


class Expression(Protocol):
    def matches(self, value: str) -> bool:
        """Whether one line holds what the pattern looks for; in time linear in the line."""


@dataclass(frozen=True, slots=True)
class LogPattern:
    """`cause` is one of `CAUSES_OF_LOGS`."""

    name: str
    cause: Cause
    expression: Expression


def first_said(text: str, patterns: Sequence[LogPattern]) -> tuple[LogPattern, str] | None:
    """The first of the patterns that a line near the end of the log matches, and that line."""
    lines = list(telling_lines(text))
    for pattern in patterns:
        for line in lines:
            if pattern.expression.matches(line):
                return pattern, line
    return None


def telling_lines(text: str) -> Iterator[str]:
    """The last lines of a log without the frames of stack traces, newest first, within the bounds."""
    left, count = MAX_CHARS, 0
    # A frame costs nothing of the bounds, so that the reason above a deep stack is still seen; but the log is bounded.
    for line in reversed(text.splitlines()):
        if not line.strip() or _is_frame(line):
            continue
        # A line longer than what is left (a dump as JSON) says at its beginning what happened.
        yield line[:left]
        left, count = left - len(line), count + 1
        if left <= 0 or count == MAX_LINES:
            return


def _is_frame(line: str) -> bool:
    bare = line.lstrip()
    return bare != line and bare.startswith(_FRAMES)
