"""Whether budgets have room, in the words of a verdict. For the guards that have budgets."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from remediator.guards.base import View
from remediator.model import Mode
from remediator.reasons import Reason
from remediator.store.budgets_base import LOOK_AGAIN, Use, spender_of
from remediator.verdicts import AtOnce, Bound, Decision, Verdict


async def spend(guard: str, view: View, budgets: Sequence[Bound]) -> Verdict:
    """Hold while any is used up, until all have room. The verdict that allows names them, to be debited."""
    spender = spender_of(
        view.plan, view.rule, is_shadow=view.mode is Mode.SILENT, rule_digest=view.rule_digest
    )
    uses = await view.store.budget_uses(spender, budgets, at=view.now)
    if full := [use for use in uses if use.is_full]:
        last = max(full, key=lambda use: room_at(use, view.now))
        return Verdict(guard, Decision.HOLD, reason_of(last), str(last), until=room_at(last, view.now))
    detail = ", ".join(f"{len(use.debits)} of {_most(use.budget)}" for use in uses)
    return Verdict(guard, Decision.ALLOW, Reason.NONE, f"{detail} used", budgets=tuple(budgets))


def reason_of(use: Use) -> Reason:
    """The name of being held by it."""
    return Reason.TOO_MANY_AT_ONCE if isinstance(use.budget, AtOnce) else Reason.LIMIT_USED


def room_at(use: Use, now: datetime) -> datetime:
    """When to ask again: at the next slot, or soon where nobody can tell."""
    return use.next_slot or now + LOOK_AGAIN


def _most(budget: Bound) -> str:
    return str(budget) if isinstance(budget, AtOnce) else str(budget.limit)
