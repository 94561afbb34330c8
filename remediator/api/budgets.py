"""The budgets over HTTP: each that some rule has, what is used of it and by which remediation, and the next slot.

Beside the way of an alert. `application.py` adds the routes; `cli/control.py` is the client people use.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from aiohttp import web

from remediator.api.answers import Answer, answer, problem
from remediator.clock import Clock
from remediator.export.ledger import BudgetStanding, budgets_now
from remediator.rules.ruleset import RuleSet
from remediator.store.base import Store


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
        found = await budgets_now(self._store, self._rules(), cluster=self._cluster, now=now, is_shadow=is_shadow)
        return answer(Budgets(cluster=self._cluster, shadow=is_shadow, budgets=[_line(one) for one in found]))


def _line(one: BudgetStanding) -> BudgetLine:
    return BudgetLine(
        scope=one.scope.value,
        subject=one.subject,
        limit=one.limit,
        used=len(one.use.debits),
        by=[Spent(remediation=debit.remediation, at=debit.at) for debit in one.use.debits],
        next_slot=one.use.next_slot,
    )
