"""What one rule table would have done otherwise than another one, on the same history. Pure; `cli/backtest.py` asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from remediator.backtest.decided import Decided, Result


class Kind(StrEnum):
    GAINED = "gained"
    """An action, certain or possible, that the other table would not have begun."""
    LOST = "lost"
    """An action that only the other table would have begun."""
    DIFFERENT = "different"
    """Neither, and yet another rule, target, action, reason or certainty."""


@dataclass(frozen=True, slots=True)
class Change:
    """One episode of which the two tables say different things: `before` is the other table's word."""

    kind: Kind
    before: Decided
    after: Decided

    @property
    def rule(self) -> str:
        """The rule that it is counted for: the one that acts, else the new one's."""
        return (self.before if self.kind is Kind.LOST else self.after).rule or self.before.rule


def changes(other: Result, result: Result) -> list[Change]:
    """From the other table to this one, the earliest first."""
    before = {one.key: one for one in other.decided}
    pairs = ((before[one.key], one) for one in result.decided if one.key in before)
    return [Change(_kind(was, now), was, now) for was, now in pairs if _what(was) != _what(now)]


def by_rule(found: Sequence[Change]) -> Mapping[str, Mapping[Kind, int]]:
    """Rule -> how many of each kind, by name."""
    counts: dict[str, dict[Kind, int]] = {}
    for one in found:
        own = counts.setdefault(one.rule, dict.fromkeys(Kind, 0))
        own[one.kind] += 1
    return dict(sorted(counts.items()))


def _kind(was: Decided, now: Decided) -> Kind:
    if was.acts is now.acts:
        return Kind.DIFFERENT
    return Kind.GAINED if now.acts else Kind.LOST


def _what(word: Decided) -> tuple[object, ...]:
    """What counts as the same word; times and numbers in texts do not."""
    return word.would, word.rule, word.target, word.action, word.reason, word.needs
