"""How long matching takes: `python -m tests.bench.match [rules]`. Not a test; prints microseconds for each alert."""

from __future__ import annotations

import sys
import time

from remediator.rules.match import match_labels
from remediator.rules.schema import Rule, RuleSet, rule_set


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


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    rules = table(count)
    common = {"severity": "warning", "pod": "web-5d9c-x2x", "container": "web", "uid": "9d2f", "prometheus": "k8s"}
    hits = [{"alertname": f"Alert{n}", "namespace": "shop", **common} for n in range(1, count, 7) if n % 100]
    near = [{"alertname": f"Alert{n}", "namespace": "kube-system", **common} for n in range(1, count, 7) if n % 100]
    misses = [{"alertname": f"Other{n}", "namespace": "shop", **common} for n in range(200)]
    for name, alerts in (("match", hits), ("near miss", near), ("no rule", misses)):
        print(f"{count} rules, {name:<10}{microseconds(rules, alerts):8.2f} us for each alert")


if __name__ == "__main__":
    main()
