"""`KnownAlerts` on the database: two questions about the table of alerts."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import datetime

import sqlalchemy as sa

from remediator.model import AlertStatus
from remediator.store.known_base import KnownAlert
from remediator.store.rows import from_micros, to_micros
from remediator.store.tables import alerts
from remediator.store.transaction import Transaction
from remediator.store.writer import Writer

_CHUNK = 1000
_COLUMNS = sa.select(
    alerts.c.fingerprint,
    alerts.c.starts_at,
    alerts.c.status,
    alerts.c.labels,
    alerts.c.receiver,
    alerts.c.last_received_at,
    alerts.c.times_received,
    alerts.c.resolved_at,
)


class KnownTable:
    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def of(self, fingerprints: Collection[str]) -> Sequence[KnownAlert]:
        wanted, found = sorted(fingerprints), []
        for start in range(0, len(wanted), _CHUNK):
            found += await self._ask(_COLUMNS.where(alerts.c.fingerprint.in_(wanted[start : start + _CHUNK])))
        return found

    async def firing(self, *, received_before: datetime, limit: int) -> Sequence[KnownAlert]:
        # As a literal: the partial index on what fires is used for nothing else.
        fires = alerts.c.status == sa.literal_column("'firing'")
        quiet = _COLUMNS.where(fires, alerts.c.last_received_at < to_micros(received_before))
        return await self._ask(quiet.order_by(alerts.c.last_received_at, alerts.c.id).limit(limit))

    async def _ask(self, question: sa.Select[tuple[str, int, str, str, str, int, int, int]]) -> list[KnownAlert]:
        def ask(transaction: Transaction) -> list[KnownAlert]:
            return [
                KnownAlert(
                    row.fingerprint,
                    from_micros(row.starts_at),
                    row.status == AlertStatus.FIRING.value,
                    json.loads(row.labels),
                    row.receiver,
                    from_micros(row.last_received_at),
                    row.times_received,
                    None if row.resolved_at is None else from_micros(row.resolved_at),
                )
                for row in transaction.connection.execute(question)
            ]

        return await self._writer.read(ask)
