"""A rule table that loads: what in it can never happen, has no bound, proves nothing, or reaches nobody.

Called by `check rules`; the loader refuses only what cannot be used. Every finding is a warning with a code of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import combinations

from remediator.actions import ACTIONS
from remediator.actions.preconditions import ROLLED_OUT_KINDS
from remediator.lint.kinds import row_kinds
from remediator.lint.noted import Noted
from remediator.lint.rows import never_taken
from remediator.model import Cause
from remediator.rules.automaton import Pattern
from remediator.rules.escalation import DEFAULT, INFRASTRUCTURE
from remediator.rules.inclusion import is_contained, is_empty, labels_of
from remediator.rules.matcher import Matcher, Op
from remediator.rules.report import Problem, did_you_mean
from remediator.rules.ruleset import Path, Place, RuleSet, alertnames
from remediator.rules.schema import Row, Rule
from remediator.rules.severity import SEVERITIES

LONG_WINDOW = timedelta(hours=1)
"""A limit with no window of at least this length lets a rule act all day long."""

ASKED_OF: dict[str, str] = {"trend": "resources", "saturated": "resources"}
"""Condition -> the collector without which it is never known."""

FOUND_BY: dict[Cause, tuple[str, ...]] = {
    Cause.CAPACITY: ("scheduling",),
    Cause.TAINT_OR_AFFINITY: ("scheduling",),
    Cause.QUOTA: ("scheduling", "events"),
    Cause.VOLUME: ("scheduling", "events"),
    Cause.LEAK: ("resources",),
    Cause.LOAD: ("resources",),
    Cause.CHANGED_CONFIG: ("config",),
}
"""Cause -> the collectors of which one must run, or it is never found. The others are told by what always runs."""

WITHOUT_INVERSE = frozenset({"restart", "evict", "resize"})
_PLACEHOLDER = re.compile(r"\{([A-Za-z_.]+)\}")
_SPECIAL = re.compile(r"[.][*+]|[|\[\]()^$]")


def review(table: RuleSet) -> Sequence[Problem]:
    """What is probably not meant, in the order of the files."""
    noted = Noted()
    for rule in table.rules:
        _Review(rule, table, noted).all()
    _order(table, noted)
    _contacts(table, noted)
    return noted.in_order()


class _Review:
    """One rule."""

    def __init__(self, rule: Rule, table: RuleSet, noted: Noted) -> None:
        self.rule = rule
        self.table = table
        self.noted = noted

    def all(self) -> None:
        self.matchers()
        self.rows()
        self.evidence()
        self.advice()
        if self.rule.acts:
            self.limits()
            self.proof()
            self.severity()
            self.kinds()

    def warn(self, path: Path, text: str, hint: str, *, code: str) -> None:
        self.noted.warn(place_in(self.table, self.rule, path), text, hint, code=code)

    # --- which alerts

    def matchers(self) -> None:
        rule = self.rule
        if (label := is_empty(rule.matchers)) is not None:
            text = f"can never hold: no value of {label} passes all of its matchers"
            self.warn(("match",), text, "take one of them away, or write two rules", code="match-contradiction")
        for position, line in enumerate(rule.match):
            for matcher in line:
                self.matcher(matcher, ("match", position))
        if rule.acts and alertnames(rule) is None and not any(one.name == "alertname" for one in rule.matchers):
            text = "can act and names no alertname: whatever alert has these labels makes it act"
            self.warn(("match",), text, 'add alertname=~"..."', code="match-any-alert")

    def matcher(self, matcher: Matcher, path: Path) -> None:
        pattern: Pattern | None = matcher.pattern
        texts = None if pattern is None else pattern.literals
        if matcher.op is Op.REGEX and texts is not None and list(texts) == [matcher.value] and matcher.value:
            text = f"{matcher} matches only the whole text {matcher.value!r}: expressions are anchored"
            hint = f'write {matcher.name}="{matcher.value}", or {matcher.name}=~"{matcher.value}.*" for what begins so'
            self.warn(path, text, hint, code="match-anchored")
        if matcher.op in (Op.EQUAL, Op.NOT_EQUAL) and _SPECIAL.search(matcher.value):
            text = f"{matcher} compares with this very text: it is no expression"
            operator = "=~" if matcher.op is Op.EQUAL else "!~"
            self.warn(path, text, f'write {matcher.name}{operator}"{matcher.value}"', code="match-not-an-expression")

    # --- which row

    def rows(self) -> None:
        rule = self.rule
        for position in range(len(rule.respond)):
            if (taken := never_taken(rule, position)) is not None:
                before = " or ".join(f"row {one + 1}" for one in taken)
                text = f"row {position + 1} is never reached: {before} holds wherever it does"
                hint = "put the narrower row first, or take this one away"
                self.warn(("respond", position), text, hint, code="row-unreachable")
        last = len(rule.respond) - 1
        if rule.respond[last].asks:
            text = "where no row holds nothing is done and nobody is told"
            self.warn(
                ("respond", last), text, "end with a row without when:, like - do: escalate", code="row-last-missing"
            )
        used = {row.when.query.name for row in rule.respond if row.when is not None and row.when.query is not None}  # type: ignore[attr-defined]
        for name in rule.queries:
            if name not in used:
                text = f"no row asks for query '{name}'"
                self.warn(("queries", name), text, "take it away, or ask when: {query: ...}", code="query-unused")

    def evidence(self) -> None:
        """Rows that wait for what nobody looks at."""
        collected = set(self.rule.collectors)
        for position, row in enumerate(self.rule.respond):
            for what, path, collectors in _asked(row):
                if not collected & set(collectors):
                    text = f"row {position + 1} asks for {what}, which is never known: no collector looks for it"
                    hint = f"add {collectors[0]} to diagnose:"
                    self.warn(("respond", position, *path), text, hint, code="collector-missing")

    def advice(self) -> None:
        for position, row in enumerate(self.rule.respond):
            for name in _PLACEHOLDER.findall(row.advice):
                if name not in ("target", "cause") and not name.startswith("finding."):
                    text = f"{{{name}}} is filled by nothing and is told as it stands"
                    known = ("target", "cause", "finding")
                    hint = did_you_mean(name.partition(".")[0], known) or "there are {target}, {cause}, {finding.FACT}"
                    self.warn(("respond", position, "advice"), text, hint, code="advice-placeholder")

    # --- how often, and how one would know

    def limits(self) -> None:
        limits = self.rule.limits
        acting = _acting(self.rule)
        if not limits:
            text = f"can act ({acting[0].do}) without limits of its own"
            hint = "add limits: [1 per 10m, 3 per 1h, 7 per 1d]"
            self.warn((), text, hint, code="limits-missing")
        elif all(limit.per < LONG_WINDOW for limit in limits):
            most = max(limits, key=lambda limit: limit.per)
            often = int(timedelta(days=1) / most.per) * most.count
            text = f"{most} is {often} times a day: nothing bounds it for longer"
            self.warn(("limits",), text, "add one of an hour and one of a day, like 7 per 1d", code="limits-unbounded")
        for one, other in combinations(sorted(limits, key=lambda limit: limit.per), 2):
            if one.count >= other.count and one.per < other.per:
                text = f"'{one}' never binds: '{other}' is used up before"
                at = ("limits", limits.index(one))
                self.warn(at, text, "take it away, or lower its count", code="limit-never-binds")

    def proof(self) -> None:
        verify = self.rule.verify
        assert verify is not None  # the loader asks for it
        if "alert-clear" not in verify.expect:
            text = "what it does counts as good while its own alert may still hold"
            self.warn(("verify", "expect"), text, "add alert-clear", code="verify-without-alert")
        acting = _acting(self.rule)
        if verify.otherwise == "revert" and all(row.do in WITHOUT_INVERSE for row in acting):
            text = f"otherwise: revert cannot be done: {acting[0].do} has no way back"
            self.warn(("verify", "otherwise"), text, "write otherwise: escalate", code="verify-no-inverse")

    def severity(self) -> None:
        policy = self.table.severities
        levels = SEVERITIES if self.rule.severity == "from_label" else (self.rule.severity,)
        for position, row in enumerate(self.rule.respond):
            if row.acts and not any(row.do in policy.allows(level) for level in levels):
                text = f"{row.do} is never done: severity {levels[0]} does not allow it"
                hint = "raise severity, or allow it under severities:"
                self.warn(("respond", position, "do"), text, hint, code="severity-forbids")

    def kinds(self) -> None:
        """Actions that are for other kinds of workloads than the row can be about."""
        for position, row in enumerate(self.rule.respond):
            found = row_kinds(self.rule, row)
            needs = ACTIONS[row.do].needs(row.parameters, found)
            if row.acts and all(set(one.verbs) <= READS for one in needs):
                named = ", ".join(sorted(found)) or "any kind that it can be about"
                text = f"{row.do} is never done here: it is not for {named}"
                has_kinds = "kinds" in type(row.parameters).model_fields
                hint = (
                    f"name it: with: {{kinds: [{named}]}}"
                    if has_kinds and found and found <= {*ROLLED_OUT_KINDS}
                    else "ask for another kind"
                )
                self.warn(("respond", position, "do"), text, hint, code="action-never")


READS = frozenset({"get", "list"})


def _acting(rule: Rule) -> list[Row]:
    return [row for row in rule.respond if row.acts]


def _asked(row: Row) -> Iterator[tuple[str, Path, tuple[str, ...]]]:
    """What a row asks for that not every rule looks at, where it stands, and who could tell."""
    if row.when is None:
        return
    for name, collector in ASKED_OF.items():
        if getattr(row.when, name) is not None:
            yield name, ("when", name), (collector,)
    for cause in row.when.cause or ():
        if cause in FOUND_BY:
            yield f"cause {cause.value}", ("when", "cause"), FOUND_BY[cause]


def _order(table: RuleSet, noted: Noted) -> None:
    """Rules that an earlier one takes every alert from, by what their expressions let through."""
    names = {rule.name: alertnames(rule) for rule in table.rules}
    for number, rule in enumerate(table.rules):
        own, example = names[rule.name], labels_of(rule.matchers)
        for earlier in table.rules[:number]:
            theirs = names[earlier.name]
            if theirs is not None and (own is None or not own <= theirs):
                continue
            if example is not None and not all(matcher.matches(example) for matcher in earlier.matchers):
                continue  # one alert that is left for it settles it, at a thousandth of the cost
            if is_contained(rule.matchers, earlier.matchers):
                text = f"rule '{rule.name}' is never reached: '{earlier.name}' takes all its alerts"
                hint = f"put it before {table.place(earlier.name)}, or narrow that one"
                noted.warn(place_in(table, rule, ()), text, hint, code="rule-unreachable")
                break


def _contacts(table: RuleSet, noted: Noted) -> None:
    named = {rule.contact for rule in table.rules} | {one.contact for rule in table.rules for one in rule.depends_on}
    for name, place in table.contact_places.items():
        if name not in named and name not in (DEFAULT, INFRASTRUCTURE):
            text = f"nothing names contact '{name}': it is never told"
            noted.warn(place, text, f"take it away, or write contact: {name} in a rule", code="contact-unused")


def place_in(table: RuleSet, rule: Rule, path: Path) -> Place:
    """Where a part of a rule stands, or the nearest part around it that was written."""
    places = table.places.get(rule.name, {})
    for length in range(len(path), -1, -1):
        if path[:length] in places:
            return places[path[:length]]
    return Place(rule.name, 1, 1)
