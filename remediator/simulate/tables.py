"""The rule tables that stories are played by: loaded once for each set of files, and promoted as a story asks.

Called by `cli/testing.py` and the catalogue.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from remediator.model import Mode
from remediator.rules.load import load_rules
from remediator.rules.ruleset import RuleSet
from remediator.rules.schema import Rule
from remediator.rules.shipped import shipped_rules
from remediator.simulate.stories import Placed
from remediator.simulate.story import Story


@cache
def _loaded(paths: tuple[Path, ...]) -> RuleSet:
    return load_rules(*paths)


def table_of(placed: Placed) -> RuleSet:
    """Its rules, as its story has them. Raises ConfigError when the files cannot be used."""
    return promoted(_loaded(placed.rule_paths() or (shipped_rules(),)), placed.story)


def promoted(table: RuleSet, story: Story) -> RuleSet:
    """Every rule in the story's mode, and with its guards' parameters where the rule says nothing of its own."""
    guards: dict[str, Any] = {}
    if story.guards is not None:
        guards = story.guards.model_dump(mode="json", by_alias=True, exclude_unset=True)

    def change(rule: Rule) -> Rule:
        mode = rule.mode if story.mode is None else story.mode
        if mode is rule.mode and not guards:
            return rule
        data: Mapping[str, Any] = rule.as_json()
        both = {**{name: value for name, value in guards.items() if value}, **data.get("guards", {})}
        return Rule.model_validate({**data, "mode": mode.value, "guards": both})

    return changed(table, change)


def in_mode(table: RuleSet, mode: Mode) -> RuleSet:
    """Every rule in that mode, as if it had been promoted, or taken back."""
    return changed(
        table,
        lambda rule: rule if rule.mode is mode else Rule.model_validate({**rule.as_json(), "mode": mode.value}),
    )


def changed(table: RuleSet, change: Callable[[Rule], Rule]) -> RuleSet:
    """The table with each rule changed; what it matches stays, and so do the places."""
    new = {rule.name: change(rule) for rule in table.rules}

    def of(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
        return tuple(new[rule.name] for rule in rules)

    return replace(
        table,
        rules=of(table.rules),
        by_alertname={name: of(rules) for name, rules in table.by_alertname.items()},
        by_any_alertname=of(table.by_any_alertname),
    )
