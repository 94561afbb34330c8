"""The rule table in force: what `app.py` hands on and reloads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from remediator.loaded import Loaded
from remediator.rules.commit import commit_of
from remediator.rules.load import load_rules
from remediator.rules.report import RulesError
from remediator.rules.ruleset import RuleSet
from remediator.rules.shipped import shipped_rules


def rule_table(paths: Sequence[Path]) -> Loaded[RuleSet]:
    """The rules of these files and folders; without any, the shipped ones. Raises ConfigError with every problem."""
    given = tuple(paths) or (shipped_rules(),)
    calendars: tuple[Path, ...] = ()

    def files() -> Iterator[Path]:
        for path in given:
            yield from sorted(path.glob("*.yaml")) if path.is_dir() else [path]
        yield from calendars

    def load(_: RuleSet | None) -> RuleSet:
        # Calendars are known once the files that name them are read; one that cannot be used is looked at as well.
        nonlocal calendars
        try:
            fresh = load_rules(*given)
        except RulesError as error:
            calendars = error.calendars
            raise
        calendars = fresh.calendars
        return replace(fresh, commit=commit_of(given[0]))

    return Loaded(load, files=files)
