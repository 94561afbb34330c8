"""The ledger of budgets: one line for each action that was begun, given back when it provably never happened.

`queue.py` debits it in the transaction of the intent, so that two decisions at the same moment cannot both take the
last slot; guards read it before, for the number that they say. Every scope counts the same lines, by another column.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from remediator.model import Budget, RemediationId, Scope
from remediator.store.budgets_base import BudgetUsed, Debit, Spender, Use
from remediator.store.rows import from_micros, to_micros
from remediator.store.tables import debits
from remediator.store.transaction import Transaction


def uses(connection: sa.Connection, spender: Spender, budgets: Sequence[Budget], *, at: datetime) -> Sequence[Use]:
    return [_use(connection, spender, budget, at) for budget in budgets]


def debit(
    transaction: Transaction, spender: Spender, budgets: Sequence[Budget], *, remediation: RemediationId, at: datetime
) -> None:
    """Take one slot of every budget. Raises BudgetUsed, of the one that has room last, when any is used up."""
    full = [use for use in uses(transaction.connection, spender, budgets, at=at) if use.next_slot is not None]
    if full:
        raise BudgetUsed(max(full, key=lambda use: use.next_slot or at))
    line = {
        "id": transaction.next_id(debits),
        "remediation_id": remediation,
        "rule": spender.rule,
        "action": spender.action,
        "cluster": spender.cluster,
        "namespace": spender.namespace,
        "at": to_micros(at),
    }
    transaction.connection.execute(debits.insert(), line)


def give_back(connection: sa.Connection, *, remediation: RemediationId, at: datetime) -> None:
    """The action was provably not done; the line stays, and counts no more."""
    own = sa.and_(debits.c.remediation_id == remediation, debits.c.returned_at.is_(None))
    connection.execute(debits.update().where(own).values(returned_at=to_micros(at)))


def _use(connection: sa.Connection, spender: Spender, budget: Budget, at: datetime) -> Use:
    since = to_micros(at - budget.limit.per)
    lines = (
        sa.select(debits.c.remediation_id, debits.c.at)
        .where(_of(spender, budget.scope), debits.c.at > since, debits.c.returned_at.is_(None))
        .order_by(debits.c.at, debits.c.id)
    )
    found = [Debit(RemediationId(row.remediation_id), from_micros(row.at)) for row in connection.execute(lines)]
    return Use(budget, tuple(found))


def _of(spender: Spender, scope: Scope) -> sa.ColumnElement[bool]:
    here = debits.c.cluster == spender.cluster
    match scope:
        case Scope.RULE:
            return sa.and_(here, debits.c.rule == spender.rule)
        case Scope.ACTION:
            return sa.and_(here, debits.c.action == spender.action)
        case Scope.NAMESPACE:
            return sa.and_(here, debits.c.namespace == spender.namespace)
        case Scope.CLUSTER:
            return here
