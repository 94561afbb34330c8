"""The pauses of people, one row for each thing that is paused. Called by `database.py`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from remediator.clock import rfc3339
from remediator.store.log import Entry
from remediator.store.pauses_base import Pause, PauseOf
from remediator.store.rows import from_micros, to_micros
from remediator.store.tables import pauses
from remediator.store.transaction import Transaction

_ALL = sa.select(pauses).order_by(pauses.c.what, pauses.c.subject)


def read(connection: sa.Connection) -> Sequence[Pause]:
    return [
        Pause(
            what=PauseOf(row.what),
            subject=row.subject,
            by=row.by,
            comment=row.comment,
            at=from_micros(row.at),
            until=None if row.until is None else from_micros(row.until),
        )
        for row in connection.execute(_ALL)
    ]


def put(transaction: Transaction, pause: Pause) -> None:
    connection = transaction.connection
    connection.execute(pauses.delete().where(pauses.c.what == pause.what.value, pauses.c.subject == pause.subject))
    line = {
        "what": pause.what.value,
        "subject": pause.subject,
        "by": pause.by,
        "comment": pause.comment,
        "at": to_micros(pause.at),
        "until": None if pause.until is None else to_micros(pause.until),
    }
    connection.execute(pauses.insert(), line)
    until = None if pause.until is None else rfc3339(pause.until)
    body = {name: line[name] for name in ("what", "subject", "by", "comment")} | {"until": until}
    transaction.record(Entry.of(pause.at, "pause.set", body))


def lift(transaction: Transaction, what: PauseOf, subject: str, *, by: str, comment: str, at: datetime) -> bool:
    own = sa.and_(pauses.c.what == what.value, pauses.c.subject == subject)
    if not transaction.connection.execute(pauses.delete().where(own)).rowcount:
        return False
    body = {"what": what.value, "subject": subject, "by": by, "comment": comment}
    transaction.record(Entry.of(at, "pause.lifted", body))
    return True
