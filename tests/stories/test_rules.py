"""The shipped rules have tests of their own, `tests/data/rules/*.yaml`, and these notice every change of a rule.

Each matcher and each condition of each row is dropped in turn, and each row that acts is removed: one of the cases
fails then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from remediator.rules.load import load_rules
from remediator.rules.ruleset import RuleSet, rule_set
from remediator.rules.schema import Rule
from remediator.rules.shipped import shipped_rules
from remediator.rules.when import shown_conditions
from remediator.simulate.outcome import Standing
from remediator.simulate.stories import Placed, read_stories, story_files
from remediator.simulate.tables import changed, table_of
from remediator.simulate.trial import Trial, tried

FOLDER = Path(__file__).parents[1] / "data" / "rules"
FILES = story_files([FOLDER])
SHIPPED = load_rules(shipped_rules())
AT_LEAST = 2


@dataclass(frozen=True)
class Mutation:
    """A rule with one condition of a row dropped, or (condition None) without the row."""

    rule: str
    row: int
    condition: str | None

    def __str__(self) -> str:
        what = "removed" if self.condition is None else f"without {self.condition}"
        return f"{self.rule}: row {self.row + 1} {what}"

    def of(self, rule: Rule) -> Rule:
        if rule.name != self.rule:
            return rule
        data = rule.as_json()
        if self.condition is None:
            del data["respond"][self.row]
        else:
            del data["respond"][self.row]["when"][self.condition]
        return Rule.model_validate(data)

    def takes(self, trace: Any) -> int | None:
        """The row that the mutated rule takes, numbered as before, given how each condition held."""
        for row in trace:
            if row["position"] == self.row and self.condition is None:
                continue
            dropped = self.condition if row["position"] == self.row else None
            if all(one["holds"] for one in row["conditions"] if one["name"] != dropped):
                return int(row["position"])
        return None


EQUIVALENT: Mapping[Mutation, str] = {
    **{
        Mutation(rule, row, "kind"): "only of a Deployment is it known whether an alert began with its rollout"
        for rule, row in (
            ("memory-near-limit", 0),
            ("all-pods-pending", 0),
            ("autoscaler-maxed-out", 0),
            ("error-rate", 1),
            ("latency", 1),
        )
    },
    Mutation("memory-near-limit", 2, "trend"): "the cause is a leak only where the trend is one",
}
"""What says the same as what is left. It stays in the rules for those who read them."""


def mutations() -> Iterator[Mutation]:
    for rule in SHIPPED.rules:
        for number, row in enumerate(rule.respond):
            if row.acts:
                yield Mutation(rule.name, number, None)
            for condition, _ in shown_conditions(row):
                yield Mutation(rule.name, number, condition)


@cache
def cases() -> tuple[tuple[Placed, Trial], ...]:
    """Every case and what came of it by the rules as they are."""
    return tuple((placed, tried(placed)) for file in FILES for placed in read_stories(file))


def of_rule(name: str) -> list[tuple[Placed, Standing]]:
    return [(placed, one) for placed, trial in cases() for one in trial.standings if one.rule == name]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_shipped_rules_decide_as_their_tests_say(file: Path) -> None:
    bad = [trial for placed, trial in cases() if placed.file == file and not trial.is_good]
    assert bad == []


@pytest.mark.parametrize("rule", [rule.name for rule in SHIPPED.rules])
def test_every_rule_has_its_cases(rule: str) -> None:
    assert (FOLDER / f"{rule}.yaml").is_file()
    assert len(of_rule(rule)) >= AT_LEAST


@pytest.mark.parametrize("mutation", [one for one in mutations() if one not in EQUIVALENT], ids=str)
def test_a_changed_rule_fails_one_of_its_cases(mutation: Mutation) -> None:
    """Only the cases in which the changed rule takes another row can tell, so that only those are played."""
    played = [(placed, one) for placed, one in of_rule(mutation.rule) if one.trace]
    candidates = [placed for placed, one in played if mutation.takes(one.trace) != one.row]
    assert any(not tried(placed, mutated(placed, mutation)).is_good for placed in candidates), str(mutation)


@pytest.mark.parametrize("mutation", EQUIVALENT, ids=str)
def test_what_is_said_to_be_equivalent_is_there(mutation: Mutation) -> None:
    rule = SHIPPED.rule(mutation.rule)
    assert rule is not None
    assert mutation.condition in dict(shown_conditions(rule.respond[mutation.row]))


NOBODYS = read_stories(FOLDER / "nobodys.yaml")
MATCHERS = [(rule.name, number) for rule in SHIPPED.rules for number in range(len(rule.match))]


@pytest.mark.parametrize(("rule", "number"), MATCHERS)
def test_a_rule_without_one_of_its_matchers_fails_a_case(rule: str, number: int) -> None:
    """It takes an alert then that is none of its business."""
    assert any(not tried(placed, unmatched(table_of(placed), rule, number)).is_good for placed in NOBODYS)


def unmatched(table: RuleSet, rule: str, number: int) -> RuleSet:
    """The table, in which this rule has one matcher less; where it was the only one, it takes every alert."""

    def change(one: Rule) -> Rule:
        lines = list(one.as_json()["match"])
        del lines[number]
        return Rule.model_validate({**one.as_json(), "match": lines or ['alertname=~".*"']})

    new = rule_set([change(one) if one.name == rule else one for one in table.rules])
    return replace(
        table, rules=new.rules, by_alertname=new.by_alertname, by_any_alertname=new.by_any_alertname
    )


def mutated(placed: Placed, mutation: Mutation) -> RuleSet:
    return changed(table_of(placed), mutation.of)
