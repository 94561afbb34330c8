"""What exports and reports take from the query of a request: instants, lengths of time, names, a zone.

A parameter that cannot be used is refused with its name and what may stand there.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from aiohttp import web

from remediator.clock import parse_rfc3339
from remediator.errors import cut
from remediator.export.times import zone
from remediator.model import IncidentId
from remediator.units import parse_duration

_INCIDENT = re.compile(r"(?:inc-)?([0-9]{1,18})")
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_INSTANT = "expected a duration like 24h or a time like 2026-11-23T12:00:00Z"


class BadQuery(ValueError):
    """The text names the parameter and what is allowed."""


class Query:
    """The query of one request, read at one moment."""

    def __init__(self, request: web.Request, *, known: Collection[str], now: datetime) -> None:
        """Raises BadQuery for a parameter that is not known, or given twice."""
        self._values = request.query
        self.now = now
        for name in self._values:
            if name not in known:
                raise BadQuery(f"{cut(name, max_length=40)}: not a parameter here; there are {', '.join(known)}")
            if len(self._values.getall(name)) > 1:
                raise BadQuery(f"{name}: given twice")

    def has(self, name: str) -> bool:
        return name in self._values

    def word(self, name: str, allowed: Collection[str], default: str) -> str:
        value = self._values.get(name, default)
        if value not in allowed:
            raise BadQuery(f"{name}: expected one of {', '.join(allowed)}")
        return value

    def flag(self, name: str) -> bool:
        value = self._values.get(name, "false")
        if value not in ("true", "false"):
            raise BadQuery(f"{name}: expected true or false")
        return value == "true"

    def incident(self, name: str) -> IncidentId | None:
        if (value := self._values.get(name)) is None:
            return None
        if not (found := _INCIDENT.fullmatch(value)):
            raise BadQuery(f"{name}: {cut(value, max_length=40)!r} is no incident: expected a number or inc-<number>")
        return IncidentId(int(found[1]))

    def name(self, name: str) -> str | None:
        """Of a rule or a namespace: both are DNS labels."""
        value = self._values.get(name)
        if value is not None and not _NAME.fullmatch(value):
            raise BadQuery(f"{name}: expected a name of small letters, digits and dashes")
        return value

    def instant(self, name: str) -> datetime | None:
        """A time, or how long ago."""
        if (value := self._values.get(name)) is None:
            return None
        try:
            return self.now - parse_duration(value)
        except (ValueError, OverflowError):
            pass
        try:
            return parse_rfc3339(value.replace(" ", "+"))  # a plus in a query that nobody escaped
        except ValueError as error:
            raise BadQuery(f"{name}: {_INSTANT}") from error

    def ago(self, name: str, *, default: timedelta) -> datetime:
        return self.instant(name) or self.now - default

    def zone(self, name: str) -> ZoneInfo | None:
        if (value := self._values.get(name)) is None:
            return None
        try:
            return zone(value)
        except ValueError as error:
            raise BadQuery(f"{name}: {error}") from error

    def month(self, name: str) -> datetime:
        """The beginning of a month in UTC, `2026-11`; the present one where none is named."""
        value = self._values.get(name, f"{self.now:%Y-%m}")
        if not re.fullmatch(r"20[0-9]{2}-(0[1-9]|1[0-2])", value):
            raise BadQuery(f"{name}: expected a month like 2026-11")
        return parse_rfc3339(f"{value}-01T00:00:00Z")
