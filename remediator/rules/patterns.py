"""Log patterns as a rule file has them: `log_patterns:`. Checked and compiled at load; searched by `diagnose/`.

The syntax is that of matchers, RE2, with two differences: a pattern is looked for anywhere in a line, and it is tried
on its own examples when it is loaded, so that a change that breaks it is refused with its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from remediator.diagnose.patterns import LogPattern
from remediator.model import Cause
from remediator.rules.automaton import Pattern, compile_pattern
from remediator.rules.quoting import quote
from remediator.rules.search import Search

MAX_PATTERN_LENGTH = 1000

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Anywhere:
    """An expression that a line may hold anywhere; `text` is as written. Raises ValueError: bad syntax."""

    text: str
    search: Search = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "search", Search(self.text))

    def whole(self) -> Pattern:
        """As one table between two `.*`: the most that the search can grow to. Raises ValueError: too large a table."""
        return compile_pattern(f"(?s:.*)(?:{self.text})(?s:.*)")

    def matches(self, value: str) -> bool:
        return self.search.matches(value)


Line = Annotated[str, Field(min_length=1, max_length=1000)]


class LogPatternRow(BaseModel):
    """What a crashed container may write last, and what that says. It can block an action, never bring one about."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=63)] = Field(
        description="Unique; one of your own with the name of a shipped pattern takes its place."
    )
    cause: Literal["dependency-down", "changed-config", "unknown"] = Field(
        description="`changed-config` counts only where a ConfigMap in use changed; `unknown`: not the release's fault."
    )
    pattern: str = Field(
        min_length=1,
        max_length=MAX_PATTERN_LENGTH,
        description="RE2, looked for anywhere in each of the last lines; `(?i)` ignores case.",
    )
    why: str = Field(min_length=1, max_length=500, description="Who writes this and when: a source, for people.")
    matches: tuple[Line, ...] = Field(min_length=1, max_length=50, description="Lines that must match.")
    passes: tuple[Line, ...] = Field(
        min_length=1, max_length=50, description="Lines that look alike and must not match."
    )

    def compiled(self) -> LogPattern:
        """The same as the value that a diagnosis searches with."""
        return LogPattern(self.name, Cause(self.cause), Anywhere(self.pattern))


def problems_of(row: LogPatternRow) -> Iterator[tuple[Path, str]]:
    """Where in the row something is wrong, and what: the expression, or examples that do not behave as they say."""
    try:
        expression = Anywhere(row.pattern)
        is_for_all = expression.whole().matches("")
    except ValueError as error:
        yield ("pattern",), f"bad regular expression {quote(row.pattern)}: {error}"
        return
    if is_for_all:
        yield ("pattern",), f"bad regular expression {quote(row.pattern)}: it matches every line"
        return
    for at, line in enumerate(row.matches):
        if not expression.matches(line):
            yield ("matches", at), f"the pattern of '{row.name}' does not match this example"
    for at, line in enumerate(row.passes):
        if expression.matches(line):
            yield ("passes", at), f"the pattern of '{row.name}' matches this example, which it must pass over"
