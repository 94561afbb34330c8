"""Which rows of a rule are never taken, since earlier ones hold wherever they do. Pure; called by `lint/rules.py`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from pydantic import BaseModel

from remediator.rules.conditions import CONDITIONS
from remediator.rules.schema import Row, Rule

LISTS = ("cause", "kind", "trend")
"""Conditions that hold where one of several values fits: a row with such a list is as many rows, one for each."""


def never_taken(rule: Rule, position: int) -> tuple[int, ...] | None:
    """The earlier rows that together take whatever this one would answer; None: some of it is left for it.

    A row after one without any condition is for the loader, which refuses it.
    """
    earlier = [(number, _asked(row)) for number, row in enumerate(rule.respond[:position])]
    takers: set[int] = set()
    for case in _cases(_asked(rule.respond[position])):
        taker = next((number for number, asked in earlier if _implies(case, asked)), None)
        if taker is None:
            return None
        takers.add(taker)
    return tuple(sorted(takers))


def _asked(row: Row) -> Mapping[str, Any]:
    when: BaseModel | None = row.when
    if when is None:
        return {}
    return {name: found for name in CONDITIONS if (found := getattr(when, name)) is not None}


def _cases(asked: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The row with one value in the place of each list."""
    listed = [name for name in LISTS if name in asked]
    for values in product(*(asked[name] for name in listed)):
        yield {**asked, **{name: (value,) for name, value in zip(listed, values, strict=True)}}


def _implies(case: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    """Whether `asked` holds wherever the case does: each of its conditions is asked for there too, no wider."""
    return all(name in case and CONDITIONS[name].implies(case[name], wanted) for name, wanted in asked.items())
