"""The budgets as they stand: each that some rule has, what is used of it, by which remediation, and the next slot.

The API's list of budgets and the handoff report show it. It only reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from remediator.guards.budgets import BudgetsGuard, Parameters, budgets_of
from remediator.rules.ruleset import RuleSet
from remediator.rules.schema import Rule
from remediator.store.base import Store
from remediator.store.budgets_base import Spender, Use
from remediator.verdicts import Budget, Scope

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class BudgetStanding:
    """At most `limit` actions of those of the subject; `use` is what counts now."""

    scope: Scope
    subject: str
    limit: str
    use: Use


async def budgets_now(
    store: Store, rules: RuleSet, *, cluster: str, now: datetime, is_shadow: bool = False
) -> Sequence[BudgetStanding]:
    """All of them, by scope and subject; in the shadow with what silent mode would have used."""
    namespaces = await store.spending_namespaces(cluster=cluster, since=now - DAY)
    workloads = {name: await store.workload_count(cluster=cluster, namespace=name) for name in namespaces}
    found: dict[tuple[Scope, str, str], BudgetStanding] = {}
    for rule in rules.rules:
        for spender, budget in _of(rule, cluster, workloads, is_shadow):
            subject = _subject(budget.scope, spender)
            key = (budget.scope, subject, str(budget.limit))
            if key not in found:
                [use] = await store.budget_uses(spender, (budget,), at=now)
                found[key] = BudgetStanding(budget.scope, subject, str(budget.limit), use)
    return sorted(found.values(), key=lambda line: (list(Scope).index(line.scope), line.subject))


def _of(
    rule: Rule, cluster: str, workloads: dict[str, int], is_shadow: bool
) -> Iterator[tuple[Spender, Budget]]:
    parameters = rule.guard_parameters(BudgetsGuard.name)
    assert isinstance(parameters, Parameters)
    for action in dict.fromkeys(row.do for row in rule.respond if row.acts):
        for limit in rule.limits:
            yield Spender(rule.name, action, cluster, "", is_shadow), Budget(Scope.RULE, limit)
        for namespace, count in (workloads or {"": 0}).items():
            for budget in budgets_of(parameters, action, count):
                if budget.scope is not Scope.NAMESPACE or namespace:
                    yield Spender(rule.name, action, cluster, namespace, is_shadow), budget


def _subject(scope: Scope, spender: Spender) -> str:
    subjects = {
        Scope.RULE: spender.rule,
        Scope.ACTION: spender.action,
        Scope.NAMESPACE: spender.namespace,
        Scope.CLUSTER: spender.cluster,
    }
    return subjects[scope]
