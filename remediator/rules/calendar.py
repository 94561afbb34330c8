"""Freeze windows from an iCalendar file (RFC 5545): every event is one, recurring, all day and in its own zone.

Called by `load.py`; the only user of icalendar and recurring-ical-events, which take 4 MiB and are loaded with the
first calendar. What could be misread is refused, since a window that is not there protects nothing: an unknown zone, an
event without an end. What would take long to expand is refused as well: the guard asks on the way of an alert.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from math import prod
from threading import Lock
from time import thread_time
from typing import Any
from zoneinfo import ZoneInfo

from remediator.errors import cut
from remediator.guards.freeze import Freeze
from remediator.model import Json

MAX_BYTES = 1024 * 1024
MAX_EVENTS = 2000
AHEAD = timedelta(days=62)
"""How far it is expanded, and so the latest end of a window that is told; it is asked again then."""

MARGIN = timedelta(days=2)
"""An event without a zone may begin that much earlier or later than its numbers say."""

CPU_SECONDS = 5.0
"""What an expansion may take, ten years after the newest event: about 200 rules that begin daily, or 4,000 yearly."""

TEN_YEARS = timedelta(days=3653)

FREQUENCIES = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
MOST_A_DAY = 24
"""How often one rule may begin on one day."""

_TIMES = ("DTSTART", "DTEND", "RDATE", "EXDATE", "RECURRENCE-ID")
_FAULTS = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)
"""What the libraries raise for a calendar that is not as RFC 5545 has it."""

Window = tuple[datetime, datetime]


class BadCalendar(ValueError):
    """The file cannot be used; says why."""


class CalendarFreeze:
    """A freeze whose windows are the events of calendars. Made by `read_calendar`. Owns the expansion of one day, which
    is made when it is first asked for."""

    def __init__(self, freeze: Freeze, calendars: Sequence[Any], digest: str) -> None:
        self._freeze = freeze
        self._calendars = calendars
        self._digest = digest
        self._lock = Lock()
        self._kept: tuple[date, Sequence[Window]] | None = None

    @property
    def name(self) -> str:
        return self._freeze.name

    @property
    def namespaces(self) -> tuple[str, ...]:
        return self._freeze.namespaces

    def as_json(self) -> Json:
        """For the table's digest: as written, and what the file holds."""
        return self._freeze.as_json() | {"sha256": self._digest}

    def until(self, now: datetime) -> datetime | None:
        """When the window that is open now ends, with those that follow it without a break, `AHEAD` at most; None: none
        is open. Takes up to `CPU_SECONDS` once a day: call it in a thread."""
        today = now.astimezone(UTC).date()
        with self._lock:
            if self._kept is None or self._kept[0] != today:
                begin = datetime.combine(today, time.min, tzinfo=UTC)
                self._kept = today, self.windows(begin, begin + AHEAD)
            kept = self._kept[1]
        return next((end for begin, end in kept if begin <= now < end), None)

    def windows(self, begin: datetime, end: datetime) -> Sequence[Window]:
        """Those that touch this time, cut at its ends, joined where they overlap or adjoin."""
        found = [window for series in self._series() for window in self._of(series, begin - MARGIN, end + MARGIN)]
        return _joined((max(first, begin), min(last, end)) for first, last in found if first < end and last > begin)

    def try_out(self, begin: datetime) -> None:
        """Expand it once. Raises BadCalendar where that takes too long, and what the libraries raise."""
        started = thread_time()
        for series in self._series():
            for _ in self._of(series, begin, begin + AHEAD):
                pass
            if thread_time() - started > CPU_SECONDS:
                raise BadCalendar(f"its recurrences take more than {CPU_SECONDS:.0f} s to expand; end or split them")

    def instant(self, value: date) -> datetime:
        """A date is its midnight; what has no zone is local in the freeze's own."""
        local = value if isinstance(value, datetime) else datetime.combine(value, time.min)
        return (local if local.tzinfo else local.replace(tzinfo=ZoneInfo(self._freeze.time_zone))).astimezone(UTC)

    def _series(self) -> Iterator[Any]:
        """Made anew each time: the library keeps all that it ever expanded."""
        import recurring_ical_events

        return (series for calendar in self._calendars for series in recurring_ical_events.of(calendar).series)

    def _of(self, series: Any, begin: datetime, end: datetime) -> Iterator[Window]:
        for occurrence in series.between(begin, end):
            event = occurrence.as_component(False)
            if event.get("STATUS") != "CANCELLED":
                yield self.instant(event.start), self.instant(event.end)


def read_calendar(raw: bytes, freeze: Freeze) -> CalendarFreeze:
    """The freeze with the windows of this file. Raises BadCalendar."""
    import icalendar

    if len(raw) > MAX_BYTES:
        raise BadCalendar(f"too large: at most {MAX_BYTES} bytes")
    try:
        calendars: Sequence[Any] = icalendar.Calendar.from_ical(raw, multiple=True)
        events = [event for calendar in calendars for event in calendar.walk("VEVENT")]
        if not calendars or any(calendar.name != "VCALENDAR" for calendar in calendars):
            raise BadCalendar("not an iCalendar file: no VCALENDAR")
        if len(events) > MAX_EVENTS:
            raise BadCalendar(f"{len(events)} events, at most {MAX_EVENTS}")
        read = CalendarFreeze(freeze, calendars, hashlib.sha256(raw).hexdigest())
        for event in events:
            _check(event, read)
        newest = max((read.instant(event["DTSTART"].dt) for event in events), default=datetime(2000, 1, 1, tzinfo=UTC))
        read.try_out(newest + TEN_YEARS)
    except BadCalendar:
        raise
    except _FAULTS as error:
        raise BadCalendar(f"not as RFC 5545 has it: {cut(str(error)) or type(error).__name__}") from error
    return read


def _check(event: Any, freeze: CalendarFreeze) -> None:
    """Raises BadCalendar for an event that is there and would not be a window as its author means it."""
    name = f"event '{cut(str(event.get('SUMMARY') or event.get('UID') or '?'), max_length=60)}'"
    for field, problem in event.errors:
        raise BadCalendar(f"{name}: {field}: {cut(problem)}")
    if "DTSTART" not in event:
        raise BadCalendar(f"{name} has no DTSTART")
    if isinstance(event["DTSTART"].dt, datetime) and not {"DTEND", "DURATION"} & set(event):
        raise BadCalendar(f"{name} has neither DTEND nor DURATION: it would freeze nothing")
    is_backwards = "DTEND" in event and freeze.instant(event["DTEND"].dt) <= freeze.instant(event["DTSTART"].dt)
    if is_backwards or ("DURATION" in event and event["DURATION"].dt <= timedelta(0)):
        raise BadCalendar(f"{name} ends before it begins, or as it does: it would freeze nothing")
    for field in _TIMES:
        for zone in _unknown_zones(event.get(field, [])):
            raise BadCalendar(f"{name}: {field}: unknown time zone '{cut(zone, max_length=60)}'")
    for rule in _listed(event.get("RRULE", [])):
        _check_rule(name, rule)


def _unknown_zones(values: Any) -> Iterator[str]:
    """The named zones that the library could not find; it takes such times for local ones."""
    for value in _listed(values):
        times = [one.dt for one in value.dts] if hasattr(value, "dts") else [value.dt]
        firsts = [one[0] if isinstance(one, tuple) else one for one in times]
        is_local = any(isinstance(one, datetime) and one.tzinfo is None for one in firsts)
        if is_local and (zone := value.params.get("TZID")):
            yield str(zone)


def _check_rule(name: str, rule: Mapping[str, Sequence[Any]]) -> None:
    for frequency in rule.get("FREQ", ["none"]):
        if frequency not in FREQUENCIES:
            raise BadCalendar(f"{name}: FREQ={frequency} cannot be a window; write one of {', '.join(FREQUENCIES)}")
    if min(rule.get("INTERVAL", [1])) < 1:
        raise BadCalendar(f"{name}: INTERVAL must be at least 1")
    times = prod(len(rule.get(part, [0])) for part in ("BYHOUR", "BYMINUTE", "BYSECOND"))
    if times > MOST_A_DAY:
        raise BadCalendar(f"{name} begins {times} times a day, at most {MOST_A_DAY}")


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else [value]


def _joined(windows: Iterator[Window]) -> Sequence[Window]:
    joined: list[Window] = []
    for begin, end in sorted(windows):
        if joined and begin <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        elif begin < end:
            joined.append((begin, end))
    return joined
