"""Whether budgets have room, in the words of a verdict. For the guards that have budgets."""

from __future__ import annotations

from collections.abc import Sequence

from remediator.guards.base import View
from remediator.model import Budget, Decision, Reason, Verdict
from remediator.store.budgets_base import spender_of


async def spend(guard: str, view: View, budgets: Sequence[Budget]) -> Verdict:
    """Hold while any is used up, until all have room. The verdict that allows names them, to be debited."""
    uses = await view.store.budget_uses(spender_of(view.plan, view.rule), budgets, at=view.now)
    slots = [(use.next_slot, use) for use in uses if use.next_slot is not None]
    if slots:
        slot, last = max(slots, key=lambda pair: pair[0])
        return Verdict(guard, Decision.HOLD, Reason.LIMIT_USED, str(last), until=slot)
    detail = ", ".join(f"{len(use.debits)} of {use.budget.limit}" for use in uses)
    return Verdict(guard, Decision.ALLOW, Reason.NONE, f"{detail} used", budgets=tuple(budgets))
