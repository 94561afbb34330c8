"""The one row of the watchdog alert, and what a resolution is worth by it.

As long as there is a row, an alert that was reported as resolved counts as firing until the watchdog was heard after
it: Prometheus that dies is reported as the resolution of all its alerts, and of the watchdog too.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa

from remediator.model import AlertStatus
from remediator.store import escalation_rows, escalations
from remediator.store.rows import from_micros, to_micros
from remediator.store.tables import alerts, watchdog
from remediator.store.transaction import Transaction
from remediator.store.watchdog_base import Heard
from remediator.store.writer import Writer

_THE_ONE = 1


class WatchdogTable:
    """`WatchdogStore` on the database."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def heard(self, *, at: datetime, fires: bool, confirm: timedelta) -> None:
        await self._writer.write(lambda t: _fired(t, at, confirm) if fires else _resolved(t, at))

    async def read(self) -> Heard | None:
        return await self._writer.read(lambda t: _read(t.connection))

    async def forget(self) -> None:
        if await self.read() is not None:
            await self._writer.write(_forget)

    async def resolved_at(self, fingerprint: str, starts_at: datetime) -> datetime | None:
        first = sa.select(sa.func.min(alerts.c.resolved_at)).where(
            alerts.c.fingerprint == fingerprint,
            alerts.c.starts_at >= to_micros(starts_at),
            alerts.c.status == AlertStatus.RESOLVED.value,
        )
        micros = await self._writer.read(lambda t: t.connection.execute(first).scalar_one())
        return None if micros is None else from_micros(micros)


def _read(connection: sa.Connection) -> Heard | None:
    row = connection.execute(sa.select(watchdog)).one_or_none()
    if row is None:
        return None
    resolved_at = None if row.resolved_at is None else from_micros(row.resolved_at)
    return Heard(from_micros(row.seen_at), resolved_at, from_micros(row.confirmed_to))


def _fired(transaction: Transaction, at: datetime, confirm: timedelta) -> None:
    values = {"seen_at": to_micros(at), "confirmed_to": to_micros(at - confirm)}
    later = sa.and_(watchdog.c.id == _THE_ONE, watchdog.c.seen_at <= values["seen_at"])
    if _read(transaction.connection) is None:
        transaction.connection.execute(watchdog.insert(), {"id": _THE_ONE, "resolved_at": None, **values})
    else:
        transaction.connection.execute(watchdog.update().where(later).values(values))
    _end_what_is_over(transaction, at)


def _resolved(transaction: Transaction, at: datetime) -> None:
    transaction.connection.execute(watchdog.update().values({"resolved_at": to_micros(at)}))


def _forget(transaction: Transaction) -> None:
    transaction.connection.execute(watchdog.delete())


def _end_what_is_over(transaction: Transaction, at: datetime) -> None:
    """What `intake.py` left open, since nobody knew yet whether the resolution was one."""
    waiting = [one.incident_id for one in escalation_rows.open_ones(transaction.connection) if one.incident_id]
    if waiting:
        escalations.end_what_is_over(transaction, waiting, escalations.ALL_RESOLVED, at=at)
