"""Which alerts Alertmanager has to send us, as matchers: the union of what the rules take, without one alert twice.

Rules that list their alertnames and agree on all other matchers share one route; names that appear in several such
groups bring these together under the matchers that they have in common. So every alert that a rule takes is covered,
and none of the listed ones is delivered twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from remediator.rules.matcher import Matcher, Op, matcher
from remediator.rules.ruleset import RuleSet, alertnames
from remediator.rules.schema import Rule

_SPECIAL = frozenset("\\.+*?()|[]{}^$")


@dataclass(frozen=True, slots=True)
class Covered:
    """One route. `names` None: its rules do not list alertnames, and `rest` is all that they ask for."""

    names: frozenset[str] | None
    rest: tuple[Matcher, ...]
    rules: tuple[str, ...]

    @property
    def matchers(self) -> tuple[Matcher, ...]:
        if self.names is None:
            return self.rest
        ordered = sorted(self.names)
        if len(ordered) == 1:
            return (matcher("alertname", Op.EQUAL, ordered[0]), *self.rest)
        return (matcher("alertname", Op.REGEX, "|".join(map(literal, ordered))), *self.rest)


def covered(table: RuleSet) -> Sequence[Covered]:
    """The routes, those with names first, each in the order of their first rule."""
    listed = [_of(rule, names) for rule in table.rules if (names := alertnames(rule)) is not None]
    others = [Covered(None, _unique(rule.matchers), (rule.name,)) for rule in table.rules if alertnames(rule) is None]
    # A rule whose matchers contradict each other takes nothing and needs no route.
    return [*_disjoint(_agreeing(one for one in listed if one.names)), *others]


def _of(rule: Rule, names: frozenset[str]) -> Covered:
    of_name = [one for one in rule.matchers if one.name == "alertname"]
    kept = frozenset(name for name in names if all(one.matches_value(name) for one in of_name))
    return Covered(kept, _unique(one for one in rule.matchers if one.name != "alertname"), (rule.name,))


def _agreeing(found: Iterable[Covered]) -> Sequence[Covered]:
    """One for each set of other matchers."""
    by_rest: dict[frozenset[Matcher], Covered] = {}
    for one in found:
        same = by_rest.get(frozenset(one.rest))
        by_rest[frozenset(one.rest)] = one if same is None else _joined(same, one)
    return list(by_rest.values())


def _disjoint(found: Sequence[Covered]) -> Sequence[Covered]:
    """No alertname in two of them."""
    done: list[Covered] = []
    for one in found:
        apart: list[Covered] = []
        for other in done:
            if _names(one) & _names(other):
                one = _joined(other, one)
            else:
                apart.append(other)
        done = [*apart, one]
    return done


def _joined(one: Covered, other: Covered) -> Covered:
    common = tuple(each for each in one.rest if each in other.rest)
    return Covered(_names(one) | _names(other), common, (*one.rules, *other.rules))


def _names(one: Covered) -> frozenset[str]:
    return one.names or frozenset()


def _unique(matchers: Iterable[Matcher]) -> tuple[Matcher, ...]:
    return tuple(dict.fromkeys(matchers))


def literal(name: str) -> str:
    """As a part of an RE2 expression that means just this. Source: Go `regexp.QuoteMeta`."""
    return "".join(_quoted(name))


def _quoted(name: str) -> Iterator[str]:
    for char in name:
        yield f"\\{char}" if char in _SPECIAL else char
