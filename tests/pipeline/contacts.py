"""A rule whose contact has people behind it, and who of them was called."""

from __future__ import annotations

from typing import Any

from remediator.rules.escalation import ContactRow, escalation_matrix
from remediator.rules.ruleset import RuleSet, rule_set
from remediator.store.escalations_base import Escalation
from tests.pipeline.world import World, rule

ROWS = {
    "default": ["nobody-else"],
    "pods": ["ada", "bob"],
    "infrastructure": ["eve"],
    "database": ["dba"],
}


def table(rows: dict[str, list[str]] | None = None, **changes: Any) -> RuleSet:
    contacts = {name: ContactRow(tell=tuple(tell)) for name, tell in (ROWS if rows is None else rows).items()}
    return rule_set([rule(**{"contact": "pods", **changes})], escalation=escalation_matrix(contacts))


async def the_one(one: World) -> Escalation:
    [found] = await one.database.escalations()
    return found
