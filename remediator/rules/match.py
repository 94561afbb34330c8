"""Step 2 of an alert: the first rule whose matchers all hold, or why there is none. Pure.

Called by `pipeline.py` for every alert, so rules are first picked by alertname (`RuleSet.by_alertname`).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass

from remediator.model import Alert
from remediator.rules.matcher import Matcher
from remediator.rules.quoting import quote
from remediator.rules.ruleset import RuleSet
from remediator.rules.schema import Rule


@dataclass(frozen=True, slots=True)
class NoMatch:
    """No rule matches. `nearest` is the rule for this alertname that fails fewest matchers; None: no such rule."""

    nearest: str | None
    why: str


@dataclass(frozen=True, slots=True)
class MatcherTrace:
    """One matcher as asked, with the label's value as seen (empty: the alert has no such label)."""

    matcher: str
    holds: bool
    seen: str


@dataclass(frozen=True, slots=True)
class RuleTrace:
    """One rule as asked; `place` is `file:line:column` where it was loaded from a file."""

    rule: str
    matches: bool
    matchers: tuple[MatcherTrace, ...]
    place: str


def match(alert: Alert, rules: RuleSet) -> Rule | NoMatch:
    """The first rule, in order, whose matchers all hold for the alert's labels."""
    return match_labels(alert.labels, rules)


def match_labels(labels: Mapping[str, str], rules: RuleSet) -> Rule | NoMatch:
    """As `match`, for labels that are not an alert yet.

    A rule is left as soon as it misses as many matchers as another did: from the first near miss on, at its first.
    """
    candidates = rules.by_alertname.get(labels.get("alertname", ""), rules.by_any_alertname)
    held: dict[int, bool] = {}  # what is known of the expressions that many rules share
    nearest: Rule | None = None
    why: Matcher | None = None
    fewest = sys.maxsize
    for rule in candidates:
        missed = 0
        first: Matcher | None = None
        for matcher in rule.matchers:
            value = labels.get(matcher.name, "")
            if matcher.pattern is None:
                holds = matcher.matches_value(value)
            elif (known := held.get(id(matcher))) is not None:
                holds = known
            else:
                holds = held[id(matcher)] = matcher.matches_value(value)
            if not holds:
                missed += 1
                first = first or matcher
                if missed == fewest:
                    break
        else:
            if first is None:
                return rule
            nearest, why, fewest = rule, first, missed
    if nearest is None or why is None:
        return NoMatch(None, f"no rule for alertname {quote(labels.get('alertname', ''))}")
    return NoMatch(nearest.name, _why(labels, why))


def explain(labels: Mapping[str, str], rules: RuleSet) -> tuple[RuleTrace, ...]:
    """Every rule, in order, with each of its matchers. The first that matches is the one that is taken."""
    return tuple(_traced(labels, rule, rules.place(rule.name)) for rule in rules.rules)


def _traced(labels: Mapping[str, str], rule: Rule, place: str) -> RuleTrace:
    matchers = tuple(
        MatcherTrace(str(matcher), matcher.matches(labels), labels.get(matcher.name, "")) for matcher in rule.matchers
    )
    return RuleTrace(rule.name, all(each.holds for each in matchers), matchers, place)


def _why(labels: Mapping[str, str], missed: Matcher) -> str:
    seen = f"is {quote(labels[missed.name])}" if missed.name in labels else "is not set"
    return f"{missed} does not hold: {missed.name} {seen}"
