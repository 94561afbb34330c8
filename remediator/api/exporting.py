"""Exports over HTTP: the story of one incident, or the incidents and records of a time, in every format.

Beside the way of an alert. `application.py` adds the route; `cli/export.py` is the client people use.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from remediator.api.answers import problem
from remediator.api.downloads import streamed
from remediator.api.query import BadQuery, Query
from remediator.clock import Clock
from remediator.export.stream import Labels, NoIncident, Wanted, expected_lines, export
from remediator.export.table import FORMATS
from remediator.store.exporting_base import ExportReader, Period

PATH = "/api/v1/export"
PARAMETERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "incident": ("One incident, as 7 or inc-7. Without it a period.", {"type": "string"}),
    "since": ("Begin of the period: a time (RFC 3339) or how long ago, like 24h.", {"type": "string"}),
    "until": ("Its end. Default: now.", {"type": "string"}),
    "rule": ("Only what this rule decided.", {"type": "string"}),
    "namespace": ("Only what is in this namespace.", {"type": "string"}),
    "format": ("Default: markdown.", {"type": "string", "enum": list(FORMATS)}),
    "all": ("Everything, not only what is worth a person's time.", {"type": "boolean"}),
    "tz": ("A zone like Europe/Berlin whose time is given beside UTC.", {"type": "string"}),
}
TOTAL = "X-Total-Count"
"""Header: how many records the rows will be at most, one a line; for whoever draws a bar."""

_OF_PERIOD = ("since", "until", "rule", "namespace")


class ExportRoutes:
    """Handlers over one `ExportReader`. `cluster` and `version` are named in what is exported."""

    def __init__(self, reader: ExportReader, *, clock: Clock, cluster: str, version: str) -> None:
        self._reader = reader
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
        try:
            pieces = export(wanted, self._reader, labels)
            response = await streamed(pieces, name=_name(wanted), media_type=wanted.form.media_type)
        except NoIncident as error:
            return problem(404, str(error))
        if (count := await expected_lines(wanted, self._reader)) is not None:
            response.headers[TOTAL] = str(count)
        return response


def _wanted(asked: Query) -> Wanted:
    """Raises BadQuery."""
    incident = asked.incident("incident")
    beside = [name for name in _OF_PERIOD if asked.has(name)]
    if incident is not None and beside:
        raise BadQuery(f"{beside[0]}: an incident is exported whole; leave it out, or leave out incident")
    return Wanted(
        FORMATS[asked.word("format", FORMATS, "markdown")],
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


def _name(wanted: Wanted) -> str:
    """What the file is saved as: of letters, digits, dots and dashes."""
    if wanted.period is None:
        return f"incident-{wanted.incident}.{wanted.form.suffix}"
    return f"incidents-{_stamp(wanted.period.since)}-{_stamp(wanted.period.until)}.{wanted.form.suffix}"


def _stamp(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%SZ}"
