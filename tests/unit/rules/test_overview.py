"""What the page beside the rules shows of the table is what is shipped."""

from __future__ import annotations

from pathlib import Path

from remediator.rules.load import load_rules
from remediator.rules.overview import markdown
from remediator.rules.ruleset import rule_set
from remediator.rules.shipped import shipped_rules
from tests.unit.rules.make import a_rule

README = Path(__file__).parents[3] / "rules" / "README.md"
BEGIN, END = "<!-- rules table -->\n", "<!-- /rules table -->"


def test_the_readme_shows_the_shipped_table() -> None:
    """To write it again: the output of `remediator check rules --table` between the two marks."""
    text = README.read_text(encoding="utf-8")

    assert text[text.index(BEGIN) + len(BEGIN) : text.index(END)].rstrip("\n") == markdown(load_rules(shipped_rules()))


def test_a_row_shows_its_conditions_and_whether_it_acts() -> None:
    rule = a_rule(
        match=['alertname="A"'],
        severity="from_label",
        respond=[
            {"when": {"cause": ["leak", "load"], "saturated": True}, "do": "rollback"},
            {"do": "escalate"},
        ],
    )

    assert markdown(rule_set([rule])).splitlines()[-1] == (
        "| A | its label | cause leak or load, saturated yes → **rollback**; else escalate |"
    )
