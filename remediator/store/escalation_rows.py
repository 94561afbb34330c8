"""Escalations as they are read: their row with what it is of. Called by `escalations.py`, `incidents.py` and
`database.py`."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa

from remediator.model import EscalationId, IncidentId, RemediationId, Target
from remediator.reasons import Reason
from remediator.store.escalations_base import Escalation
from remediator.store.rows import from_micros, to_micros
from remediator.store.tables import escalations, gates, incidents, remediations

_WHOLE = (
    sa.select(escalations, incidents.c.title, remediations.c.rule, remediations.c.target)
    .outerjoin(incidents, incidents.c.id == escalations.c.incident_id)
    .outerjoin(remediations, remediations.c.id == escalations.c.remediation_id)
)
_OPEN = escalations.c.ended_at.is_(None)
_STANDS = sa.exists().where(
    gates.c.cluster == escalations.c.cluster, gates.c.key == escalations.c.gate, gates.c.until > sa.bindparam("now")
)

# Built once: to build a statement takes some times as long as SQLite takes to answer it.
_OPEN_ONES = _WHOLE.where(_OPEN).order_by(escalations.c.severity, escalations.c.id)
_OF_LEFT_GATES = _WHOLE.where(_OPEN, escalations.c.gate.is_not(None), sa.not_(_STANDS)).order_by(escalations.c.id)
_DUE = (
    _WHOLE.where(escalations.c.next_at <= sa.bindparam("now"))
    .order_by(escalations.c.next_at, escalations.c.id)
    .limit(sa.bindparam("at_most"))
)


def open_ones(connection: sa.Connection) -> Sequence[Escalation]:
    """The most severe first, then the oldest."""
    return _read(connection, _OPEN_ONES)


def open_of(connection: sa.Connection, incident_ids: Collection[int]) -> Sequence[Escalation]:
    """The open escalations of these incidents, one each at most."""
    return _read(connection, _WHOLE.where(_OPEN, escalations.c.incident_id.in_(incident_ids)))


def open_of_gate(connection: sa.Connection, gate: str, *, cluster: str) -> Escalation | None:
    found = _WHOLE.where(_OPEN, escalations.c.cluster == cluster, escalations.c.gate == gate)
    return next(iter(_read(connection, found)), None)


def of_incident(connection: sa.Connection, incident_id: IncidentId) -> Sequence[Escalation]:
    """All that it ever had, oldest first."""
    return _read(connection, _WHOLE.where(escalations.c.incident_id == incident_id).order_by(escalations.c.id))


def of_left_gates(connection: sa.Connection, *, at: datetime) -> Sequence[Escalation]:
    """The open ones of gates that nobody saw for long enough."""
    return _read(connection, _OF_LEFT_GATES, {"now": to_micros(at)})


def by_id(connection: sa.Connection, number: EscalationId) -> Escalation | None:
    return next(iter(_read(connection, _WHOLE.where(escalations.c.id == number))), None)


def due(connection: sa.Connection, *, at: datetime, limit: int) -> Sequence[Escalation]:
    return _read(connection, _DUE, {"now": to_micros(at), "at_most": limit})


def counts(connection: sa.Connection) -> Mapping[tuple[int, bool], int]:
    is_acked = escalations.c.acked_at.is_not(None)
    counted = (
        sa.select(escalations.c.severity, is_acked.label("is_acked"), sa.func.count().label("times"))
        .where(_OPEN)
        .group_by(escalations.c.severity, is_acked)
    )
    return {(row.severity, bool(row.is_acked)): row.times for row in connection.execute(counted)}


def _read(
    connection: sa.Connection, query: sa.Select[*tuple[object, ...]], asked: Mapping[str, int] | None = None
) -> Sequence[Escalation]:
    return [_escalation_from(row) for row in connection.execute(query, asked).mappings()]


def _escalation_from(row: sa.RowMapping) -> Escalation:
    return Escalation(
        id=EscalationId(row["id"]),
        incident_id=None if row["incident_id"] is None else IncidentId(row["incident_id"]),
        remediation_id=None if row["remediation_id"] is None else RemediationId(row["remediation_id"]),
        cluster=row["cluster"],
        gate=row["gate"],
        title=row["title"] or row["gate"] or "",
        target=None if row["target"] is None else Target(**json.loads(row["target"])),
        rule=row["rule"],
        contact=row["contact"],
        severity=row["severity"],
        level=row["level"],
        reminders=row["reminders"],
        told=row["told"],
        reason=Reason(row["reason"]),
        detail=row["detail"],
        needs_person=row["needs_person"],
        opened_at=from_micros(row["opened_at"]),
        next_at=_instant(row["next_at"]),
        acked_at=_instant(row["acked_at"]),
        acked_by=row["acked_by"],
        acked_comment=row["acked_comment"],
        ended_at=_instant(row["ended_at"]),
        ended=row["ended"],
    )


def _instant(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)
