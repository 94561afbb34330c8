"""The table of duties: who does for all replicas what one does. `database.py` calls it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta

import sqlalchemy as sa

from remediator.clock import Clock
from remediator.store.duties_base import Duty, Held
from remediator.store.rows import from_micros, to_micros
from remediator.store.tables import duties

_DATABASE_NOW = sa.text("SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)")
_IS_OURS = duties.c.owner == sa.bindparam("us")
_TAKE = (
    duties.update()
    .where(
        duties.c.name == sa.bindparam("this"), sa.or_(_IS_OURS, duties.c.until <= sa.bindparam("now"))
    )
    .values(
        owner=sa.bindparam("us"),
        until=sa.bindparam("new_until"),
        epoch=duties.c.epoch + sa.case((_IS_OURS, 0), else_=1),
    )
)


def hold(connection: sa.Connection, names: Collection[str], *, owner: str, lease: timedelta, clock: Clock) -> Held:
    ahead = _clock_ahead(connection, clock)
    now = clock.now()
    known = set(connection.execute(sa.select(duties.c.name)).scalars())
    for name in sorted(names):
        if name in known:
            asked = {"this": name, "us": owner, "now": to_micros(now), "new_until": to_micros(now + lease)}
            connection.execute(_TAKE, asked)
        else:
            line = {"name": name, "owner": owner, "until": to_micros(now + lease), "epoch": 1}
            connection.execute(duties.insert(), line)
    ours = sa.select(duties.c.name, duties.c.epoch).where(duties.c.owner == owner, duties.c.name.in_(names))
    return Held({row.name: row.epoch for row in connection.execute(ours)}, ahead)


def leave(connection: sa.Connection, names: Collection[str] | None, *, owner: str) -> None:
    which = sa.true() if names is None else duties.c.name.in_(names)
    connection.execute(duties.update().where(duties.c.owner == owner, which).values(until=0))


def free(connection: sa.Connection) -> None:
    """All of them: who is alone with the database does not wait for the leases of the dead."""
    connection.execute(duties.update().values(until=0))


def read(connection: sa.Connection) -> Sequence[Duty]:
    lines = connection.execute(sa.select(duties).order_by(duties.c.name))
    return [Duty(row.name, row.owner, from_micros(row.until), row.epoch) for row in lines]


def _clock_ahead(connection: sa.Connection, clock: Clock) -> timedelta:
    """What the way to the database and back cannot explain."""
    if connection.dialect.name != "postgresql":
        return timedelta()
    before = clock.now()
    theirs = from_micros(connection.execute(_DATABASE_NOW).scalar_one())
    after = clock.now()
    return before - theirs if before > theirs else min(after - theirs, timedelta())
