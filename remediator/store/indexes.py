"""The indexes of the tables. The service asks by none of them: the migrations make them, and a test compares.

Apart from `tables.py`, since a condition for PostgreSQL brings in all of SQLAlchemy's drivers for it.
"""

from __future__ import annotations

import sqlalchemy as sa

from remediator.store.tables import (
    BUSY,
    FIRING,
    OPEN,
    URGENCY,
    alerts,
    escalations,
    incidents,
    metadata,
    records,
    remediations,
    rollouts,
    scores,
    template_events,
)

__all__ = ["metadata"]

_HAS_TARGET = remediations.c.target_key.is_not(None)
_INCIDENT_OPEN = incidents.c.closed_at.is_(None)
_ESCALATION_OPEN = escalations.c.ended_at.is_(None)


def _index(name: str, *columns: sa.ColumnElement[object], unique: bool = False, where: sa.ColumnElement[bool]) -> None:
    sa.Index(name, *columns, unique=unique, sqlite_where=where, postgresql_where=where)


_index("ix_alerts_firing", alerts.c.fingerprint, alerts.c.starts_at, where=FIRING)
_index("uq_incidents_open_target", incidents.c.target_key, unique=True, where=_INCIDENT_OPEN)
_index("uq_remediations_busy_target", remediations.c.target_key, unique=True, where=BUSY)
_index("ix_remediations_claim", URGENCY, remediations.c.created_at, remediations.c.id, where=OPEN)
_index("ix_remediations_due", remediations.c.due_at, remediations.c.state, where=OPEN)
_index(
    "ix_remediations_target",
    remediations.c.target_key,
    remediations.c.acted_at,
    where=_HAS_TARGET,
)
sa.Index("ix_remediations_came", remediations.c.created_at, remediations.c.target_key)
_index("ix_remediations_rule", remediations.c.rule, remediations.c.acted_at, where=remediations.c.acted_at.is_not(None))
_index("ix_remediations_incident", remediations.c.incident_id, where=remediations.c.incident_id.is_not(None))
sa.Index("ix_remediations_alert", remediations.c.alert_id)
_index("ix_records_remediation", records.c.remediation_id, where=records.c.remediation_id.is_not(None))
_index("ix_records_incident", records.c.incident_id, where=records.c.incident_id.is_not(None))
sa.Index("ix_template_events_target", template_events.c.target_key)
_index("uq_rollouts_present_target", rollouts.c.target_key, unique=True, where=rollouts.c.ended_at.is_(None))
_index("ix_rollouts_ended", rollouts.c.ended_at, where=rollouts.c.ended_at.is_not(None))
sa.Index("ix_rollouts_place", rollouts.c.namespace, rollouts.c.name)
_index("ix_incidents_target", incidents.c.target_key, incidents.c.opened_at, where=incidents.c.target_key.is_not(None))
# NULL equals nothing: the first is of incidents only, the second of gates only.
_index("uq_escalations_open_incident", escalations.c.incident_id, unique=True, where=_ESCALATION_OPEN)
_index("uq_escalations_open_gate", escalations.c.cluster, escalations.c.gate, unique=True, where=_ESCALATION_OPEN)
_index("ix_escalations_due", escalations.c.next_at, where=escalations.c.next_at.is_not(None))
_index("ix_escalations_incident", escalations.c.incident_id, where=escalations.c.incident_id.is_not(None))
_index("ix_scores_due", scores.c.due_at, where=scores.c.due_at.is_not(None))
sa.Index("ix_scores_rule", scores.c.rule, scores.c.decided_at)
