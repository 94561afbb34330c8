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

# Built once: to build a statement takes some times as long as SQLite takes to answer it.
_SWITCH = sa.select(kill_switch).where(kill_switch.c.id == _THE_ONE)
_CURSOR = sa.select(cursors.c.seq).where(cursors.c.sink == sa.bindparam("of"))
_LAST_RECORD = sa.select(sa.func.max(records.c.seq))
_UNTOLD = (
    sa.select(records)
    .where(
        records.c.seq > sa.bindparam("after"),
        records.c.seq <= sa.bindparam("upto"),
        records.c.kind.not_in(sa.bindparam("but", expanding=True)),
    )
    .order_by(records.c.seq)
    .limit(sa.bindparam("at_most"))
)
_MOVE_CURSOR = (
    cursors.update()
    .where(cursors.c.sink == sa.bindparam("of"), cursors.c.seq == sa.bindparam("after"))
    .values(seq=sa.bindparam("to"), moved_at=sa.bindparam("now"))
)
_LAST_ACTION = sa.select(sa.func.max(remediations.c.acted_at)).where(remediations.c.target_key == sa.bindparam("of"))
_TEMPLATE_EVENTS = (
    sa.select(template_events)
    .where(template_events.c.target_key == sa.bindparam("of"))
    .order_by(template_events.c.at, template_events.c.id)
)


def read_kill_switch(connection: sa.Connection) -> KillSwitch:
    row = connection.execute(_SWITCH).one_or_none()
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
    return connection.execute(_CURSOR, {"of": sink}).scalar_one_or_none() or 0


def read_untold(
    connection: sa.Connection, sink: str, *, but: Collection[str], limit: int
) -> tuple[int, int, Sequence[sa.RowMapping]]:
    """As `IncidentReader.untold`, in rows."""
    after = read_cursor(connection, sink)
    last: int | None = connection.execute(_LAST_RECORD).scalar_one()
    upto = min(after + _FAR, max(after, last or 0))
    if upto == after:
        return after, upto, []
    asked = {"after": after, "upto": upto, "but": list(but), "at_most": limit}
    rows = connection.execute(_UNTOLD, asked).mappings().all()
    return after, rows[-1]["seq"] if len(rows) == limit else upto, rows


def move_cursor(connection: sa.Connection, sink: str, *, after: int, to: int, at: datetime) -> bool:
    now = to_micros(at)
    if connection.execute(_MOVE_CURSOR, {"of": sink, "after": after, "to": to, "now": now}).rowcount:
        return True
    is_known = connection.execute(sa.select(sa.exists().where(cursors.c.sink == sink))).scalar_one()
    if is_known or after:
        return False
    connection.execute(cursors.insert(), {"sink": sink, "seq": to, "moved_at": now})
    return True


def touch_cursors(connection: sa.Connection, *, at: datetime) -> None:
    """A write that changes something, and decides nothing."""
    connection.execute(cursors.update().values(moved_at=to_micros(at)))


def last_action_at(connection: sa.Connection, target_key: str) -> datetime | None:
    micros = connection.execute(_LAST_ACTION, {"of": target_key}).scalar_one()
    return None if micros is None else from_micros(micros)


def read_template_events(connection: sa.Connection, target_key: str) -> Sequence[TemplateEvent]:
    return [
        TemplateEvent(row.uid, row.template_hash, row.event, from_micros(row.at))
        for row in connection.execute(_TEMPLATE_EVENTS, {"of": target_key})
    ]
