"""Reports over HTTP: the handoff of a shift, and each rule's month.

Beside the way of an alert. `application.py` adds the routes; `cli/export.py` is the client people use.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import Any

from aiohttp import web

from remediator.api.answers import problem
from remediator.api.downloads import whole
from remediator.api.query import BadQuery, Query
from remediator.clock import Clock
from remediator.export.handoff import handoff_report, read_handoff
from remediator.export.monthly_report import monthly_report, read_monthly
from remediator.export.report import Report
from remediator.export.report_forms import FORMS
from remediator.rules.ruleset import RuleSet
from remediator.store.base import Store
from remediator.store.reading import IncidentReader
from remediator.store.reports_base import ReportReader
from remediator.store.rollouts_base import RolloutStore

HANDOFF, MONTHLY = "/api/v1/report/handoff", "/api/v1/report/monthly"
SHIFT = timedelta(hours=8)
LONGEST = timedelta(days=31)

_TEXT = {"type": "string"}
_FORMAT = ("Default: markdown.", {"type": "string", "enum": list(FORMS)})
PARAMETERS: Mapping[str, Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    HANDOFF: {
        "since": ("Begin of the shift: a time (RFC 3339) or how long ago; at most 31d. Default: 8h.", _TEXT),
        "format": _FORMAT,
        "tz": ("A zone like Europe/Berlin whose time is given beside UTC.", _TEXT),
    },
    MONTHLY: {
        "month": ("A month of UTC, like 2026-11. Default: the present one.", _TEXT),
        "format": _FORMAT,
    },
}


@dataclass(frozen=True, slots=True)
class Sources:
    """What reports are read from. `rules` are those in force."""

    store: Store
    incidents: IncidentReader
    reports: ReportReader
    rollouts: RolloutStore
    rules: Callable[[], RuleSet]
    cluster: str


class ReportRoutes:
    """Handlers over the store as it stands. `version` is named in what is made."""

    def __init__(self, sources: Sources, *, clock: Clock, version: str) -> None:
        self._sources = sources
        self._clock = clock
        self._version = version

    def routes(self) -> list[web.RouteDef]:
        return [web.get(HANDOFF, self.handoff), web.get(MONTHLY, self.monthly)]

    async def handoff(self, request: web.Request) -> web.Response:
        """What the next person on call has to know."""
        try:
            asked = Query(request, known=PARAMETERS[HANDOFF], now=self._clock.now())
            since = asked.ago("since", default=SHIFT)
            if not asked.now - LONGEST <= since < asked.now:
                raise BadQuery("since: must be in the past, at most 31d")
            asked.word("format", FORMS, "markdown")
            asked.zone("tz")
        except BadQuery as error:
            return problem(400, str(error))
        found = await read_handoff(self._sources, since=since, now=asked.now)
        report = handoff_report(found, version=self._version)
        return await _written(report, asked, name=f"handoff-{asked.now.astimezone(UTC):%Y%m%dT%H%M%SZ}")

    async def monthly(self, request: web.Request) -> web.Response:
        """Each rule's month."""
        try:
            asked = Query(request, known=PARAMETERS[MONTHLY], now=self._clock.now())
            begin = asked.month("month")
            if begin > asked.now:
                raise BadQuery("month: it has not begun yet")
            asked.word("format", FORMS, "markdown")
        except BadQuery as error:
            return problem(400, str(error))
        month = await read_monthly(self._sources.reports, begin=begin, now=asked.now)
        report = monthly_report(month, made_at=asked.now, version=self._version)
        return await _written(report, asked, name=f"monthly-{begin:%Y-%m}")


async def _written(report: Report, asked: Query, *, name: str) -> web.Response:
    form = FORMS[asked.word("format", FORMS, "markdown")]
    content = await asyncio.to_thread(form.write, report, tz=asked.zone("tz"))
    return whole(content, name=f"{name}.{form.suffix}", media_type=form.media_type)
