"""The read API: incidents and what happened in each.

Beside the way of an alert. `application.py` adds the routes; `cli/incidents.py` is the client people use.
"""

from __future__ import annotations

import re

from aiohttp import web

from remediator.api.answers import Incident, IncidentDetail, Incidents, answer, problem
from remediator.model import IncidentId
from remediator.store.reading import IncidentReader

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
_REFERENCE = re.compile(r"(?:inc-)?([0-9]{1,18})")


class IncidentRoutes:
    """Handlers over one `IncidentReader`."""

    def __init__(self, reader: IncidentReader) -> None:
        self._reader = reader

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/v1/incidents", self.list_incidents),
            web.get("/api/v1/incidents/{id}", self.show_incident),
        ]

    async def list_incidents(self, request: web.Request) -> web.Response:
        """Newest first; `limit` 1 to 1000, `open=true` for those that are not closed."""
        limit = request.query.get("limit", str(DEFAULT_LIMIT))
        if not re.fullmatch(r"[0-9]{1,6}", limit) or not 1 <= int(limit) <= MAX_LIMIT:
            return problem(400, f"limit: expected a number from 1 to {MAX_LIMIT}")
        only_open = request.query.get("open", "false")
        if only_open not in ("true", "false"):
            return problem(400, "open: expected true or false")
        rows = await self._reader.incidents(limit=int(limit), open_only=only_open == "true")
        return answer(Incidents(incidents=[Incident.of(row) for row in rows]))

    async def show_incident(self, request: web.Request) -> web.Response:
        """One incident by its number, or as people write it: inc-<number>."""
        reference = request.match_info["id"]
        if not (found := _REFERENCE.fullmatch(reference)):
            return problem(400, f"{reference!r} is no incident: expected a number or inc-<number>")
        view = await self._reader.incident(IncidentId(int(found[1])))
        if view is None:
            return problem(404, f"there is no incident inc-{int(found[1])}")
        return answer(IncidentDetail.of(view))
