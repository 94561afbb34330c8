"""Which row of a rule answers the evidence: the first whose conditions all hold. Pure; called in step 5 of an alert."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from pydantic import BaseModel

from remediator.model import Json
from remediator.rules.conditions import CONDITIONS, Condition, Evidence, Holds
from remediator.rules.schema import Row, Rule

__all__ = [
    "CONDITIONS",
    "Condition",
    "ConditionTrace",
    "Evidence",
    "Holds",
    "RowChoice",
    "RowTrace",
    "first_row",
    "shown_conditions",
]


@dataclass(frozen=True, slots=True)
class ConditionTrace:
    """One condition as asked: `wanted` as the rule has it, `seen` as the evidence has it."""

    name: str
    wanted: str
    holds: bool
    seen: str


@dataclass(frozen=True, slots=True)
class RowTrace:
    """One row as asked. A row without conditions holds. `position` counts from 0, as in `RuleSet.place`."""

    position: int
    do: str
    holds: bool
    conditions: tuple[ConditionTrace, ...]

    def __str__(self) -> str:
        asked = ", ".join(
            f"{each.name} {each.wanted}: {'yes' if each.holds else 'no'} ({each.seen})" for each in self.conditions
        )
        return f"row {self.position + 1} {self.do}: {asked or 'always'}"


@dataclass(frozen=True, slots=True)
class RowChoice:
    """`row` is the position of the row taken (`rule.respond[row]`), None if none holds; `trace` is every row."""

    row: int | None
    trace: tuple[RowTrace, ...]

    def as_json(self) -> Json:
        """The trace as a record keeps it."""
        return [asdict(each) for each in self.trace]


def first_row(rule: Rule, evidence: Evidence) -> RowChoice:
    """The first row of the rule whose conditions all hold. All rows are traced, also those after it."""
    trace = tuple(_traced(row, position, evidence) for position, row in enumerate(rule.respond))
    return RowChoice(next((each.position for each in trace if each.holds), None), trace)


def shown_conditions(row: Row) -> list[tuple[str, str]]:
    """The row's conditions and what each wants, as people read them; none: it always holds."""
    when: BaseModel | None = row.when
    wanted = {} if when is None else when.model_dump(mode="json", exclude_none=True)
    return [(name, _text(shown)) for name, shown in wanted.items()]


def _traced(row: Row, position: int, evidence: Evidence) -> RowTrace:
    conditions = []
    for name, shown in shown_conditions(row):
        answer = CONDITIONS[name].holds(evidence, getattr(row.when, name))
        conditions.append(ConditionTrace(name, shown, answer.holds, answer.seen))
    return RowTrace(position, row.do, all(each.holds for each in conditions), tuple(conditions))


def _text(shown: object) -> str:
    match shown:
        case list():
            return " or ".join(str(each) for each in shown)
        case bool():
            return "yes" if shown else "no"
        case dict():
            return " ".join(f"{key} {value}" for key, value in shown.items())
        case _:
            return str(shown)
