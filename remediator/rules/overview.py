"""The rule table as people read it: one Markdown row for each rule. Called by `check rules --table`.

The README shows it, compared by a test, so that what it says is what is shipped.
"""

from __future__ import annotations

from collections.abc import Iterator

from remediator.rules.ruleset import RuleSet, alertnames
from remediator.rules.schema import Row
from remediator.rules.when import shown_conditions


def markdown(table: RuleSet) -> str:
    """The rules in their order, as a Markdown table without a line break at its end."""
    return "\n".join(["| alert | severity | response: the first that holds |", "|---|---|---|", *_lines(table)])


def _lines(table: RuleSet) -> Iterator[str]:
    for rule in table.rules:
        names = ", ".join(sorted(alertnames(rule) or ("any",)))
        severity = "its label" if rule.severity == "from_label" else str(rule.severity)
        yield f"| {names} | {severity} | {'; '.join(map(_response, rule.respond))} |"


def _response(row: Row) -> str:
    conditions = ", ".join(f"{name.replace('_', ' ')} {wanted}" for name, wanted in shown_conditions(row))
    verb = f"**{row.do}**" if row.acts else row.do
    return f"{conditions} → {verb}" if conditions else f"else {verb}"
