"""The service's own store in memory, with what is not in it taken from history: how many workloads there were.

The deployment watch would have counted them; here kube-state-metrics did. All else (the ledger of budgets, the gates,
the memory of alerts) is the database that the service runs on.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from remediator.backtest.facts import Facts
from remediator.clock import Clock
from remediator.model import Bound
from remediator.store.budgets_base import Spender, Use
from remediator.store.database import Database
from remediator.store.writer import Writer


class PastStore(Database):
    """`uses` are the answers about budgets since somebody cleared them: who stands in the way of whom."""

    def __init__(self, writer: Writer, *, clock: Clock, facts: Facts) -> None:
        super().__init__(writer, clock=clock)
        self._facts = facts
        self.uses: list[Use] = []

    async def workload_count(self, *, cluster: str, namespace: str | None = None) -> int:
        return self._facts.workloads(namespace, self._clock.now())

    async def budget_uses(self, spender: Spender, budgets: Sequence[Bound], *, at: datetime) -> tuple[Use, ...]:
        found = await super().budget_uses(spender, budgets, at=at)
        self.uses += found
        return found
