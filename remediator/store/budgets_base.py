"""What is asked of the ledger of budgets: who spends, what is used, and the refusal. `store/budgets.py` answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from remediator.clock import rfc3339
from remediator.errors import RemediatorError
from remediator.model import Budget, Plan, RemediationId


@dataclass(frozen=True, slots=True)
class Spender:
    """What an action is counted by, one field for each scope. `namespace` is empty for what has none."""

    rule: str
    action: str
    cluster: str
    namespace: str


@dataclass(frozen=True, slots=True)
class Debit:
    """One action that counts: which remediation began it, and when its intent was committed."""

    remediation: RemediationId
    at: datetime


@dataclass(frozen=True, slots=True)
class Use:
    """How much of a budget is used: the debits inside its window, oldest first."""

    budget: Budget
    debits: tuple[Debit, ...]

    @property
    def next_slot(self) -> datetime | None:
        """When one more fits in; None: now."""
        limit = self.budget.limit
        return None if len(self.debits) < limit.count else self.debits[-limit.count].at + limit.per

    def __str__(self) -> str:
        text = f"{len(self.debits)} of {self.budget.limit} used for this {self.budget.scope}"
        return text if self.next_slot is None else f"{text}, next slot {rfc3339(self.next_slot)}"


class BudgetUsed(RemediatorError):
    """No slot is left in a budget; nothing was committed."""

    def __init__(self, use: Use) -> None:
        super().__init__(str(use))
        self.use = use


def spender_of(plan: Plan, rule: str) -> Spender:
    return Spender(rule, plan.action, plan.target.cluster, plan.target.namespace or "")
