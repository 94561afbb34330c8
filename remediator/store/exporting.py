"""The log by time, for exports: `ExportReader` on the same database, through the same writer as everything else.

`database.py` makes one and offers it as `Database.exports`. Nothing here holds the store's thread for long: a visit
looks at `WINDOW` records at most, and decodes `PAGE` of them.

Records are numbered in the order of their commits, so time is looked for by halving, without an index. The clock may
have been set back between two of them: `SLACK` around both ends is looked at as well, and each record's own time
decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from remediator.model import IncidentId, Target
from remediator.store import incidents as incident_rows
from remediator.store.exporting_base import Extent, Page, Period, concerns
from remediator.store.reading import IncidentRow, IncidentView
from remediator.store.rows import record_from, to_micros
from remediator.store.tables import alerts, incidents, records, remediations
from remediator.store.writer import Writer

PAGE = 200
WINDOW = 5000
SLACK = timedelta(minutes=10)

_OF_ITS_REMEDIATION = (
    sa.select(records)
    .select_from(records)
    .outerjoin(remediations, remediations.c.id == records.c.remediation_id)
    .outerjoin(alerts, alerts.c.id == remediations.c.alert_id)
    .outerjoin(incidents, incidents.c.id == remediations.c.incident_id)
)
_any = remediations.alias("any_of_incident")
_OF_NONE = records.c.remediation_id.is_(None)


class ExportTable:
    """`ExportReader` on SQLAlchemy Core."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def incident(self, incident_id: IncidentId) -> IncidentView | None:
        return await self._writer.read(lambda t: incident_rows.view(t.connection, incident_id))

    async def incidents_of(self, period: Period, *, after: int = 0, limit: int = 1000) -> Sequence[IncidentRow]:
        return await self._writer.read(lambda t: _incidents(t.connection, period, after, limit))

    async def extent(self, period: Period) -> Extent:
        return await self._writer.read(lambda t: extent_of(t.connection, period))

    async def records_of(
        self, period: Period, extent: Extent, *, beside: bool = False, target: Target | None = None
    ) -> Page:
        upto = min(extent.upto, extent.after + WINDOW)
        wanted = _wanted(period, after=extent.after, upto=upto, beside=beside)
        rows = await self._writer.read(lambda t: t.connection.execute(wanted).mappings().all())
        last = rows[-1]["seq"] if len(rows) == PAGE else upto
        found = [record_from(row) for row in rows]
        kept = [one for one in found if one.remediation_id is not None or concerns(one, period, target)]
        return Page(kept, last, is_end=last >= extent.upto)


def _wanted(period: Period, *, after: int, upto: int, beside: bool) -> sa.Select[*tuple[object, ...]]:
    since, until = to_micros(period.since), to_micros(period.until)
    lines = _OF_ITS_REMEDIATION.where(
        records.c.seq > after, records.c.seq <= upto, records.c.at >= since, records.c.at < until
    )
    if beside:
        lines = lines.where(_OF_NONE)
    if period.rule is not None:
        lines = lines.where(sa.or_(_OF_NONE, remediations.c.rule == period.rule))
    if period.namespace is not None:
        lines = lines.where(sa.or_(_OF_NONE, _is_in(period.namespace)))
    return lines.order_by(records.c.seq).limit(PAGE)


def _is_in(namespace: str) -> sa.ColumnElement[bool]:
    """In that namespace by its target; without one, by its alert's label (canonical JSON can be looked at as text)."""
    label = alerts.c.labels.contains(f'"namespace":"{namespace}"', autoescape=True)
    has_target = sa.func.coalesce(incidents.c.target, "") != ""
    return sa.case((has_target, incidents.c.target.startswith(f"{namespace}/", autoescape=True)), else_=label)


def _incidents(connection: sa.Connection, period: Period, after: int, limit: int) -> Sequence[IncidentRow]:
    was_open = sa.and_(
        incidents.c.opened_at < to_micros(period.until),
        sa.or_(incidents.c.closed_at.is_(None), incidents.c.closed_at >= to_micros(period.since)),
    )
    own = sa.select(_any.c.id).where(_any.c.incident_id == incidents.c.id)
    if period.rule is not None:
        own = own.where(_any.c.rule == period.rule)
    if period.namespace is not None:
        own = own.where(alerts.c.id == _any.c.alert_id, _is_in(period.namespace))
    wanted = sa.and_(incidents.c.id > after, was_open, own.correlate(incidents).exists())
    return incident_rows.those(connection, wanted, limit=limit)


def extent_of(connection: sa.Connection, period: Period) -> Extent:
    first = first_at(connection, records.c.seq, records.c.at, period.since - SLACK)
    behind = first_at(connection, records.c.seq, records.c.at, period.until + SLACK)
    return Extent(after=first - 1, upto=behind - 1)


def first_at(
    connection: sa.Connection, number: sa.ColumnElement[int], instant: sa.ColumnElement[int], at: datetime
) -> int:
    """The number of the first row from that time on, one after the last if there is none, where numbers grow with
    time. There may be holes."""
    ends = sa.select(sa.func.coalesce(sa.func.min(number), 1), sa.func.coalesce(sa.func.max(number), 0))
    low, high = connection.execute(ends).one()
    micros = to_micros(at)
    while low <= high:
        middle = (low + high) // 2
        following = sa.select(number.label("number"), instant.label("instant")).where(number >= middle)
        row = connection.execute(following.order_by(number).limit(1)).one()
        if row.instant >= micros:
            high = middle - 1
        else:
            low = row.number + 1
    return int(low)
