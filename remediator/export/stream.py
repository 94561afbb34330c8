"""An export in pieces: what the store knows, page by page, through one format. `api/exporting.py` sends the pieces.

Nothing is held for longer than it takes to write it: one incident of a document, one page of rows. Rendering is done
in a thread, so that a long export does not keep alerts waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from remediator.export.content import Contents
from remediator.export.events import Event, event_of
from remediator.export.formats import Document, Format, Head, Rows
from remediator.export.short import curated
from remediator.export.story import RELEASED_WITHIN, Story, story_of
from remediator.model import IncidentId, Target
from remediator.store.base import CommittedRecord
from remediator.store.exporting_base import ExportReader, Extent, Period, concerns
from remediator.store.reading import IncidentView

MAX_INCIDENTS = 1000
"""In the documents of one period: a longer one is no document for people. Rows have no end."""

MAX_BESIDE = 5000
MAX_AROUND = 1000

_STILL = timedelta(seconds=1)
"""The records of this moment are part of it."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for: one incident, or a period. `is_whole`: everything, not only what is worth a line."""

    form: Format
    incident: IncidentId | None = None
    period: Period | None = None
    tz: ZoneInfo | None = None
    is_whole: bool = False


@dataclass(frozen=True, slots=True)
class Labels:
    """What every export of this service carries: when it is made, of which cluster, by which version."""

    made_at: datetime
    cluster: str
    version: str


class NoIncident(LookupError):
    """There is no incident of that number."""


async def export(wanted: Wanted, reader: ExportReader, labels: Labels) -> AsyncIterator[bytes]:
    """The pieces of the export, in order. Raises NoIncident before the first one, StoreUnavailable at any."""
    if wanted.incident is not None:
        story = await read_story(wanted.incident, reader, made_at=labels.made_at)
        pieces = _of_incident(story, wanted, head_of(wanted, labels, title=f"Incident {story.facts.ref}"))
    elif isinstance(wanted.form, Document):
        pieces = _document(wanted.form, wanted, reader, head_of(wanted, labels, title="Incidents"))
    else:
        pieces = _rows(wanted.form, wanted, reader, head_of(wanted, labels, title="Records"))
    async for piece in pieces:
        yield piece


async def expected_lines(wanted: Wanted, reader: ExportReader) -> int | None:
    """How many records rows of a whole period will be, about; None where nobody can tell beforehand."""
    period = wanted.period
    if period is None or isinstance(wanted.form, Document) or period.rule or period.namespace:
        return None
    return (await reader.extent(period)).count


async def numbers_of(period: Period, reader: ExportReader) -> list[int]:
    """The numbers of all records of the period, ascending."""
    return [record.seq async for records in _pages(period, reader) for record in records]


async def read_story(
    number: IncidentId, reader: ExportReader, *, made_at: datetime, beside: Sequence[CommittedRecord] | None = None
) -> Story:
    """The story of one incident, with what concerns it: of `beside`, else of all of its time. Raises NoIncident."""
    view = await reader.incident(number)
    if view is None:
        raise NoIncident(f"there is no incident inc-{number}")
    surroundings = _surroundings(view, until=made_at + _STILL)
    around: Sequence[CommittedRecord] = ()
    if surroundings is not None:
        period, target = surroundings
        if beside is None:
            around = await _read_around(period, target, reader)
        else:
            inside = (one for one in beside if period.since <= one.at < period.until)
            around = [one for one in inside if concerns(one, period, target)]
    return await asyncio.to_thread(story_of, view, around=around[:MAX_AROUND], made_at=made_at)


def head_of(wanted: Wanted, labels: Labels, *, title: str) -> Head:
    return Head(
        title=title,
        made_at=labels.made_at,
        source=f"/remediator/{labels.cluster}",
        version=labels.version,
        period=wanted.period,
        tz=wanted.tz,
        is_whole=wanted.is_whole,
    )


async def _of_incident(story: Story, wanted: Wanted, head: Head) -> AsyncIterator[bytes]:
    form = wanted.form
    yield form.begin(head)
    if isinstance(form, Document):
        yield await asyncio.to_thread(form.incident, story, head, is_first=True)
        yield form.beside((), head)
    else:
        yield await asyncio.to_thread(form.rows, story.records, head, is_first=True)
    yield form.end(head)


async def _document(form: Document, wanted: Wanted, reader: ExportReader, head: Head) -> AsyncIterator[bytes]:
    assert wanted.period is not None
    incidents = await reader.incidents_of(wanted.period, limit=MAX_INCIDENTS + 1)
    head = replace(head, incidents=incidents[:MAX_INCIDENTS], is_cut=len(incidents) > MAX_INCIDENTS)
    yield await asyncio.to_thread(form.begin, head)
    beside = [one async for one in _beside(wanted.period, reader)]
    for number, row in enumerate(head.incidents):
        story = await read_story(row.id, reader, made_at=head.made_at, beside=beside)
        yield await asyncio.to_thread(form.incident, story, head, is_first=number == 0)
    events = await asyncio.to_thread(_events, beside, head)
    yield await asyncio.to_thread(form.beside, events, head)
    yield form.end(head)


async def _rows(form: Rows, wanted: Wanted, reader: ExportReader, head: Head) -> AsyncIterator[bytes]:
    assert wanted.period is not None
    yield form.begin(head)
    is_first = True
    async for records in _pages(wanted.period, reader):
        piece = await asyncio.to_thread(form.rows, records, head, is_first=is_first)
        is_first = is_first and not piece
        yield piece
    yield form.end(head)


async def _pages(
    period: Period, reader: ExportReader, *, beside: bool = False, target: Target | None = None
) -> AsyncIterator[Sequence[CommittedRecord]]:
    extent = await reader.extent(period)
    while extent.count:
        page = await reader.records_of(period, extent, beside=beside, target=target)
        if page.records:
            yield page.records
        if page.is_end:
            return
        extent = Extent(page.last, extent.upto)


async def _beside(period: Period, reader: ExportReader) -> AsyncIterator[CommittedRecord]:
    """What of a period belongs to no incident, up to a number."""
    count = 0
    async for records in _pages(period, reader, beside=True):
        for record in records:
            if count < MAX_BESIDE and record.incident_id is None:
                count += 1
                yield record


def _events(records: Sequence[CommittedRecord], head: Head) -> Sequence[Event]:
    contents = Contents()
    events = [event_of(record, contents) for record in records]
    return events if head.is_whole else curated(events)


def _surroundings(view: IncidentView, *, until: datetime) -> tuple[Period, Target] | None:
    """The time and place of an incident, in which pauses, switches, gates and releases concern it; None: nowhere."""
    target = next((one.target for one in reversed(view.remediations) if one.target is not None), None)
    if target is None:
        return None
    end = until if view.row.closed_at is None else min(until, view.row.closed_at + _STILL)
    rule = view.row.rule if len({one.rule for one in view.remediations}) == 1 else None
    return Period(view.row.opened_at - RELEASED_WITHIN, end, rule=rule, namespace=target.namespace or None), target


async def _read_around(period: Period, target: Target, reader: ExportReader) -> list[CommittedRecord]:
    found: list[CommittedRecord] = []
    async for records in _pages(period, reader, beside=True, target=target):
        found += [one for one in records if one.incident_id is None]
        if len(found) >= MAX_AROUND:
            break
    return found
