"""Small single facts: the kill switch, how far each sink has read, and what was done to a target before.

`database.py` calls it; each function is one call of the protocols.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa

from remediator.clock import rfc3339
from remediator.store.base import KillSwitch, Record, StoreUnavailable, TemplateEvent
from remediator.store.log import Entry
from remediator.store.rows import from_micros, to_micros
from remediator.store.tables import cursors, kill_switch, records, remediations, template_events
from remediator.store.transaction import Transaction

_THE_ONE = 1
_FAR = 10_000
"""Records looked through for one page: some milliseconds, in which nothing else is stored."""


def read_kill_switch(connection: sa.Connection) -> KillSwitch:
    row = connection.execute(sa.select(kill_switch).where(kill_switch.c.id == _THE_ONE)).one_or_none()
    if row is None:  # the first migration wrote it; without it nobody can say that writing is allowed
        raise StoreUnavailable("the kill switch is missing in the database")
    until = None if row.until is None else from_micros(row.until)
    return KillSwitch(row.engaged, row.comment, row.by, from_micros(row.at), until)


def set_kill_switch(transaction: Transaction, switch: KillSwitch) -> None:
    until = None if switch.until is None else to_micros(switch.until)
    transaction.connection.execute(
        kill_switch.update().where(kill_switch.c.id == _THE_ONE),
        {
            "engaged": switch.engaged,
            "comment": switch.comment,
            "by": switch.by,
            "at": to_micros(switch.at),
            "until": until,
        },
    )
    body = {
        "by": switch.by,
        "comment": switch.comment,
        "until": None if switch.until is None else rfc3339(switch.until),
    }
    kind = "switch.engaged" if switch.engaged else "switch.released"
    transaction.record(Entry.of(switch.at, kind, body))


def note(transaction: Transaction, notes: Sequence[Record], *, at: datetime) -> None:
    for one in notes:
        transaction.record(Entry.of(at, one.kind, one.body))


def begin_cursors(connection: sa.Connection, sinks: Sequence[str], *, at: datetime) -> Mapping[str, int]:
    last = connection.execute(sa.select(sa.func.coalesce(sa.func.max(records.c.seq), 0))).scalar_one()
    known = set(connection.execute(sa.select(cursors.c.sink)).scalars())
    new = [sink for sink in sinks if sink not in known]
    for sink in new:
        connection.execute(cursors.insert(), {"sink": sink, "seq": last, "moved_at": to_micros(at)})
    return dict.fromkeys(new, last)


def read_cursor(connection: sa.Connection, sink: str) -> int:
    return connection.execute(sa.select(cursors.c.seq).where(cursors.c.sink == sink)).scalar_one_or_none() or 0


def read_untold(
    connection: sa.Connection, sink: str, *, but: Collection[str], limit: int
) -> tuple[int, int, Sequence[sa.RowMapping]]:
    """As `IncidentReader.untold`, in rows."""
    after = read_cursor(connection, sink)
    last: int | None = connection.execute(sa.select(sa.func.max(records.c.seq))).scalar_one()
    upto = min(after + _FAR, max(after, last or 0))
    wanted = (
        sa.select(records)
        .where(records.c.seq > after, records.c.seq <= upto, records.c.kind.not_in(but))
        .order_by(records.c.seq)
        .limit(limit)
    )
    rows = connection.execute(wanted).mappings().all()
    return after, rows[-1]["seq"] if len(rows) == limit else upto, rows


def move_cursor(connection: sa.Connection, sink: str, *, after: int, to: int, at: datetime) -> bool:
    values = {"seq": to, "moved_at": to_micros(at)}
    own = sa.and_(cursors.c.sink == sink, cursors.c.seq == after)
    if connection.execute(cursors.update().where(own).values(values)).rowcount:
        return True
    is_known = connection.execute(sa.select(sa.exists().where(cursors.c.sink == sink))).scalar_one()
    if is_known or after:
        return False
    connection.execute(cursors.insert(), {"sink": sink} | values)
    return True


def touch_cursors(connection: sa.Connection, *, at: datetime) -> None:
    """A write that changes something, and decides nothing."""
    connection.execute(cursors.update().values(moved_at=to_micros(at)))


def last_action_at(connection: sa.Connection, target_key: str) -> datetime | None:
    newest = sa.select(sa.func.max(remediations.c.acted_at)).where(remediations.c.target_key == target_key)
    micros = connection.execute(newest).scalar_one()
    return None if micros is None else from_micros(micros)


def read_template_events(connection: sa.Connection, target_key: str) -> Sequence[TemplateEvent]:
    lines = (
        sa.select(template_events)
        .where(template_events.c.target_key == target_key)
        .order_by(template_events.c.at, template_events.c.id)
    )
    return [
        TemplateEvent(row.uid, row.template_hash, row.event, from_micros(row.at)) for row in connection.execute(lines)
    ]
