"""What is asked of the ledger of actions: who spends, what is used, what was done before, and what a person forgave.

`store/budgets.py` answers. An action enters the ledger when its intent is committed and leaves it only when it provably
was not done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from remediator.clock import rfc3339
from remediator.errors import RemediatorError
from remediator.model import Outcome, Plan, RemediationId, Target
from remediator.verdicts import AtOnce, Bound

LOOK_AGAIN = timedelta(seconds=15)
"""How long to wait for a place among those under way: nobody can say when one ends."""


@dataclass(frozen=True, slots=True)
class Spender:
    """What an action is counted by, one field for each scope. `namespace` is empty for what has none.

    `is_shadow`: it would only be recommended. It sees what others would have done as done, so that "held" means the
    same in silent mode; what really acts sees only what really acted.
    """

    rule: str
    action: str
    cluster: str
    namespace: str
    is_shadow: bool = False
    rule_digest: str = ""


@dataclass(frozen=True, slots=True)
class Debit:
    """One action that counts: which remediation began it, and when its intent was committed."""

    remediation: RemediationId
    at: datetime


@dataclass(frozen=True, slots=True)
class Use:
    """How much of a budget is used: the debits inside its window (of `AtOnce`: those under way), oldest first."""

    budget: Bound
    debits: tuple[Debit, ...]

    @property
    def is_full(self) -> bool:
        return len(self.debits) >= self.count

    @property
    def count(self) -> int:
        return self.budget.count if isinstance(self.budget, AtOnce) else self.budget.limit.count

    @property
    def next_slot(self) -> datetime | None:
        """When one more fits in; None: now, or when one of those under way ends."""
        if isinstance(self.budget, AtOnce) or not self.is_full:
            return None
        return self.debits[-self.count].at + self.budget.limit.per

    def __str__(self) -> str:
        if isinstance(self.budget, AtOnce):
            names = ", ".join(f"R-{debit.remediation}" for debit in self.debits)
            under_way = f"{len(self.debits)} of {self.count} under way in this {self.budget.scope}"
            return under_way + (f": {names}" if names else "")
        text = f"{len(self.debits)} of {self.budget.limit} used for this {self.budget.scope}"
        return text if self.next_slot is None else f"{text}, next slot {rfc3339(self.next_slot)}"


class BudgetUsed(RemediatorError):
    """No slot is left in a budget; nothing was committed."""

    def __init__(self, use: Use) -> None:
        super().__init__(str(use))
        self.use = use


@dataclass(frozen=True, slots=True)
class PastAction:
    """One action that was begun, and what became of it: `outcome` None is not known, `is_under_way` not yet."""

    remediation: RemediationId
    rule: str
    rule_digest: str
    action: str
    namespace: str
    target: str
    at: datetime
    outcome: Outcome | None
    is_under_way: bool


class Forgiven(StrEnum):
    """What a person can set back: the counting begins anew from there."""

    RULE = "rule"
    """The circuit breaker of one rule; the subject is its name."""
    CLUSTER = "cluster"
    """The circuit breaker of all rules; the subject is the cluster's name."""
    TARGET = "target"
    """The attempts on one target; the subject is its key."""


@dataclass(frozen=True, slots=True)
class Reset:
    """Who set what back, why, and when."""

    what: Forgiven
    subject: str
    by: str
    comment: str
    at: datetime


class Ledger(Protocol):
    """The ledger of actions. Every method raises StoreUnavailable when the database cannot answer."""

    async def budget_uses(self, spender: Spender, budgets: Sequence[Bound], *, at: datetime) -> tuple[Use, ...]:
        """How much of each budget is used at that time, in the order given."""

    async def past_actions(
        self,
        *,
        cluster: str,
        since: datetime,
        rule: str | None = None,
        target: Target | None = None,
        limit: int = 1000,
    ) -> tuple[PastAction, ...]:
        """What was really begun in the cluster (by one rule, on one target) and not taken back, newest first."""

    async def spending_namespaces(self, *, cluster: str, since: datetime) -> Sequence[str]:
        """Where something was done, or would have been, in order."""

    async def last_reset(self, what: Forgiven, subject: str) -> Reset | None: ...

    async def reset(self, reset: Reset) -> None:
        """Also writes a record (`ledger.reset`)."""

    async def workload_count(self, *, cluster: str, namespace: str | None = None) -> int:
        """How many workloads the deployment watch sees there now; 0: it has not looked."""


def spender_of(plan: Plan, rule: str, *, is_shadow: bool = False, rule_digest: str = "") -> Spender:
    return Spender(rule, plan.action, plan.target.cluster, plan.target.namespace or "", is_shadow, rule_digest)
