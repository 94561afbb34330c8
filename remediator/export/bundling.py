"""What goes into a bundle: the records of an incident or a period, with their proof, and the files that people read.

`api/exporting.py` sends it; `bundle.py` writes it.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import BinaryIO

from remediator.clock import rfc3339
from remediator.export.bundle import BundleStore, chunks_of, write_bundle
from remediator.export.files import files_of
from remediator.export.stream import Labels, Wanted, export, head_of, numbers_of, read_story
from remediator.export.table import FORMATS
from remediator.model import IncidentId
from remediator.store.exporting_base import ExportReader, Period

NAME, SUFFIX, MEDIA_TYPE = "bundle", "zip", "application/zip"

_OF_PERIOD: Mapping[str, str] = {
    "timeline.md": "markdown",
    "timeline.html": "html",
    "timeline.csv": "csv",
    "events.jsonl": "jsonl",
}
"""Name -> format, with everything in it: a bundle is evidence, whatever is worth a line in an export for reading."""


async def bundle(out: BinaryIO, wanted: Wanted, reader: ExportReader, store: BundleStore, labels: Labels) -> None:
    """Write it to a file that can seek. Raises NoIncident, StoreUnavailable."""
    whole = replace(wanted, is_whole=True)
    if wanted.incident is not None:
        await _of_incident(out, wanted.incident, whole, reader, store, labels)
    elif wanted.period is not None:
        await _of_period(out, wanted.period, whole, reader, store, labels)


async def _of_incident(
    out: BinaryIO, number: IncidentId, wanted: Wanted, reader: ExportReader, store: BundleStore, labels: Labels
) -> None:
    story = await read_story(number, reader, made_at=labels.made_at)
    head = head_of(wanted, labels, title=f"Incident {story.facts.ref}")
    files = ((name, [content]) for name, content in files_of(story, head))
    seqs = [record.seq for record in story.records]
    await write_bundle(out, store, scope=f"incident {story.facts.ref}", seqs=seqs, files=files)


async def _of_period(
    out: BinaryIO, period: Period, wanted: Wanted, reader: ExportReader, store: BundleStore, labels: Labels
) -> None:
    seqs = await numbers_of(period, reader)
    with contextlib.ExitStack() as stack:
        files: list[tuple[str, Iterable[bytes]]] = []
        for name, form in _OF_PERIOD.items():
            # Of a long time it is larger than what should be kept in memory.
            kept = stack.enter_context(tempfile.TemporaryFile())
            async for piece in export(replace(wanted, form=FORMATS[form]), reader, labels):
                kept.write(piece)
            files.append((name, chunks_of(kept)))
        await write_bundle(out, store, scope=_scope(period), seqs=seqs, files=files)


def _scope(period: Period) -> str:
    parts = [f"records from {rfc3339(period.since)} until {rfc3339(period.until)}"]
    parts += [f"rule {period.rule}"] if period.rule else []
    parts += [f"namespace {period.namespace}"] if period.namespace else []
    return ", ".join(parts)
