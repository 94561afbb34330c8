"""Every rule asked of an alert, with each matcher and each condition of each row: yes, no or unknown. Pure.

Called by `cli/explain.py`. Where nothing was diagnosed, what a condition asks is unknown; in a decision an unknown
never holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from remediator.rules.conditions import Evidence
from remediator.rules.match import MatcherTrace, RuleTrace, explain
from remediator.rules.ruleset import RuleSet
from remediator.rules.schema import Rule
from remediator.rules.when import first_row, shown_conditions

UNKNOWN = "unknown"


class Says(StrEnum):
    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ConditionAsked:
    """A condition: `wanted` as the rule has it, `seen` as the evidence has it."""

    name: str
    wanted: str
    says: Says
    seen: str


@dataclass(frozen=True, slots=True)
class RowAsked:
    """A row, counted from 1. Without conditions it holds. `place` is `file:line:column`, empty: of no file."""

    row: int
    do: str
    says: Says
    conditions: tuple[ConditionAsked, ...]
    place: str


@dataclass(frozen=True, slots=True)
class RuleAsked:
    rule: str
    matches: bool
    place: str
    matchers: tuple[MatcherTrace, ...]
    rows: tuple[RowAsked, ...]


def ask(labels: Mapping[str, str], rules: RuleSet, evidence: Evidence | None) -> tuple[RuleAsked, ...]:
    """Every rule, in order. `evidence` None: nothing was diagnosed."""
    traces: Sequence[RuleTrace] = explain(labels, rules)
    return tuple(
        RuleAsked(trace.rule, trace.matches, trace.place, trace.matchers, _rows(rule, rules, evidence))
        for trace, rule in zip(traces, rules.rules, strict=True)
    )


def _rows(rule: Rule, rules: RuleSet, evidence: Evidence | None) -> tuple[RowAsked, ...]:
    weighed = None if evidence is None else first_row(rule, evidence).as_json()
    found = []
    for number, row in enumerate(rule.respond):
        place = rules.place(rule.name, ("respond", number))
        if weighed is not None:
            found.append(row_of(weighed[number], place))
        else:
            asked = tuple(ConditionAsked(name, wanted, Says.UNKNOWN, UNKNOWN) for name, wanted in shown_conditions(row))
            found.append(RowAsked(number + 1, row.do, _together(asked), asked, place))
    return tuple(found)


def row_of(weighed: Mapping[str, Any], place: str) -> RowAsked:
    """A row as `RowChoice.as_json` has it, and records keep it."""
    asked = tuple(
        ConditionAsked(str(one["name"]), str(one["wanted"]), _says(one), str(one["seen"]))
        for one in weighed.get("conditions") or ()
    )
    return RowAsked(int(weighed["position"]) + 1, str(weighed["do"]), _together(asked), asked, place)


def _says(condition: Mapping[str, Any]) -> Says:
    """An unknown cause was looked for and is an answer; anything else that is unknown is none."""
    if condition["holds"]:
        return Says.YES
    return Says.UNKNOWN if condition["seen"] == UNKNOWN and condition["name"] != "cause" else Says.NO


def _together(asked: Sequence[ConditionAsked]) -> Says:
    if any(one.says is Says.NO for one in asked):
        return Says.NO
    return Says.UNKNOWN if any(one.says is Says.UNKNOWN for one in asked) else Says.YES
