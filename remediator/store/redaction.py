"""Taking back what is free in a record: beside it in the log, and in the rows that hold the same content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa

from remediator.audit.commitments import disclosures, without
from remediator.store.log import Entry
from remediator.store.log_base import StillNeeded
from remediator.store.tables import OPEN, alerts, approvals, escalations, records, remediations
from remediator.store.transaction import Transaction

_OF_ALERT: Mapping[str, Mapping[str, str]] = {
    "annotations": {"annotations": "{}"},
    "generator_url": {"generator_url": ""},
}
_OF_REMEDIATION = frozenset({"diagnosis", "evidence"})
"""Fields whose content stands in the remediation's own diagnosis too."""
_OF_PLAN = frozenset({"after", "before", "plan", "request", "requests"})
"""Fields whose content stands in the remediation's own plan too."""
_TAKEN_BACK = "[taken back]"


def redact(
    transaction: Transaction, seq: int, fields: Sequence[str], *, by: str, comment: str, at: datetime
) -> Sequence[str]:
    """As `LogReader.redact`."""
    connection = transaction.connection
    row = connection.execute(
        sa.select(records.c.beside, records.c.remediation_id, records.c.incident_id).where(records.c.seq == seq)
    ).one_or_none()
    held = {} if row is None else disclosures(row.beside)
    taken = sorted(name for name in fields if name in held)
    if row is None or not taken:
        return []
    if row.remediation_id is not None and _OF_PLAN & set(taken) and _is_open(connection, row.remediation_id):
        raise StillNeeded(f"remediation {row.remediation_id} is not over: its plan can be taken back when it is")
    connection.execute(
        records.update().where(records.c.seq == seq).values(beside=without(row.beside, taken))
    )
    if row.remediation_id is not None:
        _in_rows(connection, row.remediation_id, taken)
    body = {"redacted": seq, "fields": taken, "by": by, "comment": comment}
    transaction.record(
        Entry.of(at, "audit.redacted", body, remediation=row.remediation_id, incident=row.incident_id)
    )
    return taken


def _is_open(connection: sa.Connection, remediation: int) -> bool:
    found = connection.execute(sa.select(remediations.c.id).where(remediations.c.id == remediation, OPEN))
    return found.one_or_none() is not None


def _in_rows(connection: sa.Connection, remediation: int, taken: Sequence[str]) -> None:
    if _OF_REMEDIATION & set(taken):
        connection.execute(remediations.update().where(remediations.c.id == remediation).values(diagnosis=None))
    if _OF_PLAN & set(taken):
        connection.execute(remediations.update().where(remediations.c.id == remediation).values(plan=None))
    if "detail" in taken:
        connection.execute(
            escalations.update().where(escalations.c.remediation_id == remediation).values(detail=_TAKEN_BACK)
        )
    if "comment" in taken:
        connection.execute(
            approvals.update().where(approvals.c.remediation_id == remediation).values(comment=_TAKEN_BACK)
        )
    if columns := {key: value for name in taken for key, value in _OF_ALERT.get(name, {}).items()}:
        of_it = sa.select(remediations.c.alert_id).where(remediations.c.id == remediation).scalar_subquery()
        connection.execute(alerts.update().where(alerts.c.id == of_it).values(columns))
