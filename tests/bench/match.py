"""How long matching takes: `python -m tests.bench.match [rules]`. Not a test; prints microseconds for each alert, and
how long the most hostile patterns take on the longest label (`tests/unit/rules/test_match_steps.py` counts the steps).
"""

from __future__ import annotations

import sys
import time

from remediator.rules.automaton import compile_pattern
from remediator.rules.match import match_labels
from remediator.rules.ruleset import RuleSet, rule_set
from remediator.rules.schema import Rule
from tests.unit.rules.test_match_steps import HOSTILE, VALUES

GOAL_US, GOAL_MS = 10.0, 1.0


def table(count: int) -> RuleSet:
    """Rules as people write them: one alertname each, and a namespace to leave out; one in 100 without an alertname."""
    return rule_set(
        Rule.model_validate(
            {
                "name": f"rule-{number}",
                "match": [
                    f'alertname="Alert{number}"' if number % 100 else f'team="team-{number}"',
                    'namespace!~"kube-.*|openshift-.*"',
                ],
                "severity": 1,
                "respond": [{"do": "escalate"}],
            }
        )
        for number in range(count)
    )


def microseconds(rules: RuleSet, alerts: list[dict[str, str]], rounds: int = 20) -> float:
    """Mean time for one alert, the best of the rounds."""
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        for labels in alerts:
            match_labels(labels, rules)
        best = min(best, time.perf_counter() - start)
    return best / len(alerts) * 1e6


def worst_milliseconds(rounds: int = 5) -> float:
    """Of all hostile patterns and labels the slowest pair; for each the best of the rounds."""
    worst = 0.0
    for pattern in map(compile_pattern, HOSTILE):
        for value in VALUES:
            best = float("inf")
            for _ in range(rounds):
                start = time.perf_counter()
                pattern.matches(value)
                best = min(best, time.perf_counter() - start)
            worst = max(worst, best)
    return worst * 1000


def samples(count: int) -> dict[str, list[dict[str, str]]]:
    """Alerts that meet a rule of `table`, that just miss one, and that no rule knows."""
    common = {"severity": "warning", "pod": "web-5d9c-x2x", "container": "web", "uid": "9d2f", "prometheus": "k8s"}
    known = [number for number in range(1, count, 7) if number % 100]
    return {
        "match": [{"alertname": f"Alert{number}", "namespace": "shop", **common} for number in known],
        "near miss": [{"alertname": f"Alert{number}", "namespace": "kube-system", **common} for number in known],
        "no rule": [{"alertname": f"Other{number}", "namespace": "shop", **common} for number in range(200)],
    }


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    rules = table(count)
    for name, alerts in samples(count).items():
        print(f"{count} rules, {name:<10}{microseconds(rules, alerts):8.2f} us for each alert (goal <= {GOAL_US:g})")
    print(f"most hostile pattern and label{worst_milliseconds():8.2f} ms (goal <= {GOAL_MS:g})")


if __name__ == "__main__":
    main()
