"""Which rows of a rule an alert may have met, where not all that they ask about is told. Pure.

The conditions are asked by the service's own `rules.when.first_row`. Over its answer lies what is not sure: a row of
which a told condition fails is out, one whose conditions are all told and hold is the end, and every other is possible
and names what it needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from remediator.rules.conditions import Evidence
from remediator.rules.schema import Rule
from remediator.rules.when import ConditionTrace, first_row


@dataclass(frozen=True, slots=True)
class Unsure:
    """What a condition would need, in words. `if_holds`, `if_fails`: which of the answers is then worth nothing."""

    need: str
    if_holds: bool = True
    if_fails: bool = True


@dataclass(frozen=True, slots=True)
class Possible:
    """A row that may be the first that holds. `needs` is what is not told of it; none: it holds, and is the last."""

    position: int
    do: str
    needs: tuple[str, ...]


def possible_rows(rule: Rule, evidence: Evidence, unsure: Mapping[str, Unsure]) -> tuple[Possible, ...]:
    """In the order of the rule. `unsure` is the name of a condition -> what it would need; where it is no key, the
    evidence counts. None: no row holds for certain."""
    found: list[Possible] = []
    for row in first_row(rule, evidence).trace:
        needs: list[str] = []
        for asked in row.conditions:
            if (need := _need(asked, unsure)) is not None:
                needs.append(need)
            elif not asked.holds:
                break
        else:
            found.append(Possible(row.position, row.do, tuple(dict.fromkeys(needs))))
            if not needs:
                break
    return tuple(found)


def _need(asked: ConditionTrace, unsure: Mapping[str, Unsure]) -> str | None:
    doubt = unsure.get(asked.name)
    if doubt is None or not (doubt.if_holds if asked.holds else doubt.if_fails):
        return None
    return doubt.need
