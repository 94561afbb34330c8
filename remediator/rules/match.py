"""Step 2 of an alert: the first rule whose matchers all hold, or why there is none. Pure.

Called by `pipeline.py` for every alert, so rules are first picked by alertname (`RuleSet.by_alertname`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from remediator.model import Alert
from remediator.rules.matcher import Matcher
from remediator.rules.quoting import quote
from remediator.rules.schema import Rule, RuleSet


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
    """As `match`, for labels that are not an alert yet."""
    candidates = rules.by_alertname.get(labels.get("alertname", ""), rules.by_any_alertname)
    for rule in candidates:
        for matcher in rule.matchers:
            if not matcher.matches_value(labels.get(matcher.name, "")):
                break
        else:
            return rule
    return _nearest(labels, candidates)


def explain(labels: Mapping[str, str], rules: RuleSet) -> tuple[RuleTrace, ...]:
    """Every rule, in order, with each of its matchers. The first that matches is the one that is taken."""
    return tuple(_traced(labels, rule, rules.place(rule.name)) for rule in rules.rules)


def _traced(labels: Mapping[str, str], rule: Rule, place: str) -> RuleTrace:
    matchers = tuple(
        MatcherTrace(str(matcher), matcher.matches(labels), labels.get(matcher.name, "")) for matcher in rule.matchers
    )
    return RuleTrace(rule.name, all(each.holds for each in matchers), matchers, place)


def _nearest(labels: Mapping[str, str], candidates: Sequence[Rule]) -> NoMatch:
    """Among the rules for this alertname only: for any other rule the miss is the alertname, which says nothing."""
    if not candidates:
        return NoMatch(None, f"no rule for alertname {quote(labels.get('alertname', ''))}")
    held: dict[int, bool] = {}
    nearest, missed = candidates[0], _missed(labels, candidates[0], held, fewer_than=len(candidates[0].matchers) + 1)
    for rule in candidates[1:]:
        if len(missed) == 1:
            break  # none misses fewer
        others = _missed(labels, rule, held, fewer_than=len(missed))
        if others:
            nearest, missed = rule, others
    return NoMatch(nearest.name, _why(labels, missed[0]))


def _missed(labels: Mapping[str, str], rule: Rule, held: dict[int, bool], *, fewer_than: int) -> list[Matcher]:
    """The matchers that fail; none where they are not fewer. `held`: what is known of those that many rules share."""
    missed: list[Matcher] = []
    for matcher in rule.matchers:
        value = labels.get(matcher.name, "")
        if matcher.pattern is None:
            holds = matcher.matches_value(value)
        elif (known := held.get(id(matcher))) is not None:
            holds = known
        else:
            holds = held[id(matcher)] = matcher.matches_value(value)
        if not holds:
            missed.append(matcher)
            if len(missed) == fewer_than:
                return []
    return missed


def _why(labels: Mapping[str, str], missed: Matcher) -> str:
    seen = f"is {quote(labels[missed.name])}" if missed.name in labels else "is not set"
    return f"{missed} does not hold: {missed.name} {seen}"
