"""The table of rollouts: `RolloutStore` on the same database, through the same writer as everything else.

`database.py` makes one and offers it as `Database.rollouts`; the deployment watch writes, the HTTP API reads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from remediator.model import IncidentId, Target
from remediator.store.log import Entry
from remediator.store.rollouts_base import Known, Look, Overtaken, Rollout, RolloutState
from remediator.store.rows import from_micros, to_json, to_micros
from remediator.store.tables import alerts, remediations, rollout_looks, rollouts, template_events
from remediator.store.transaction import Transaction
from remediator.store.writer import Writer

KEEP_ENDED = timedelta(days=90)
"""How long a replaced rollout is remembered."""

NO_REMEDIATION = 0
"""`template_events.remediation_id` of a line that no remediation wrote."""

_INSTANTS = (
    "started_at",
    "first_seen_at",
    "completed_at",
    "watched_until",
    "available_since",
    "proven_good_at",
    "stable_at",
    "ended_at",
)
_PLAIN = ("template_hash", "revision", "is_exact", "deployed_by", "incident_id")
_PRESENT = rollouts.c.ended_at.is_(None)
_PRESENT_OF = sa.select(rollouts).where(
    _PRESENT, rollouts.c.target_key == sa.bindparam("of"), rollouts.c.uid == sa.bindparam("same_uid")
)


class RolloutTable:
    """`RolloutStore` on SQLAlchemy Core."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def known(self, cluster: str) -> Known:
        return await self._writer.read(lambda t: _read_known(t.connection, cluster))

    async def keep(self, look: Look) -> None:
        await self._writer.write(lambda transaction: _keep(transaction, look))

    async def set_baseline(self, rollout_id: int, baseline: Mapping[str, float | None]) -> None:
        change = rollouts.update().where(rollouts.c.id == rollout_id).values(baseline=to_json(baseline))
        await self._writer.write(lambda t: t.connection.execute(change).rowcount)

    async def present(self, *, limit: int, watched_at: datetime | None = None) -> Sequence[Rollout]:
        lines = sa.select(rollouts).where(_PRESENT).order_by(rollouts.c.started_at.desc(), rollouts.c.id.desc())
        if watched_at is not None:
            lines = lines.where(rollouts.c.watched_until > to_micros(watched_at))
        return await self._writer.read(lambda t: _read(t.connection, lines.limit(limit)))

    async def history(self, namespace: str, name: str, *, limit: int) -> Sequence[Rollout]:
        lines = (
            sa.select(rollouts)
            .where(rollouts.c.namespace == namespace, rollouts.c.name == name)
            .order_by(rollouts.c.id.desc())
            .limit(limit)
        )
        return await self._writer.read(lambda t: _read(t.connection, lines))

    async def present_of(self, target: Target) -> Rollout | None:
        asked = {"of": target.key, "same_uid": target.uid}
        found = await self._writer.read(lambda t: _read(t.connection, _PRESENT_OF, asked))
        return found[0] if found else None


def _read_known(connection: sa.Connection, cluster: str) -> Known:
    present = _read(connection, sa.select(rollouts).where(rollouts.c.cluster == cluster, _PRESENT))
    first = (
        # By the alerts, not by when the incident opened: one that is still open from the release before takes them too.
        sa.select(rollouts.c.id, sa.func.min(remediations.c.incident_id))
        .join(remediations, remediations.c.target_key == rollouts.c.target_key)
        .join(alerts, (alerts.c.id == remediations.c.alert_id) & (alerts.c.starts_at >= rollouts.c.started_at))
        .where(
            rollouts.c.cluster == cluster,
            _PRESENT,
            rollouts.c.state != RolloutState.STABLE.value,
            remediations.c.incident_id.is_not(None),
        )
        .group_by(rollouts.c.id)
    )
    looked = sa.select(rollout_looks.c.looked_at).where(rollout_looks.c.cluster == cluster)
    at = connection.execute(looked).scalar_one_or_none()
    return Known(
        rollouts=present,
        incidents={rollout: IncidentId(incident) for rollout, incident in connection.execute(first)},
        looked_at=None if at is None else from_micros(at),
    )


def _keep(transaction: Transaction, look: Look) -> None:
    connection = transaction.connection
    _move_on(connection, look)
    # What ended goes first: a target has one present rollout, and a unique index says so.
    for one in sorted(look.changes, key=lambda rollout: rollout.ended_at is None):
        if one.id is None:
            connection.execute(rollouts.insert(), {"id": transaction.next_id(rollouts), **_columns(one)})
        else:
            columns = _columns(one)
            del columns["baseline"]  # is set apart, and may have been meanwhile
            connection.execute(rollouts.update().where(rollouts.c.id == one.id).values(columns))
    for target, event in look.ledger:
        line: dict[str, Any] = {
            "target_key": target.key,
            "uid": event.uid,
            "template_hash": event.template_hash,
            "event": event.event,
        }
        there = sa.select(sa.exists().where(*(template_events.c[name] == value for name, value in line.items())))
        if not connection.execute(there).scalar_one():
            number = transaction.next_id(template_events)
            line |= {"id": number, "at": to_micros(event.at), "remediation_id": NO_REMEDIATION}
            connection.execute(template_events.insert(), line)
    for record in look.records:
        transaction.record(Entry.of(look.at, record.kind, record.body))
    connection.execute(rollouts.delete().where(rollouts.c.ended_at < to_micros(look.at - KEEP_ENDED)))


def _move_on(connection: sa.Connection, look: Look) -> None:
    """Raises Overtaken."""
    at = {"looked_at": to_micros(look.began_at)}
    after = None if look.after is None else to_micros(look.after)
    own = sa.and_(rollout_looks.c.cluster == look.cluster, rollout_looks.c.looked_at == after)
    if after is not None and connection.execute(rollout_looks.update().where(own).values(at)).rowcount:
        return
    known = sa.select(sa.exists().where(rollout_looks.c.cluster == look.cluster))
    if after is not None or connection.execute(known).scalar_one():
        raise Overtaken(f"another replica has looked at the rollouts of {look.cluster} meanwhile")
    connection.execute(rollout_looks.insert(), {"cluster": look.cluster, **at})


def _columns(rollout: Rollout) -> dict[str, Any]:
    columns: dict[str, Any] = {name: getattr(rollout, name) for name in _PLAIN}
    for name in _INSTANTS:
        instant = getattr(rollout, name)
        columns[name] = None if instant is None else to_micros(instant)
    return columns | {
        "cluster": rollout.target.cluster,
        "namespace": rollout.target.namespace,
        "name": rollout.target.name,
        "uid": rollout.target.uid,
        "target_key": rollout.target.key,
        "kind": rollout.target.kind,
        "images": to_json(dict(rollout.images)),
        "state": rollout.state.value,
        "baseline": None if rollout.baseline is None else to_json(dict(rollout.baseline)),
    }


def _read(
    connection: sa.Connection, lines: sa.Select[Any], asked: Mapping[str, str] | None = None
) -> list[Rollout]:
    return [_rollout_from(row) for row in connection.execute(lines, asked).mappings()]


def _rollout_from(row: Mapping[Any, Any]) -> Rollout:
    instants = {name: None if row[name] is None else from_micros(row[name]) for name in _INSTANTS}
    fields: dict[str, Any] = {name: row[name] for name in _PLAIN} | instants
    return Rollout(
        id=row["id"],
        target=Target(row["cluster"], row["kind"], row["namespace"], row["name"], row["uid"]),
        images=json.loads(row["images"]),
        state=RolloutState(row["state"]),
        baseline=None if row["baseline"] is None else json.loads(row["baseline"]),
        **fields,
    )
