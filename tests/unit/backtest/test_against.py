"""What changes from one table to another, on the same history."""

from __future__ import annotations

from typing import Any

from remediator.backtest.against import Kind, by_rule, changes
from remediator.backtest.report import against_lines
from remediator.backtest.run import backtest
from remediator.rules.ruleset import RuleSet, rule_set
from remediator.rules.schema import Rule
from tests.unit.backtest.written import Town, firing, history

VERIFY = {"expect": ["pods-ready"]}


def table(**do: str) -> RuleSet:
    """A rule for each alert `A`, `B`, ... that does that one thing."""
    rules: list[dict[str, Any]] = [
        {
            "name": name.lower(),
            "match": [f'alertname="{name}"'],
            "severity": 1,
            "respond": [{"do": does}],
            "verify": VERIFY,
        }
        for name, does in do.items()
    ]
    return rule_set([Rule.model_validate(rule) for rule in rules])


async def test_gained_lost_and_different_by_rule() -> None:
    """`A` begins to act, `B` no longer does, `C` does otherwise, `D` is as it was."""
    made = Town()
    names = ("a", "b", "c", "d")
    for name in names:
        made.deployment(f"space-{name}", name)
    alerts = [
        firing(name.upper(), (100 * number, 100 * number + 20), namespace=f"space-{name}", pod=f"{name}-v1-1")
        for number, name in enumerate(names, start=1)
    ]
    given = history(*alerts, facts=made.facts)
    before = await backtest(given, table(A="escalate", B="restart", C="restart", D="restart"), name="before/")
    after = await backtest(given, table(A="restart", B="recommend", C="rollback", D="restart"), name="after/")
    found = changes(before, after)
    assert [(one.rule, one.kind) for one in found] == [("a", Kind.GAINED), ("b", Kind.LOST), ("c", Kind.DIFFERENT)]
    assert by_rule(found)["a"] == {Kind.GAINED: 1, Kind.LOST: 0, Kind.DIFFERENT: 0}
    lines = list(against_lines(found, before="before/", after="after/"))
    assert lines[0] == "from before/ to after/: 3 decisions changed"
    assert lines[-1].endswith("C space-c/deployment/c: act restart (c) -> act rollback (c)")
    assert changes(before, before) == []
    assert list(against_lines([], before="a", after="b")) == ["from a to b: 0 decisions changed"]


async def test_a_rule_that_went_is_counted_for_what_it_did() -> None:
    made = Town()
    made.deployment("shop", "web")
    given = history(firing("A", (100, 120), namespace="shop", pod="web-v1-1"), facts=made.facts)
    before = await backtest(given, table(A="restart"), name="before")
    [change] = changes(before, await backtest(given, table(B="restart"), name="after"))
    assert (change.rule, change.kind, change.after.reason) == ("a", Kind.LOST, "no-rule")
