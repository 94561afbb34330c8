"""What is too old goes: whole tiles of records, whose hashes stay, and the rows of what has long been over.

Called by `database.py` for the daily round. What was given up is itself a record; the tree, its tiles and the kept
checkpoints stay, so that proofs of what is left and of growth go on. Nothing goes that a sink was not told yet, that
belongs to an incident that is open, or that is part of the last, unfinished tile.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from remediator.clock import rfc3339
from remediator.store import scores
from remediator.store.leaves import TILE
from remediator.store.log import Entry
from remediator.store.rows import to_micros
from remediator.store.tables import (
    OPEN,
    alerts,
    approvals,
    cursors,
    escalations,
    incidents,
    log_head,
    records,
    remediations,
)
from remediator.store.transaction import Transaction

MOST = 50 * TILE
"""Records in one transaction: some tens of milliseconds in which nothing else is stored."""


def prune(transaction: Transaction, *, before: datetime, at: datetime) -> int:
    """Give up the oldest records from before that time, and what rows they alone needed; how many records, 0: none.

    Call it again until it is 0.
    """
    connection = transaction.connection
    done: int = connection.execute(sa.select(log_head.c.pruned)).scalar_one()
    upto = _upto(transaction, done, to_micros(before))
    if upto <= done:
        return 0
    connection.execute(log_head.update().values(pruned=upto))  # the trigger on records lets go of these from here on
    connection.execute(records.delete().where(records.c.seq <= upto))
    transaction.keep_highest()
    _forget_rows(connection, to_micros(before))
    body = {"first": done + 1, "last": upto, "before": rfc3339(before)}
    transaction.record(Entry.of(at, "audit.pruned", body))
    return upto - done


def _upto(transaction: Transaction, done: int, before: int) -> int:
    """The last record that may go, at the end of a tile."""
    connection = transaction.connection
    size = transaction.log.head(connection).size
    told = connection.execute(sa.select(sa.func.min(cursors.c.seq))).scalar_one()
    recent = sa.select(sa.func.min(records.c.seq)).where(records.c.seq > done, records.c.at >= before)
    needed = sa.select(sa.func.min(records.c.seq)).where(records.c.seq > done, _is_needed())
    bounds = [size, done + MOST, size if told is None else told]
    for question in (recent, needed):
        first = connection.execute(question).scalar_one()
        bounds.append(size if first is None else first - 1)
    return min(bounds) // TILE * TILE


def _is_needed() -> sa.ColumnElement[bool]:
    open_incidents = sa.select(incidents.c.id).where(incidents.c.closed_at.is_(None))
    open_remediations = sa.select(remediations.c.id).where(OPEN)
    return sa.or_(records.c.incident_id.in_(open_incidents), records.c.remediation_id.in_(open_remediations))


def _forget_rows(connection: sa.Connection, before: int) -> None:
    """Attempts, alerts, incidents, and what people were called for and said of them, that ended before and none of
    whose records is left. What refers to another row goes before it."""
    left = sa.select(records.c.remediation_id).where(records.c.remediation_id.is_not(None))
    of_records = sa.select(records.c.incident_id).where(records.c.incident_id.is_not(None))
    closed = sa.select(incidents.c.id).where(incidents.c.closed_at < before)
    connection.execute(
        escalations.delete().where(
            escalations.c.ended_at < before,
            sa.or_(
                escalations.c.incident_id.is_(None),  # of a gate
                sa.and_(escalations.c.incident_id.in_(closed), escalations.c.incident_id.not_in(of_records)),
            ),
            sa.or_(escalations.c.remediation_id.is_(None), escalations.c.remediation_id.not_in(left)),
        )
    )
    causes = sa.select(escalations.c.remediation_id).where(escalations.c.remediation_id.is_not(None))
    connection.execute(
        remediations.delete().where(
            sa.not_(OPEN),
            remediations.c.created_at < before,
            remediations.c.id.not_in(left),
            remediations.c.id.not_in(causes),
            sa.or_(remediations.c.incident_id.is_(None), remediations.c.incident_id.in_(closed)),
        )
    )
    scores.forget(connection)
    connection.execute(approvals.delete().where(approvals.c.remediation_id.not_in(sa.select(remediations.c.id))))
    used = sa.select(remediations.c.alert_id)
    connection.execute(
        alerts.delete().where(
            alerts.c.status == "resolved", alerts.c.last_received_at < before, alerts.c.id.not_in(used)
        )
    )
    of_remediations = sa.select(remediations.c.incident_id).where(remediations.c.incident_id.is_not(None))
    of_escalations = sa.select(escalations.c.incident_id).where(escalations.c.incident_id.is_not(None))
    connection.execute(
        incidents.delete().where(
            incidents.c.closed_at < before,
            incidents.c.id.not_in(of_remediations),
            incidents.c.id.not_in(of_escalations),
            incidents.c.id.not_in(of_records),
        )
    )
