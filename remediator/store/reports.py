"""What reports are made of: `ReportReader` on the same database, through the same writer as everything else.

`database.py` makes one and offers it as `Database.reports`. Only columns that stand before the large ones of a row are
read (plans, diagnoses and the bytes of records stay on disk), in pages, so that a month takes a second and no visit to
the store's thread more than a fraction of it.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from remediator.audit.record import decode_body
from remediator.model import Outcome
from remediator.store.base import CommittedRecord
from remediator.store.exporting import SLACK, extent_of, first_at
from remediator.store.exporting_base import Extent, Period
from remediator.store.reports_base import Came, Debited, Step, Waiting
from remediator.store.rows import from_micros, record_from, to_micros
from remediator.store.tables import URGENCY, WAITING, alerts, debits, incidents, records, remediations
from remediator.store.writer import Writer

PAGE = 4000
SAYS_WHY = ("decision.held",)
"""Kinds of which a report needs to know the reason each time; the last one stands beside the remediation anyway."""

_CAME = (
    sa.select(
        remediations.c.id,
        remediations.c.incident_id,
        remediations.c.rule,
        remediations.c.state,
        remediations.c.reason,
        remediations.c.mode,
        remediations.c.severity,
        sa.func.coalesce(incidents.c.target, "").label("target"),
        alerts.c.labels,
        alerts.c.starts_at,
        alerts.c.first_received_at,
        alerts.c.ends_at,
        alerts.c.resolved_at,
    )
    .select_from(alerts)
    .join(remediations, remediations.c.alert_id == alerts.c.id)
    .outerjoin(incidents, incidents.c.id == remediations.c.incident_id)
    .order_by(alerts.c.id, remediations.c.id)
)


class ReportTable:
    """`ReportReader` on SQLAlchemy Core."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def came(self, since: datetime, until: datetime) -> Sequence[Came]:
        received = alerts.c.first_received_at
        first, behind = await self._writer.read(
            lambda t: [first_at(t.connection, alerts.c.id, received, at) for at in (since - SLACK, until + SLACK)]
        )
        inside = (received >= to_micros(since), received < to_micros(until))
        found: list[Came] = []
        for low in range(first, behind, PAGE):
            part = (alerts.c.id >= low, alerts.c.id < min(behind, low + PAGE))
            rows = await self._all(_CAME.where(*part, *inside))
            found += await asyncio.to_thread(lambda rows: list(map(_came, rows)), rows)
        return found

    async def steps(self, since: datetime, until: datetime, kinds: Collection[str]) -> Sequence[Step]:
        reason = sa.case((records.c.kind.in_(SAYS_WHY), records.c.canonical), else_=None).label("says")
        columns = (records.c.seq, records.c.at, records.c.kind, records.c.remediation_id, reason)
        wanted = sa.select(*columns).where(records.c.kind.in_(kinds), records.c.remediation_id.is_not(None))
        rows = await self._paged(wanted, since, until)
        return await asyncio.to_thread(lambda: list(map(_step, rows)))

    async def debited(self, since: datetime, until: datetime) -> Sequence[Debited]:
        lines = (
            sa.select(debits, remediations.c.incident_id, sa.func.coalesce(incidents.c.target, "").label("target"))
            .select_from(debits)
            .outerjoin(remediations, remediations.c.id == debits.c.remediation_id)
            .outerjoin(incidents, incidents.c.id == remediations.c.incident_id)
            .where(
                debits.c.returned_at.is_(None), debits.c.at >= to_micros(since), debits.c.at < to_micros(until)
            )
            .order_by(debits.c.at, debits.c.id)
        )
        return [_debited(row) for row in await self._all(lines)]

    async def counted(self, since: datetime, until: datetime) -> Mapping[str, int]:
        rows = await self._paged(sa.select(records.c.seq, records.c.kind), since, until)
        return Counter(row["kind"] for row in rows)

    async def told(
        self, since: datetime, until: datetime, kinds: Collection[str], *, limit: int
    ) -> Sequence[CommittedRecord]:
        extent = await self._extent(since, until)
        lines = sa.select(records).where(records.c.kind.in_(kinds), *_within(extent, since, until))
        rows = await self._all(lines.order_by(records.c.seq.desc()).limit(limit))
        return [record_from(row) for row in rows]

    async def waiting(self, *, limit: int) -> Sequence[Waiting]:
        own = records.alias()
        last = sa.select(sa.func.max(own.c.seq)).where(own.c.remediation_id == remediations.c.id).scalar_subquery()
        lines = (
            sa.select(records, remediations.c.state, remediations.c.reason, remediations.c.rule)
            .add_columns(remediations.c.severity, remediations.c.due_at, remediations.c.id.label("waits"))
            .add_columns(sa.func.coalesce(incidents.c.target, "").label("target"))
            .select_from(remediations)
            .join(records, records.c.seq == last)
            .outerjoin(incidents, incidents.c.id == remediations.c.incident_id)
            .where(WAITING)
            .order_by(URGENCY, remediations.c.created_at, remediations.c.id)
            .limit(limit)
        )
        return [_waiting(row) for row in await self._all(lines)]

    async def _all(self, lines: sa.Select[Any]) -> Sequence[sa.RowMapping]:
        return await self._writer.read(lambda t: t.connection.execute(lines).mappings().all())

    async def _paged(self, wanted: sa.Select[Any], since: datetime, until: datetime) -> Sequence[sa.RowMapping]:
        extent = await self._extent(since, until)
        found: list[sa.RowMapping] = []
        for after in range(extent.after, extent.upto, PAGE):
            part = Extent(after, min(extent.upto, after + PAGE))
            found += await self._all(wanted.where(*_within(part, since, until)).order_by(records.c.seq))
        return found

    async def _extent(self, since: datetime, until: datetime) -> Extent:
        return await self._writer.read(lambda t: extent_of(t.connection, Period(since, until)))


def _within(extent: Extent, since: datetime, until: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        records.c.seq > extent.after,
        records.c.seq <= extent.upto,
        records.c.at >= to_micros(since),
        records.c.at < to_micros(until),
    )


def _reason(canonical: bytes | None) -> str:
    return "" if canonical is None else str(decode_body(canonical).get("reason") or "")


def _step(row: sa.RowMapping) -> Step:
    return Step(row["remediation_id"], row["kind"], from_micros(row["at"]), _reason(row["says"]))


def _came(row: sa.RowMapping) -> Came:
    ended = row["ends_at"] if row["resolved_at"] is not None and row["ends_at"] is not None else row["resolved_at"]
    return Came(
        remediation=row["id"],
        incident=row["incident_id"],
        alert=str(json.loads(row["labels"]).get("alertname", "")),
        rule=row["rule"] or "",
        state=row["state"],
        reason=row["reason"],
        mode=row["mode"] or "",
        severity=row["severity"],
        target=row["target"],
        began_at=from_micros(row["starts_at"]),
        received_at=from_micros(row["first_received_at"]),
        resolved_at=None if ended is None else from_micros(ended),
    )


def _debited(row: sa.RowMapping) -> Debited:
    return Debited(
        remediation=row["remediation_id"],
        incident=row["incident_id"],
        rule=row["rule"],
        action=row["action"],
        target=row["target"] or row["target_key"],
        at=from_micros(row["at"]),
        outcome=None if row["outcome"] is None else Outcome(row["outcome"]),
        is_shadow=bool(row["is_shadow"]),
    )


def _waiting(row: sa.RowMapping) -> Waiting:
    record = record_from(row)
    return Waiting(
        remediation=row["waits"],
        incident=record.incident_id,
        state=row["state"],
        reason=row["reason"],
        detail=str(record.body.get("detail") or ""),
        rule=row["rule"] or "",
        severity=row["severity"],
        target=row["target"],
        until=from_micros(row["due_at"]),
    )
