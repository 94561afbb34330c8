"""What people said to plans that wait for them. Called by `database.py` and, when a plan asks anew, by `queue.py`."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from remediator.audit.commitments import put_together
from remediator.audit.record import decode_body
from remediator.model import RemediationId, State
from remediator.store.approvals_base import Approval, Awaiting, NotAwaited
from remediator.store.log import Entry
from remediator.store.rows import from_micros, to_micros
from remediator.store.tables import approvals, records, remediations
from remediator.store.transaction import Transaction

ASKED = "decision.awaiting-approval"

# Built once: to build a statement takes some times as long as SQLite takes to answer it.
_SAID = sa.select(approvals).where(approvals.c.remediation_id == sa.bindparam("of"))


def awaiting(connection: sa.Connection) -> Sequence[Awaiting]:
    asked = records.alias()
    last = (
        sa.select(sa.func.max(asked.c.seq))
        .where(asked.c.remediation_id == remediations.c.id, asked.c.kind == ASKED)
        .scalar_subquery()
    )
    waiting = remediations.c.state == sa.literal_column(f"'{State.AWAITING_APPROVAL}'")
    said = sa.select(approvals.c.remediation_id)
    lines = (
        sa.select(
            remediations.c.id, remediations.c.rule, remediations.c.due_at, records.c.canonical, records.c.beside
        )
        .select_from(remediations)
        .join(records, records.c.seq == last)
        .where(waiting, remediations.c.id.not_in(said))
        .order_by(remediations.c.id)
    )
    found = []
    for row in connection.execute(lines):
        body = put_together(decode_body(row.canonical), row.beside)
        target, until = str(body.get("target", "")), from_micros(row.due_at)
        found.append(Awaiting(RemediationId(row.id), target, row.rule or "", until, body))
    return found


def read(connection: sa.Connection, remediation: RemediationId) -> Approval | None:
    row = connection.execute(_SAID, {"of": remediation}).one_or_none()
    if row is None:
        return None
    return Approval(remediation, row.plan_hash, row.is_granted, row.by, row.comment, from_micros(row.at))


def put(transaction: Transaction, approval: Approval) -> None:
    """Raises NotAwaited."""
    connection, number = transaction.connection, approval.remediation
    asked = next((one for one in awaiting(connection) if one.remediation == number), None)
    if asked is None:
        raise NotAwaited(f"R-{number} does not wait for an approval")
    if asked.until <= approval.at:
        raise NotAwaited(f"the approval of R-{number} was awaited until {asked.until:%H:%M:%SZ}")
    if asked.request.get("plan_hash") != approval.plan_hash:
        raise NotAwaited(f"the plan of R-{number} is another one now; look at it again")
    line = {
        "remediation_id": number,
        "plan_hash": approval.plan_hash,
        "is_granted": approval.is_granted,
        "by": approval.by,
        "comment": approval.comment,
        "at": to_micros(approval.at),
    }
    connection.execute(approvals.insert(), line)
    connection.execute(remediations.update().where(remediations.c.id == number).values(due_at=to_micros(approval.at)))
    incident = connection.execute(
        sa.select(remediations.c.incident_id).where(remediations.c.id == number)
    ).scalar_one()
    body = {
        "target": asked.target,
        "rule": asked.rule,
        "plan_hash": approval.plan_hash,
        "by": approval.by,
        "comment": approval.comment,
        "detail": f"{'approved' if approval.is_granted else 'denied'} by {approval.by}: {approval.comment}",
    }
    kind = "approval.granted" if approval.is_granted else "approval.denied"
    transaction.record(Entry.of(approval.at, kind, body, remediation=number, incident=incident))


def forget(connection: sa.Connection, remediation: RemediationId) -> None:
    """It is asked for anew: what was said before was said to another plan, or too long ago."""
    connection.execute(approvals.delete().where(approvals.c.remediation_id == remediation))
