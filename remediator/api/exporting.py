"""Exports over HTTP: the story of one incident, or the incidents and records of a time, for people and as evidence.

Beside the way of an alert. `application.py` adds the route; `cli/export.py` is the client people use.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from remediator.api.answers import problem
from remediator.api.downloads import streamed
from remediator.api.query import BadQuery, Query
from remediator.clock import Clock
from remediator.export import bundling
from remediator.export.bundle import BundleStore, chunks_of
from remediator.export.stream import Labels, NoIncident, Wanted, expected_lines, export
from remediator.export.table import FORMATS
from remediator.store.exporting_base import ExportReader, Period

PATH = "/api/v1/export"
_FORMATS = [*FORMATS, bundling.NAME]
PARAMETERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "incident": ("One incident, as 7 or inc-7. Without it a period.", {"type": "string"}),
    "since": ("Begin of the period: a time (RFC 3339) or how long ago, like 24h.", {"type": "string"}),
    "until": ("Its end. Default: now.", {"type": "string"}),
    "rule": ("Only what this rule decided.", {"type": "string"}),
    "namespace": ("Only what is in this namespace.", {"type": "string"}),
    "format": ("Default: markdown.", {"type": "string", "enum": _FORMATS}),
    "all": ("Everything, not only what is worth a person's time.", {"type": "boolean"}),
    "tz": ("A zone like Europe/Berlin whose time is given beside UTC.", {"type": "string"}),
}
TOTAL = "X-Total-Count"
"""Header: how many records the rows will be at most, one a line; for whoever draws a bar."""

_OF_PERIOD = ("since", "until", "rule", "namespace")


class ExportRoutes:
    """Handlers over one `ExportReader`; `log` has the proofs. `cluster` and `version` are named in what is exported."""

    def __init__(self, reader: ExportReader, log: BundleStore, *, clock: Clock, cluster: str, version: str) -> None:
        self._reader = reader
        self._log = log
        self._clock = clock
        self._cluster = cluster
        self._version = version

    def routes(self) -> list[web.RouteDef]:
        return [web.get(PATH, self.export)]

    async def export(self, request: web.Request) -> web.Response:
        """A file, sent in pieces."""
        try:
            asked = Query(request, known=PARAMETERS, now=self._clock.now())
            wanted = _wanted(asked)
        except BadQuery as error:
            return problem(400, str(error))
        labels = Labels(asked.now, self._cluster, self._version)
        if asked.word("format", _FORMATS, "markdown") == bundling.NAME:
            pieces, suffix, media_type = self._bundle(wanted, labels), bundling.SUFFIX, bundling.MEDIA_TYPE
        else:
            form = wanted.form
            pieces, suffix, media_type = export(wanted, self._reader, labels), form.suffix, form.media_type
        try:
            response = await streamed(pieces, name=_name(wanted, suffix), media_type=media_type)
        except NoIncident as error:
            return problem(404, str(error))
        if suffix != bundling.SUFFIX and (count := await expected_lines(wanted, self._reader)) is not None:
            response.headers[TOTAL] = str(count)
        return response

    async def _bundle(self, wanted: Wanted, labels: Labels) -> AsyncIterator[bytes]:
        """Nothing before it is whole: it is signed at the end."""
        with tempfile.TemporaryFile() as file:
            await bundling.bundle(file, wanted, self._reader, self._log, labels)
            chunks = chunks_of(file)
            while chunk := await asyncio.to_thread(next, chunks, b""):
                yield chunk


def _wanted(asked: Query) -> Wanted:
    """Raises BadQuery."""
    incident = asked.incident("incident")
    beside = [name for name in _OF_PERIOD if asked.has(name)]
    if incident is not None and beside:
        raise BadQuery(f"{beside[0]}: an incident is exported whole; leave it out, or leave out incident")
    return Wanted(
        FORMATS.get(asked.word("format", _FORMATS, "markdown"), FORMATS["markdown"]),
        incident=incident,
        period=_period(asked) if incident is None else None,
        tz=asked.zone("tz"),
        is_whole=asked.flag("all"),
    )


def _period(asked: Query) -> Period:
    """Raises BadQuery."""
    since, until = asked.instant("since"), asked.instant("until") or asked.now
    if since is None:
        raise BadQuery("incident or since: name an incident, or the begin of a period like since=24h")
    if since >= until:
        raise BadQuery("until: must be later than since")
    return Period(since, until, rule=asked.name("rule"), namespace=asked.name("namespace"))


def _name(wanted: Wanted, suffix: str) -> str:
    """What the file is saved as: of letters, digits, dots and dashes."""
    if wanted.period is None:
        return f"incident-{wanted.incident}.{suffix}"
    return f"incidents-{_stamp(wanted.period.since)}-{_stamp(wanted.period.until)}.{suffix}"


def _stamp(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%SZ}"
