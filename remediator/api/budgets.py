"""The budgets over HTTP: each that some rule has, what is used of it and by which remediation, and the next slot.

Beside the way of an alert. `application.py` adds the routes; `cli/control.py` is the client people use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

from aiohttp import web

from remediator.api.answers import Answer, answer, problem
from remediator.clock import Clock
from remediator.guards.budgets import BudgetsGuard, Parameters, budgets_of
from remediator.model import Budget, Scope
from remediator.rules.schema import Rule, RuleSet
from remediator.store.base import Store
from remediator.store.budgets_base import Spender, Use

DAY = timedelta(days=1)


class Spent(Answer):
    """One action that counts."""

    remediation: int
    at: datetime


class BudgetLine(Answer):
    """At most `limit` actions of those of the subject."""

    scope: str
    subject: str
    limit: str
    used: int
    by: Sequence[Spent]
    next_slot: datetime | None


class Budgets(Answer):
    cluster: str
    shadow: bool
    budgets: Sequence[BudgetLine]


class BudgetRoutes:
    """Handlers over the ledger of actions and the rules in force."""

    def __init__(self, store: Store, *, cluster: str, rules: Callable[[], RuleSet], clock: Clock) -> None:
        self._store = store
        self._cluster = cluster
        self._rules = rules
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/api/v1/budgets", self.budgets)]

    async def budgets(self, request: web.Request) -> web.Response:
        """All of them, as they stand now; `shadow=true` with what silent mode would have used."""
        shadow = request.query.get("shadow", "false")
        if shadow not in ("true", "false"):
            return problem(400, "shadow: expected true or false")
        is_shadow, now = shadow == "true", self._clock.now()
        namespaces = await self._store.spending_namespaces(cluster=self._cluster, since=now - DAY)
        workloads = {
            name: await self._store.workload_count(cluster=self._cluster, namespace=name) for name in namespaces
        }
        lines: dict[tuple[Scope, str, str], BudgetLine] = {}
        for rule in self._rules().rules:
            for spender, budget in _of(rule, self._cluster, workloads, is_shadow):
                subject = _subject(budget.scope, spender)
                key = (budget.scope, subject, str(budget.limit))
                if key not in lines:
                    [use] = await self._store.budget_uses(spender, (budget,), at=now)
                    lines[key] = _line(subject, budget, use)
        shown = sorted(lines.values(), key=lambda line: (list(Scope).index(Scope(line.scope)), line.subject))
        return answer(Budgets(cluster=self._cluster, shadow=is_shadow, budgets=shown))


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


def _line(subject: str, budget: Budget, use: Use) -> BudgetLine:
    return BudgetLine(
        scope=budget.scope.value,
        subject=subject,
        limit=str(budget.limit),
        used=len(use.debits),
        by=[Spent(remediation=debit.remediation, at=debit.at) for debit in use.debits],
        next_slot=use.next_slot,
    )
