"""The memory of common causes: gates that were seen, and what targets that alert have in common.

Called by `database.py` and, inside a step's transaction, by `queue.py`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

import sqlalchemy as sa

from remediator.model import Target
from remediator.reasons import Reason
from remediator.store import escalations
from remediator.store.escalations_base import Call
from remediator.store.gates_base import SeenGate
from remediator.store.log import Entry
from remediator.store.rows import from_micros, to_micros
from remediator.store.tables import OPEN, affected, alerts, gates, remediations
from remediator.store.transaction import Transaction
from remediator.verdicts import AffectedPod, Gate

# Built once: to build a statement takes as long as SQLite takes to answer it.
_CHANGES = sa.select(alerts.c.first_received_at, alerts.c.resolved_at).where(
    alerts.c.fingerprint == sa.bindparam("of")
)
_SEEN_AT = sa.select(gates.c.seen_at).where(gates.c.cluster == sa.bindparam("here"), gates.c.key == sa.bindparam("of"))
_FORGET_AFFECTED = affected.delete().where(affected.c.target_key == sa.bindparam("of"))
_ADD_AFFECTED = affected.insert()
_AFFECTED = (
    sa.select(affected)
    .where(affected.c.cluster == sa.bindparam("here"), affected.c.at > sa.bindparam("since"))
    .order_by(affected.c.at.desc(), affected.c.target_key, affected.c.name)
    .limit(sa.bindparam("at_most"))
)
_UNSEEN = sa.select(sa.func.count()).select_from(
    sa.select(sa.literal(1))
    .where(OPEN, remediations.c.target_key.is_(None), remediations.c.created_at > sa.bindparam("since"))
    .limit(sa.bindparam("at_most"))
    .subquery()
)
_PRESENT = sa.select(gates).where(gates.c.until > sa.bindparam("now")).order_by(gates.c.since, gates.c.key)


def enter(transaction: Transaction, gate: Gate, call: Call | None, *, cluster: str, at: datetime) -> None:
    """It is seen now. One record, and one escalation if people are called, when it was not before."""
    connection = transaction.connection
    own = sa.and_(gates.c.cluster == cluster, gates.c.key == gate.key)
    values = {"seen_at": to_micros(at), "until": to_micros(at + gate.quiet), "detail": gate.detail}
    if connection.execute(gates.update().where(own, gates.c.until > to_micros(at)).values(values)).rowcount:
        return
    connection.execute(gates.delete().where(own))
    line = {"cluster": cluster, "key": gate.key, "reason": gate.reason.value, "since": to_micros(at), **values}
    connection.execute(gates.insert(), line)
    body = {"gate": gate.key, "cluster": cluster, "reason": gate.reason.value, "detail": gate.detail}
    transaction.record(Entry.of(at, "gate.entered", body))
    if call is not None:
        escalations.call_for_gate(transaction, call, gate.key, cluster=cluster, at=at)


def set_affected(connection: sa.Connection, target: Target, pods: Sequence[AffectedPod], *, at: datetime) -> None:
    """In place of what the target's last look found."""
    connection.execute(_FORGET_AFFECTED, {"of": target.key})
    lines = [
        {
            "target_key": target.key,
            "name": pod.name,
            "cluster": target.cluster,
            "node": pod.node,
            "image": pod.image,
            "dependency": pod.dependency,
            "at": to_micros(at),
        }
        for pod in pods
    ]
    if lines:
        connection.execute(_ADD_AFFECTED, lines)


def alerting_targets(connection: sa.Connection, *, cluster: str, since: datetime) -> int:
    return int(connection.execute(_alerting(cluster), {"since": to_micros(since)}).scalar_one())


@lru_cache(maxsize=64)
def _alerting(cluster: str) -> sa.Select[int]:
    return sa.select(sa.func.count(remediations.c.target_key.distinct())).where(
        remediations.c.target_key.is_not(None),
        remediations.c.created_at > sa.bindparam("since"),
        remediations.c.target_key.startswith(f"{cluster}/", autoescape=True),
    )


def alerts_unseen(connection: sa.Connection, *, since: datetime, at_most: int) -> int:
    return int(connection.execute(_UNSEEN, {"since": to_micros(since), "at_most": at_most}).scalar_one())


def alerts_since(
    connection: sa.Connection,
    target: Target,
    *,
    since: datetime,
    dependents: Sequence[tuple[str, str | None]],
    besides: str,
) -> Sequence[str]:
    asked = {"of": target.key, "since": to_micros(since)}
    found = connection.execute(_concerning(target.cluster, tuple(dependents)), asked)
    names = [json.loads(row.labels).get("alertname", "") for row in found]
    return [name for name in names if name != besides]


@lru_cache(maxsize=64)
def _concerning(cluster: str, dependents: tuple[tuple[str, str | None], ...]) -> sa.Select[str]:
    concerns = [remediations.c.target_key == sa.bindparam("of")]
    for rule, namespace in dependents:
        place = f"{cluster}/" if namespace is None else f"{cluster}/{namespace}/"
        inside = remediations.c.target_key.startswith(place, autoescape=True)
        concerns.append(sa.and_(remediations.c.rule == rule, inside))
    return (
        sa.select(alerts.c.labels)
        .join(remediations, remediations.c.alert_id == alerts.c.id)
        .where(alerts.c.status == "firing", alerts.c.starts_at > sa.bindparam("since"), sa.or_(*concerns))
        .limit(200)
    )


def alert_changes(connection: sa.Connection, fingerprint: str, *, since: datetime) -> Sequence[datetime]:
    rows = connection.execute(_CHANGES, {"of": fingerprint})
    times = sorted(at for row in rows for at in row if at is not None and at > to_micros(since))
    return [from_micros(at) for at in times]


def affected_pods(
    connection: sa.Connection, *, cluster: str, since: datetime, limit: int
) -> Sequence[AffectedPod]:
    asked = {"here": cluster, "since": to_micros(since), "at_most": limit}
    return [
        AffectedPod(row.target_key, row.name, row.node, row.image, row.dependency)
        for row in connection.execute(_AFFECTED, asked)
    ]


def seen_at(connection: sa.Connection, key: str, *, cluster: str) -> datetime | None:
    found = connection.execute(_SEEN_AT, {"here": cluster, "of": key})
    micros = found.scalar_one_or_none()
    return None if micros is None else from_micros(micros)


def present(connection: sa.Connection, *, at: datetime) -> Sequence[SeenGate]:
    return [
        SeenGate(
            cluster=row.cluster,
            key=row.key,
            reason=Reason(row.reason).value,
            detail=row.detail,
            since=from_micros(row.since),
            seen_at=from_micros(row.seen_at),
            until=from_micros(row.until),
        )
        for row in connection.execute(_PRESENT, {"now": to_micros(at)})
    ]
