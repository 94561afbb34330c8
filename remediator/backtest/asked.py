"""Which guards a backtest asks, and why not the others. Pure; a test holds the two tables against the drawer.

Those that are asked are the service's own objects, in the service's order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from remediator.backtest.facts import Facts
from remediator.guards import GUARDS, gates_for
from remediator.guards.base import GateGuard, Guard
from remediator.model import Target

NEEDS: Mapping[str, tuple[str, ...]] = {
    "mode": (),
    "freeze": (),
    "storm": (),
    "shared-cause": ("nodes", "pods", "unready"),
    "cluster-health": ("nodes",),
    "flap": (),
    "severity": (),
    "concurrency": (),
    "cooldown": (),
    "limits": (),
    "budgets": (),
}
"""A guard that can be asked -> the facts without which it cannot."""

NOT_ASKED: Mapping[str, str] = {
    "kill-switch": "who engaged it when",
    "pause": "who paused what when",
    "audit": "whether the audit log was sound",
    "scope": "by which credential an alert came",
    "opt-out": "annotations of workloads and namespaces",
    "breaker": "whether actions would have helped",
    "still-firing": "silences, and what Alertmanager listed; that the alert fired is what history tells",
    "target-state": "the object's uid and generation between decision and write",
    "attempts": "whether actions would have helped",
    "canary": "whether actions would have helped",
    "dry-run": "what the API server would have said",
}
"""A guard that cannot -> what it would need."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The guards for what acts, and guard -> what is not told for the others."""

    guards: tuple[Guard, ...]
    not_asked: Mapping[str, str]

    def gates_for(self, target: Target) -> tuple[GateGuard, ...]:
        """Those for what calls people."""
        return tuple(gate for gate in gates_for(target) if gate.name not in self.not_asked)


def asked_of(facts: Facts) -> Asked:
    """By what this history tells."""
    missing = {
        name: ", ".join(fact for fact in wanted if not facts.is_told(fact))
        for name, wanted in NEEDS.items()
        if not all(map(facts.is_told, wanted))
    }
    kept = NEEDS.keys() - missing.keys()
    return Asked(
        tuple(guard for guard in GUARDS if guard.name in kept),
        {**NOT_ASKED, **{name: f"{facts} of kube-state-metrics" for name, facts in missing.items()}},
    )
