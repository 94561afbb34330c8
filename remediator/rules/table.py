"""The rule table in force: what `app.py` hands on and reloads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from remediator.loaded import Loaded
from remediator.rules.load import load_rules
from remediator.rules.schema import RuleSet
from remediator.rules.shipped import shipped_rules


def rule_table(paths: Sequence[Path]) -> Loaded[RuleSet]:
    """The rules of these files and folders; without any, the shipped ones. Raises ConfigError with every problem."""
    given = tuple(paths) or (shipped_rules(),)

    def files() -> Iterator[Path]:
        for path in given:
            yield from sorted(path.glob("*.yaml")) if path.is_dir() else [path]

    return Loaded(lambda _: load_rules(*given), files=files)
