"""The ledger of actions: a line for each that began, written with its intent; budgets are counted over the lines.

Called by `database.py` and, inside a step's transaction, by `queue.py`. A line whose action provably was not done is
given back: it stays, and counts no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa

from remediator.model import Outcome, Remediation, RemediationId, State, Target
from remediator.store.budgets_base import BudgetUsed, Debit, Forgiven, PastAction, Reset, Spender, Use
from remediator.store.log import Entry
from remediator.store.rows import from_micros, to_micros
from remediator.store.tables import BUSY, debits, remediations, resets, rollouts
from remediator.store.transaction import Transaction
from remediator.verdicts import AtOnce, Bound, Scope

OUTCOMES = {
    State.VERIFIED: Outcome.VERIFIED,
    State.TEMPORARY: Outcome.VERIFIED,
    State.FAILED: Outcome.FAILED,
    State.UNKNOWN: Outcome.UNKNOWN,
}
"""What the end of a verification says of the action."""

_COUNTS = debits.c.returned_at.is_(None)
_IS_REAL = debits.c.is_shadow.is_(sa.false())
_BUSY = debits.c.remediation_id.in_(sa.select(remediations.c.id).where(BUSY))

# Each statement is built once: to build one takes some times as long as SQLite takes to answer it.
_ADD = debits.insert()
_OWN = debits.update().where(debits.c.remediation_id == sa.bindparam("of"), _IS_REAL, _COUNTS)
_GIVE_BACK = _OWN.values(returned_at=sa.bindparam("now"))
_SETTLE = _OWN.where(debits.c.outcome.is_(None)).values(outcome=sa.bindparam("became"))
_PAST = (
    sa.select(debits, _BUSY.label("is_under_way"))
    .where(_COUNTS, _IS_REAL, debits.c.cluster == sa.bindparam("here"), debits.c.at > sa.bindparam("since"))
    .order_by(debits.c.at.desc(), debits.c.id.desc())
    .limit(sa.bindparam("at_most"))
)
_LAST_SHADOW = sa.select(sa.func.max(debits.c.at)).where(debits.c.target_key == sa.bindparam("of"), ~_IS_REAL)
_LAST_RESET = (
    sa.select(resets)
    .where(resets.c.what == sa.bindparam("what"), resets.c.subject == sa.bindparam("of"))
    .order_by(resets.c.at.desc(), resets.c.id.desc())
    .limit(1)
)
_PRESENT = (
    sa.select(sa.func.count())
    .select_from(rollouts)
    .where(rollouts.c.cluster == sa.bindparam("here"), rollouts.c.ended_at.is_(None))
)
_PRESENT_IN = _PRESENT.where(rollouts.c.namespace == sa.bindparam("of"))


def uses(connection: sa.Connection, spender: Spender, budgets: Sequence[Bound], *, at: datetime) -> tuple[Use, ...]:
    return tuple(_use(connection, spender, budget, at) for budget in budgets)


def debit(
    transaction: Transaction,
    spender: Spender,
    budgets: Sequence[Bound],
    *,
    remediation: Remediation,
    target_key: str,
    at: datetime,
) -> None:
    """Take one slot of every budget. Raises BudgetUsed, of the one that has room last, when any is used up."""
    others = [use for use in uses(transaction.connection, spender, budgets, at=at) if use.is_full]
    if others:
        raise BudgetUsed(max(others, key=lambda use: use.next_slot or at))
    line = {
        "id": transaction.next_id(debits),
        "remediation_id": remediation.id,
        "rule": spender.rule,
        "rule_digest": spender.rule_digest,
        "action": spender.action,
        "cluster": spender.cluster,
        "namespace": spender.namespace,
        "target_key": target_key,
        "is_shadow": spender.is_shadow,
        "at": to_micros(at),
    }
    transaction.connection.execute(_ADD, line)


def give_back(connection: sa.Connection, *, remediation: RemediationId, at: datetime) -> None:
    """The action was provably not done; the line stays, and counts no more."""
    connection.execute(_GIVE_BACK, {"of": remediation, "now": to_micros(at)})


def settle(connection: sa.Connection, outcome: Outcome, *, remediation: RemediationId) -> None:
    """What became of the action, as its verification said first."""
    connection.execute(_SETTLE, {"of": remediation, "became": outcome.value})


def past_actions(
    connection: sa.Connection, *, cluster: str, since: datetime, rule: str | None, target: Target | None, limit: int
) -> tuple[PastAction, ...]:
    asked: dict[str, Any] = {"here": cluster, "since": to_micros(since), "at_most": limit}
    asked |= {} if rule is None else {"same_rule": rule}
    asked |= {} if target is None else {"same_target": target.key}
    return tuple(
        PastAction(
            remediation=RemediationId(row.remediation_id),
            rule=row.rule,
            rule_digest=row.rule_digest,
            action=row.action,
            namespace=row.namespace,
            target=row.target_key,
            at=from_micros(row.at),
            outcome=None if row.outcome is None else Outcome(row.outcome),
            is_under_way=bool(row.is_under_way),
        )
        for row in connection.execute(_past(rule is not None, target is not None), asked)
    )


def spending_namespaces(connection: sa.Connection, *, cluster: str, since: datetime) -> Sequence[str]:
    wanted = (_COUNTS, debits.c.cluster == cluster, debits.c.at > to_micros(since))
    names = sa.select(debits.c.namespace).distinct().where(*wanted).order_by(debits.c.namespace)
    return list(connection.execute(names).scalars())


def last_shadow_at(connection: sa.Connection, target_key: str) -> datetime | None:
    """When an action on the target was last recommended, and nothing but the mode kept it from being done."""
    micros = connection.execute(_LAST_SHADOW, {"of": target_key}).scalar_one()
    return None if micros is None else from_micros(micros)


def last_reset(connection: sa.Connection, what: Forgiven, subject: str) -> Reset | None:
    row = connection.execute(_LAST_RESET, {"what": what.value, "of": subject}).one_or_none()
    return None if row is None else Reset(what, row.subject, row.by, row.comment, from_micros(row.at))


def reset(transaction: Transaction, wanted: Reset) -> None:
    line = {
        "id": transaction.next_id(resets),
        "what": wanted.what.value,
        "subject": wanted.subject,
        "by": wanted.by,
        "comment": wanted.comment,
        "at": to_micros(wanted.at),
    }
    transaction.connection.execute(resets.insert(), line)
    body = {name: line[name] for name in ("what", "subject", "by", "comment")}
    transaction.record(Entry.of(wanted.at, "ledger.reset", body))


def workload_count(connection: sa.Connection, *, cluster: str, namespace: str | None) -> int:
    asked = {"here": cluster} | ({} if namespace is None else {"of": namespace})
    return int(connection.execute(_PRESENT if namespace is None else _PRESENT_IN, asked).scalar_one())


def _use(connection: sa.Connection, spender: Spender, budget: Bound, at: datetime) -> Use:
    asked: dict[str, Any] = {"cluster": spender.cluster, **_of(spender, budget.scope)}
    if isinstance(budget, AtOnce):
        lines = _under_way(budget.scope, budget.of_same_text)
        asked |= {"rule_digest": spender.rule_digest} if budget.of_same_text else {}
    else:
        lines = _within(budget.scope, spender.is_shadow)
        asked["since"] = to_micros(at - budget.limit.per)
    found = [Debit(RemediationId(row.remediation_id), from_micros(row.at)) for row in connection.execute(lines, asked)]
    return Use(budget, tuple(found))


@cache
def _past(of_rule: bool, of_target: bool) -> sa.Select[Any]:
    lines = _PAST.where(debits.c.rule == sa.bindparam("same_rule")) if of_rule else _PAST
    return lines.where(debits.c.target_key == sa.bindparam("same_target")) if of_target else lines


@cache
def _under_way(scope: Scope, of_same_text: bool) -> sa.Select[tuple[int, int]]:
    lines = _lines(scope).where(_IS_REAL, _BUSY)
    return lines.where(debits.c.rule_digest == sa.bindparam("rule_digest")) if of_same_text else lines


@cache
def _within(scope: Scope, is_shadow: bool) -> sa.Select[tuple[int, int]]:
    lines = _lines(scope).where(debits.c.at > sa.bindparam("since"))
    return lines if is_shadow else lines.where(_IS_REAL)


def _lines(scope: Scope) -> sa.Select[tuple[int, int]]:
    wanted = [_COUNTS, debits.c.cluster == sa.bindparam("cluster")]
    if scope is not Scope.CLUSTER:
        wanted.append(debits.c[scope.value] == sa.bindparam(scope.value))
    return sa.select(debits.c.remediation_id, debits.c.at).where(*wanted).order_by(debits.c.at, debits.c.id)


def _of(spender: Spender, scope: Scope) -> dict[str, str]:
    """The column that a scope counts by beside the cluster, and the spender's own value of it."""
    match scope:
        case Scope.RULE:
            return {"rule": spender.rule}
        case Scope.ACTION:
            return {"action": spender.action}
        case Scope.NAMESPACE:
            return {"namespace": spender.namespace}
        case Scope.CLUSTER:
            return {}
