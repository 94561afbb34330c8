"""The durable queue of remediations: claim, advance, release. One transaction each; `database.py` calls it.

Every update is conditional on what the caller saw (state and epoch). A crash needs no recovery of its own: the lease
runs out and the next claim finds the remediation in the state that was committed last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from remediator.audit.commitments import sealed
from remediator.model import TERMINAL, TRANSITIONS, IncidentId, Remediation, State
from remediator.store import approvals, budgets, escalations, gates, scores
from remediator.store.base import Change, LostClaim, Record
from remediator.store.budgets_base import Spender
from remediator.store.incidents import close_if_done, join
from remediator.store.log import Entry
from remediator.store.rows import REMEDIATION_COLUMNS, change_columns, from_micros, remediation_from, to_micros
from remediator.store.tables import OPEN, URGENCY, WAITING_STATES, alerts, remediations, template_events
from remediator.store.transaction import Transaction

_DUE = sa.and_(
    OPEN,
    remediations.c.due_at <= sa.bindparam("now"),
    sa.or_(remediations.c.lease_until.is_(None), remediations.c.lease_until < sa.bindparam("now")),
)
CANDIDATES = (
    sa.select(*REMEDIATION_COLUMNS)
    .join(alerts, alerts.c.id == remediations.c.alert_id)
    .where(_DUE)
    .order_by(URGENCY, remediations.c.created_at, remediations.c.id)
    .limit(sa.bindparam("at_most"))
)
_FEW = 256
_IS_RESOLVED = sa.exists().where(
    alerts.c.fingerprint == sa.bindparam("same_fingerprint"),
    alerts.c.starts_at >= sa.bindparam("began_at"),
    alerts.c.status == "resolved",
)
_RESOLVED = sa.select(_IS_RESOLVED)
DUE_NOW = (
    sa.select(remediations.c.id).where(OPEN, remediations.c.due_at <= sa.bindparam("now")).limit(_FEW + 1)
)
FEW_CANDIDATES = CANDIDATES.where(remediations.c.id.in_(sa.bindparam("due", expanding=True)))
_TAKE = (
    remediations.update()
    .where(remediations.c.id.in_(sa.bindparam("ids", expanding=True)), _DUE)
    .values(
        epoch=remediations.c.epoch + 1, lease_owner=sa.bindparam("new_owner"), lease_until=sa.bindparam("new_until")
    )
    .returning(remediations.c.id, remediations.c.epoch)
)
_SAME = sa.and_(
    remediations.c.id == sa.bindparam("same_id"),
    remediations.c.state == sa.bindparam("same_state"),
    remediations.c.epoch == sa.bindparam("same_epoch"),
)
_RENEW = (
    remediations.update()
    .where(_SAME, remediations.c.lease_until > sa.bindparam("now"))
    .values(lease_until=sa.bindparam("new_until"))
)
_RELEASE = (
    remediations.update()
    .where(_SAME)
    .values(
        due_at=sa.bindparam("new_due_at"), progress=sa.bindparam("new_progress"), lease_owner=None, lease_until=None
    )
)


@dataclass(frozen=True, slots=True)
class Step:
    """One `advance`, checked and encoded before it enters the queue of calls."""

    remediation: Remediation
    to: State
    kind: str
    body: bytes
    beside: bytes | None
    at: datetime
    change: Change
    columns: Mapping[str, Any]


def prepare(remediation: Remediation, to: State, record: Record, at: datetime, change: Change) -> Step:
    """Raises ValueError for a transition that does not exist, values that JSON cannot hold, and missing targets."""
    if to not in TRANSITIONS.get(remediation.state, frozenset()):
        raise ValueError(f"remediation {remediation.id}: no transition from {remediation.state} to {to}")
    if to is State.ACTING and change.acted_at is None:
        change = replace(change, acted_at=at)
    target = change.target or remediation.target
    if target is None and (to is State.ACTING or change.ledger or change.budgets):
        raise ValueError(f"remediation {remediation.id}: {to} with a write to the cluster needs a target")
    if change.scored and (change.plan or remediation.plan) is None:
        raise ValueError(f"remediation {remediation.id}: {to} without a plan cannot be scored")
    body, beside = sealed(record.body)
    return Step(remediation, to, record.kind, body, beside, at, change, change_columns(change))


def is_resolved(connection: sa.Connection, fingerprint: str, starts_at: datetime) -> bool:
    """Whether that episode, or a later one of the fingerprint, was reported as resolved."""
    asked = {"same_fingerprint": fingerprint, "began_at": to_micros(starts_at)}
    return bool(connection.execute(_RESOLVED, asked).scalar_one())


def next_due(connection: sa.Connection) -> datetime | None:
    """When the next remediation that is not at its end is due, also in the past; None: there is none."""
    due = connection.execute(sa.select(sa.func.min(remediations.c.due_at)).where(OPEN)).scalar_one()
    return None if due is None else from_micros(due)


def claim(transaction: Transaction, *, owner: str, at: datetime, lease: timedelta, limit: int) -> Sequence[Remediation]:
    now = to_micros(at)
    found = _candidates(transaction.connection, now, limit)
    if not found:
        return []
    taken = transaction.connection.execute(
        _TAKE,
        {"ids": [row["id"] for row in found], "now": now, "new_owner": owner, "new_until": to_micros(at + lease)},
    )
    epochs = {row.id: row.epoch for row in taken}
    return [replace(remediation_from(row), epoch=epochs[row["id"]]) for row in found if row["id"] in epochs]


def _candidates(connection: sa.Connection, now: int, limit: int) -> Sequence[sa.RowMapping]:
    """The most urgent that are due. Few of thousands that wait for their time are found by it; many, as in a storm, by
    their urgency, since all of them would have to be put in order."""
    due = list(connection.execute(DUE_NOW, {"now": now}).scalars())
    if not due:
        return []
    asked = {"now": now, "at_most": limit}
    if len(due) > _FEW:
        return connection.execute(CANDIDATES, asked).mappings().all()
    return connection.execute(FEW_CANDIDATES, asked | {"due": due}).mappings().all()


def renew(connection: sa.Connection, remediation: Remediation, *, at: datetime, lease: timedelta) -> None:
    """Raises LostClaim."""
    asked = _same(remediation) | {"now": to_micros(at), "new_until": to_micros(at + lease)}
    if connection.execute(_RENEW, asked).rowcount != 1:
        raise LostClaim(
            f"remediation {remediation.id}: the claim of epoch {remediation.epoch} has run out, or someone else has it"
        )


def advance(transaction: Transaction, step: Step) -> Remediation:
    """The state, the incident, the ledger and the record together. Raises LostClaim."""
    remediation, change = step.remediation, step.change
    values = dict(step.columns) | {"state": step.to.value}
    if step.to in TERMINAL | WAITING_STATES:
        values |= {"lease_owner": None, "lease_until": None}
    is_undone = remediation.state is State.ACTING and step.to in (State.DIAGNOSING, State.HELD)
    if is_undone:  # known not to be written: it must not count as an action, least of all against itself
        values |= {"acted_at": None}
        remediation = replace(remediation, acted_at=None)
        budgets.give_back(transaction.connection, remediation=remediation.id, at=step.at)
        scores.not_taken(transaction.connection, remediation.id, at=step.at)
    _move(transaction.connection, step, values)
    if _begins_to_act(step) or change.budgets:
        _debit(transaction, step)
    if (outcome := budgets.OUTCOMES.get(step.to)) is not None:
        budgets.settle(transaction.connection, outcome, remediation=remediation.id)
        scores.settle(transaction.connection, outcome, remediation=remediation.id, at=step.at)
    target = change.target or remediation.target
    if change.affected is not None and target is not None:
        gates.set_affected(transaction.connection, target, change.affected, at=step.at)
    if _begins_to_act(step):
        scores.taken(transaction.connection, remediation.id)
    if step.to is State.AWAITING_APPROVAL:
        approvals.forget(transaction.connection, remediation.id)
    for gate in change.gates:
        cluster = "" if target is None else target.cluster
        gates.enter(transaction, gate, change.gate_calls.get(gate.key), cluster=cluster, at=step.at)
    incident_id = _incident(transaction, step)
    for line in change.ledger:
        _write_ledger(transaction, step, line.uid, line.template_hash, line.event, line.at)
    transaction.record(Entry(step.at, step.kind, remediation.id, incident_id, step.body, step.beside))
    changed = {
        name: getattr(change, name)
        for name in ("reason", "rule", "severity", "mode", "target", "plan", "acted_at", "due_at", "tries", "progress")
        if getattr(change, name) is not None
    }
    moved = replace(
        remediation, state=step.to, incident_id=None if incident_id is None else IncidentId(incident_id), **changed
    )
    if change.scored:
        scores.begin(transaction.connection, moved, sense=change.scored, at=step.at)
    if step.to in TERMINAL:
        _conclude(transaction, moved, step)
    return moved


def release(connection: sa.Connection, remediation: Remediation, *, due_at: datetime, progress: str) -> None:
    """Raises LostClaim. `progress` is JSON."""
    asked = _same(remediation) | {"new_due_at": to_micros(due_at), "new_progress": progress}
    if connection.execute(_RELEASE, asked).rowcount != 1:
        raise LostClaim(f"remediation {remediation.id} is no longer {remediation.state} in epoch {remediation.epoch}")


def _move(connection: sa.Connection, step: Step, values: Mapping[str, Any]) -> None:
    remediation = step.remediation
    asked = {f"new_{name}": value for name, value in values.items()} | _same(remediation)
    if _begins_to_act(step):
        began = to_micros(remediation.alert.starts_at)
        asked |= {"same_fingerprint": remediation.fingerprint, "began_at": began}
    try:
        result = connection.execute(_moving(tuple(values), _begins_to_act(step)), asked)
    except sa.exc.IntegrityError as error:
        # The unique index on the targets that are being acted on: the last word between two actors.
        raise LostClaim(f"remediation {remediation.id}: another one is already acting on its target") from error
    if result.rowcount != 1:
        raise LostClaim(
            f"remediation {remediation.id} is no longer {remediation.state} in epoch {remediation.epoch}"
            + (", or its alert has been resolved" if _begins_to_act(step) else "")
        )


@lru_cache(maxsize=256)
def _moving(columns: tuple[str, ...], is_unresolved: bool) -> sa.Update:
    """The update of these columns, where the alert has not been resolved if that is asked. Built once: to build one
    takes as long as SQLite takes to do it."""
    update = remediations.update().where(_SAME).values({name: sa.bindparam(f"new_{name}") for name in columns})
    if not is_unresolved:
        return update
    return update.where(sa.not_(_IS_RESOLVED))


def _debit(transaction: Transaction, step: Step) -> None:
    remediation, change = step.remediation, step.change
    plan, target = change.plan or remediation.plan, change.target or remediation.target
    assert target is not None  # `prepare` refused it
    spender = Spender(
        rule=change.rule or remediation.rule or "",
        action="" if plan is None else plan.action,
        cluster=target.cluster,
        namespace=target.namespace or "",
        is_shadow=not _begins_to_act(step),
        rule_digest=change.rule_digest,
    )
    budgets.debit(
        transaction,
        spender,
        change.budgets,
        remediation=remediation,
        target_key=target.key,
        at=change.acted_at or step.at,
    )


def _begins_to_act(step: Step) -> bool:
    """A plan that has begun is brought to its end, whatever the alert says meanwhile."""
    return step.to is State.ACTING and step.remediation.state is not State.ACTING


def _incident(transaction: Transaction, step: Step) -> int | None:
    remediation = step.remediation
    incident_id: int | None = remediation.incident_id
    if incident_id is None and (step.change.target is not None or step.to in TERMINAL):
        incident_id = join(transaction, remediation, step.change.target)
    return incident_id


def _conclude(transaction: Transaction, ended: Remediation, step: Step) -> None:
    """People are called, or it recovered, or neither; and the incident closes when nothing of it is open."""
    assert ended.incident_id is not None
    if step.change.call is not None:
        escalations.call_for_incident(transaction, step.change.call, ended, at=step.at)
    elif ended.state is State.VERIFIED:
        escalations.end_what_is_over(transaction, [ended.incident_id], escalations.RECOVERED, at=step.at)
    close_if_done(transaction.connection, ended.incident_id, step.at)


def _write_ledger(transaction: Transaction, step: Step, uid: str, template_hash: str, event: str, at: datetime) -> None:
    target = step.change.target or step.remediation.target
    assert target is not None
    transaction.connection.execute(
        template_events.insert(),
        {
            "id": transaction.next_id(template_events),
            "target_key": target.key,
            "uid": uid,
            "template_hash": template_hash,
            "event": event,
            "at": to_micros(at),
            "remediation_id": step.remediation.id,
        },
    )


def _same(remediation: Remediation) -> dict[str, Any]:
    return {"same_id": remediation.id, "same_state": remediation.state.value, "same_epoch": remediation.epoch}
