"""Incidents: opened, joined and closed by `queue.py`; listed and shown for people through `database.py`.

An incident is everything about one target from its first alert until nothing of it is open, people's part included.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from remediator.model import IncidentId, Remediation, Target
from remediator.store import escalation_rows
from remediator.store.reading import IncidentRow, IncidentView
from remediator.store.rows import (
    REMEDIATION_COLUMNS,
    from_micros,
    record_from,
    remediation_from,
    to_micros,
)
from remediator.store.tables import OPEN, alerts, escalations, incidents, records, remediations
from remediator.store.transaction import Transaction

_all = remediations.alias("all_of_incident")
_newest = sa.select(sa.func.max(_all.c.id)).where(_all.c.incident_id == incidents.c.id).scalar_subquery()
_severity = sa.select(sa.func.min(_all.c.severity)).where(_all.c.incident_id == incidents.c.id).scalar_subquery()
_LINES = (
    sa.select(incidents, _severity.label("severity"), remediations.c.state, remediations.c.reason, remediations.c.rule)
    .select_from(incidents)
    .join(remediations, remediations.c.id == _newest)
    .order_by(incidents.c.id.desc())
)

_OPEN_OF = sa.select(incidents.c.id).where(
    incidents.c.target_key == sa.bindparam("of"), incidents.c.closed_at.is_(None)
)
_BEGIN = incidents.insert()
_PUT = (
    remediations.update()
    .where(remediations.c.id == sa.bindparam("one"))
    .values(incident_id=sa.bindparam("into"))
)

_CLOSE = (
    incidents.update()
    .where(
        incidents.c.id == sa.bindparam("one"),
        incidents.c.closed_at.is_(None),
        sa.not_(sa.exists().where(remediations.c.incident_id == sa.bindparam("one"), OPEN)),
        sa.not_(sa.exists().where(escalations.c.incident_id == sa.bindparam("one"), escalations.c.ended_at.is_(None))),
    )
    .values(closed_at=sa.bindparam("at"))
)
_DEPTH = sa.select(remediations.c.state, sa.func.count()).where(OPEN).group_by(remediations.c.state)


def join(transaction: Transaction, remediation: Remediation, target: Target | None) -> int:
    """Put the remediation into its target's open incident, or into a new one; without a target, one of its own."""
    connection = transaction.connection
    found = None
    if target is not None:
        found = connection.execute(_OPEN_OF, {"of": target.key}).scalar_one_or_none()
    incident_id: int = transaction.next_id(incidents) if found is None else found
    if found is None:
        connection.execute(
            _BEGIN,
            {
                "id": incident_id,
                "target_key": None if target is None else target.key,
                "target": "" if target is None else str(target),
                "title": remediation.alert.name,
                "opened_at": to_micros(remediation.created_at),
                "closed_at": None,
            },
        )
    connection.execute(_PUT, {"one": remediation.id, "into": incident_id})
    return incident_id


def close_if_done(connection: sa.Connection, incident_id: int, at: datetime) -> None:
    """Close it unless a remediation of it is under way, or people are still to see to it."""
    connection.execute(_CLOSE, {"one": incident_id, "at": to_micros(at)})


def newest(connection: sa.Connection, *, limit: int, open_only: bool) -> Sequence[IncidentRow]:
    lines = _LINES.where(incidents.c.closed_at.is_(None)) if open_only else _LINES
    return [_row_from(row) for row in connection.execute(lines.limit(limit)).mappings()]


def those(connection: sa.Connection, wanted: sa.ColumnElement[bool], *, limit: int) -> Sequence[IncidentRow]:
    """The incidents for which that holds, by number."""
    lines = _LINES.order_by(None).where(wanted).order_by(incidents.c.id).limit(limit)
    return [_row_from(row) for row in connection.execute(lines).mappings()]


def view(connection: sa.Connection, incident_id: IncidentId) -> IncidentView | None:
    line = connection.execute(_LINES.where(incidents.c.id == incident_id)).mappings().one_or_none()
    if line is None:
        return None
    found = (
        connection.execute(
            sa.select(*REMEDIATION_COLUMNS, remediations.c.diagnosis)
            .join(alerts, alerts.c.id == remediations.c.alert_id)
            .where(remediations.c.incident_id == incident_id)
            .order_by(remediations.c.id)
        )
        .mappings()
        .all()
    )
    # Records from before the remediation joined the incident carry only the remediation's id.
    of_remediations = sa.select(remediations.c.id).where(remediations.c.incident_id == incident_id)
    entries = connection.execute(
        sa.select(records)
        .where(sa.or_(records.c.incident_id == incident_id, records.c.remediation_id.in_(of_remediations)))
        .order_by(records.c.seq)
    ).mappings()
    return IncidentView(
        row=_row_from(line),
        remediations=[remediation_from(row) for row in found],
        diagnoses={row["id"]: json.loads(row["diagnosis"]) for row in found if row["diagnosis"] is not None},
        records=[record_from(row) for row in entries],
        escalations=escalation_rows.of_incident(connection, incident_id),
    )


def queue_depth(connection: sa.Connection) -> Mapping[str, int]:
    return {state: count for state, count in connection.execute(_DEPTH)}


def _row_from(row: Mapping[Any, Any]) -> IncidentRow:
    return IncidentRow(
        id=IncidentId(row["id"]),
        title=row["title"],
        target=row["target"],
        severity=row["severity"],
        outcome=row["state"],
        reason=row["reason"],
        rule=row["rule"],
        opened_at=from_micros(row["opened_at"]),
        closed_at=None if row["closed_at"] is None else from_micros(row["closed_at"]),
    )
