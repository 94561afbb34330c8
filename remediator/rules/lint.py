"""What a rule's schema cannot say: rows and rules never reached, actions never verified. Called by `load.py`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from remediator.rules.document import Path, Source
from remediator.rules.report import did_you_mean
from remediator.rules.ruleset import alertnames
from remediator.rules.schema import Rule


@dataclass(frozen=True, slots=True)
class Placed:
    """A rule that is valid by itself, and where it was read."""

    rule: Rule
    source: Source
    path: Path


def lint_rule(placed: Placed) -> None:
    """Add the problems of one rule to its source."""
    rule, source, path = placed.rule, placed.source, placed.path
    if all(matcher.matches_value("") for matcher in rule.matchers):
        hint = 'add one that needs a label, like alertname=~".+"'
        text = "holds without any label: it would match every alert"
        source.complain(source.spot((*path, "match")), text, hint, code="match-everything")
    if alertnames(rule) == frozenset():
        text = "can never hold: its matchers leave no alertname"
        hint = 'all must hold; for either write alertname=~"A|B"'
        source.complain(source.spot((*path, "match")), text, hint, code="match-never")
    acting = [row.do for row in rule.respond if row.acts]
    if acting and rule.verify is None:
        text = f"can act ({acting[0]}) but has no verify: nobody would know whether it helped"
        hint = "add verify: {expect: [rollout-complete, ...]}"
        source.complain(source.spot((*path, "respond"), of_key=True), text, hint, code="verify-missing")
    for position, row in enumerate(rule.respond):
        asked = getattr(row.when, "query", None)
        if asked is not None and asked.name not in rule.queries:
            text = f"row {position + 1} asks for query '{asked.name}', which the rule does not have"
            source.complain(
                source.spot((*path, "respond", position, "when", "query", "name")),
                text,
                did_you_mean(asked.name, rule.queries) or "add it under queries:",
                code="query-unknown",
            )
        if getattr(row.when, "dependency", None) is not None and not rule.depends_on:
            text = f"row {position + 1} asks for a dependency, and the rule names none"
            spot = source.spot((*path, "respond", position, "when", "dependency"))
            source.complain(spot, text, "add depends_on:", code="dependency-unknown")
    always = next((position for position, row in enumerate(rule.respond) if not row.asks), None)
    if always is not None and always + 1 < len(rule.respond):
        text = f"row {always + 2} is never reached: row {always + 1} has no condition"
        hint = f"give row {always + 1} a when:, or move it to the end"
        source.complain(source.spot((*path, "respond", always + 1)), text, hint, code="row-unreachable")


def lint_order(rules: Sequence[Placed]) -> None:
    """Complain of each rule that an earlier one always takes the alerts from: all its matchers are asked there too."""
    earlier: dict[str, list[tuple[frozenset[str], Placed]]] = {}
    for placed in rules:
        asked = frozenset(str(matcher) for matcher in placed.rule.matchers)
        for text in asked:
            taker = next((other for needs, other in earlier.get(text, []) if needs <= asked), None)
            if taker is not None:
                line = taker.source.spot(taker.path)[0] + 1
                hint = f"rule '{taker.rule.name}' in {taker.source.file}:{line} takes all its alerts"
                spot = placed.source.spot(placed.path)
                placed.source.complain(spot, "this rule is never reached", hint, code="rule-unreachable")
                break
        # Filed under one of its matchers only: whoever asks all of them asks that one too.
        earlier.setdefault(min(asked), []).append((asked, placed))


def lint_contacts(rules: Sequence[Placed], contacts: Collection[str]) -> None:
    """Complain of each contact that is no row of the escalation matrix: nobody would be told by that name."""
    for placed in rules:
        needed = enumerate(placed.rule.depends_on)
        named: list[tuple[Path, str | None]] = [(("contact",), placed.rule.contact)]
        named += [(("depends_on", number, "contact"), one.contact) for number, one in needed]
        for where, name in named:
            if name and name not in contacts:
                hint = did_you_mean(name, contacts) or "give it a row under contacts:"
                spot = placed.source.spot((*placed.path, *where))
                placed.source.complain(spot, f"unknown contact '{name}'", hint, code="contact-unknown")
