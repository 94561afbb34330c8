"""Freeze windows from iCalendar files: as RFC 5545 has them, and nothing that protects less than its author means."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import remediator.rules.calendar
from remediator.guards.freeze import Freeze
from remediator.rules.calendar import AHEAD, MAX_BYTES, MAX_EVENTS, BadCalendar, CalendarFreeze, read_calendar
from remediator.rules.load import load_rules
from remediator.rules.report import RulesError

RULE = "rules: [{name: one, match: ['alertname=\"A\"'], severity: 1, respond: [{do: escalate}]}]\n"
OFFICE = """\
BEGIN:VTIMEZONE
TZID:Our Office
BEGIN:STANDARD
DTSTART:19701101T020000
RRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=1SU
TZOFFSETFROM:-0400
TZOFFSETTO:-0500
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:19700308T020000
RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=2SU
TZOFFSETFROM:-0500
TZOFFSETTO:-0400
END:DAYLIGHT
END:VTIMEZONE
"""


def event(*lines: str, uid: str = "1", summary: str = "freeze") -> str:
    return "\n".join(["BEGIN:VEVENT", f"UID:{uid}", f"SUMMARY:{summary}", *lines, "END:VEVENT", ""])


def a_file(*parts: str) -> bytes:
    text = "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//a test//EN\n" + "".join(parts) + "END:VCALENDAR\n"
    return text.replace("\n", "\r\n").encode()


def freeze(*parts: str, zone: str = "Europe/Berlin") -> CalendarFreeze:
    return read_calendar(a_file(*parts), Freeze(name="holidays", calendar="x.ics", time_zone=zone))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def ends(read: CalendarFreeze, now: str) -> str | None:
    end = read.until(at(now))
    return None if end is None else end.strftime("%m-%d %H:%M")


HOUR = "DURATION:PT1H"
TEN = "DTSTART:20260101T100000Z"
NIGHT = event("DTSTART;TZID=Europe/Berlin:20260105T220000", "DURATION:PT2H", "RRULE:FREQ=DAILY")
XMAS = event("DTSTART;VALUE=DATE:20261224", "DTEND;VALUE=DATE:20261227", uid="2")


@pytest.mark.parametrize(
    ("body", "now", "end"),
    [
        (event("DTSTART:20261222T100000Z", "DTEND:20261222T120000Z"), "2026-12-22T10:00", "12-22 12:00"),
        (event("DTSTART:20261222T100000Z", "DTEND:20261222T120000Z"), "2026-12-22T12:00", None),
        (event("DTSTART:20261222T100000Z", "DURATION:P1D"), "2026-12-23T09:59", "12-23 10:00"),
        # All day is the day of the place, and its end is not part of it.
        (XMAS, "2026-12-23T22:59", None),
        (XMAS, "2026-12-23T23:00", "12-26 23:00"),
        (event("DTSTART;VALUE=DATE:20261224"), "2026-12-24T12:00", "12-24 23:00"),
        # Without a zone it is local too.
        (event("DTSTART:20260710T100000", "DTEND:20260710T110000"), "2026-07-10T08:30", "07-10 09:00"),
        # A zone of its own, known to the machine or described in the file; clocks change.
        (event("DTSTART;TZID=America/New_York:20260710T100000", HOUR), "2026-07-10T14:30", "07-10 15:00"),
        (OFFICE + event("DTSTART;TZID=Our Office:20260110T100000", HOUR), "2026-01-10T15:30", "01-10 16:00"),
        (NIGHT, "2026-03-28T21:30", "03-28 23:00"),
        (NIGHT, "2026-03-29T20:30", "03-29 22:00"),
        (NIGHT, "2026-01-04T21:30", None),
        # It recurs, with days that are left out, added, moved and cancelled.
        (event(TEN, HOUR, "RRULE:FREQ=MONTHLY;BYDAY=-1FR"), "2026-02-27T10:30", "02-27 11:00"),
        (event(TEN, HOUR, "RRULE:FREQ=DAILY;COUNT=3"), "2026-01-03T10:30", "01-03 11:00"),
        (event(TEN, HOUR, "RRULE:FREQ=DAILY;COUNT=3"), "2026-01-04T10:30", None),
        (event(TEN, HOUR, "RRULE:FREQ=DAILY", "EXDATE:20260103T100000Z"), "2026-01-03T10:30", None),
        (event(TEN, HOUR, "RDATE:20260210T100000Z"), "2026-02-10T10:30", "02-10 11:00"),
        # One that began long ago.
        (event("DTSTART:20250101T000000Z", "DTEND:20260601T000000Z"), "2026-05-31T12:00", "06-01 00:00"),
        ("", "2026-05-31T12:00", None),
    ],
)
def test_an_event_is_a_window(body: str, now: str, end: str | None) -> None:
    assert ends(freeze(body), now) == end


def test_one_of_a_series_can_be_moved_or_cancelled() -> None:
    series = event(TEN, HOUR, "RRULE:FREQ=DAILY")
    moved = event("RECURRENCE-ID:20260102T100000Z", "DTSTART:20260102T180000Z", "DTEND:20260102T190000Z")
    cancelled = event(
        "RECURRENCE-ID:20260103T100000Z", "DTSTART:20260103T100000Z", "DTEND:20260103T110000Z", "STATUS:CANCELLED"
    )
    read = freeze(series, moved, cancelled)
    asked = ["2026-01-01T10:30", "2026-01-02T10:30", "2026-01-02T18:30", "2026-01-03T10:30", "2026-01-04T10:30"]
    assert [ends(read, now) for now in asked] == ["01-01 11:00", None, "01-02 19:00", None, "01-04 11:00"]


def test_windows_that_adjoin_or_overlap_are_one() -> None:
    days = [event(f"DTSTART;VALUE=DATE:202612{day}", uid=str(day)) for day in (24, 25, 26)]
    overlapping = event("DTSTART:20261226T120000Z", "DTEND:20261228T120000Z", uid="x")
    assert ends(freeze(*days, overlapping), "2026-12-24T12:00") == "12-28 12:00"


def test_one_without_an_end_is_asked_again() -> None:
    always = freeze(event("DTSTART;VALUE=DATE:20260101", "RRULE:FREQ=DAILY"))
    assert always.until(at("2026-05-01T12:00")) == at("2026-05-01T00:00") + AHEAD


def test_several_calendars_in_one_file_are_read() -> None:
    text = a_file(XMAS) + a_file(NIGHT)
    read = read_calendar(text, Freeze(name="x", calendar="x.ics", time_zone="Europe/Berlin"))
    assert ends(read, "2026-12-24T12:00") is not None
    assert ends(read, "2026-06-01T20:30") is not None


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"", "no VCALENDAR"),
        (b"<html>not found</html>", "not as RFC 5545 has it"),
        (b"\xff\xfe\x00", "not as RFC 5545 has it"),
        (event(TEN, HOUR).encode(), "no VCALENDAR"),
        (a_file(NIGHT)[:-40], "no VCALENDAR"),
        (a_file("CALSCALE:MAYA\n"), "Only Gregorian"),
        (a_file(event("DTSTART:yesterday", HOUR)), "event 'freeze': DTSTART: "),
        (a_file(event(HOUR)), "event 'freeze' has no DTSTART"),
        (a_file(event(TEN)), "neither DTEND nor DURATION: it would freeze nothing"),
        (a_file(event(TEN, "DTEND:20260101T090000Z")), "ends before it begins"),
        (a_file(event(TEN, "DURATION:-PT1H")), "ends before it begins"),
        (a_file(event(TEN, "DURATION:long")), "DURATION"),
        (
            a_file(event("DTSTART;TZID=Mars/Base:20260101T100000", HOUR)),
            "event 'freeze': DTSTART: unknown time zone 'Mars/Base'",
        ),
        (
            a_file(event(TEN, HOUR, "EXDATE;TZID=Mars/Base:20260101T100000")),
            "EXDATE: unknown time zone",
        ),
        (a_file(event(TEN, HOUR, "RRULE:FREQ=NOW")), "RRULE: Expected frequency"),
        (a_file(event(TEN, HOUR, "RRULE:COUNT=2")), "FREQ=none"),
        (a_file(event(TEN, HOUR, "RRULE:FREQ=DAILY;INTERVAL=0")), "INTERVAL"),
        (a_file(event("DTSTART:99991230T100000Z", HOUR, "RRULE:FREQ=DAILY")), "out of range"),
    ],
)
def test_what_could_be_misread_is_refused(raw: bytes, problem: str) -> None:
    with pytest.raises(BadCalendar, match=problem):
        read_calendar(raw, Freeze(name="x", calendar="x.ics"))


@pytest.mark.parametrize("frequency", ["SECONDLY", "MINUTELY", "HOURLY"])
def test_a_recurrence_by_the_second_does_not_hang(frequency: str) -> None:
    """It would be expanded from its start: 200 million times by now."""
    began = time.monotonic()
    with pytest.raises(BadCalendar, match=f"FREQ={frequency} cannot be a window"):
        freeze(event("DTSTART:20200101T000000Z", "DURATION:PT1S", f"RRULE:FREQ={frequency}"))
    assert time.monotonic() - began < 5


def test_nor_does_one_that_begins_every_second_of_a_day() -> None:
    seconds = ",".join(str(second) for second in range(60))
    with pytest.raises(BadCalendar, match="begins 3600 times a day, at most 24"):
        freeze(event(TEN, "DURATION:PT1S", f"RRULE:FREQ=DAILY;BYMINUTE={seconds};BYSECOND={seconds}"))


def test_what_takes_long_is_refused_before_the_guard_has_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remediator.rules.calendar, "CPU_SECONDS", 0.2)
    many = [event("DTSTART:20160101T000000Z", HOUR, "RRULE:FREQ=DAILY", uid=str(n)) for n in range(40)]
    assert freeze(many[0]).until(at("2026-01-01T00:30")) is not None
    with pytest.raises(BadCalendar, match="take more than"):
        freeze(*many)


def test_a_file_is_bounded_in_size_and_events() -> None:
    with pytest.raises(BadCalendar, match="too large"):
        read_calendar(a_file(XMAS) + b" " * MAX_BYTES, Freeze(name="x", calendar="x.ics"))
    with pytest.raises(BadCalendar, match=f"{MAX_EVENTS + 1} events"):
        freeze(*(event("DTSTART;VALUE=DATE:20261224", uid=str(n)) for n in range(MAX_EVENTS + 1)))


def test_a_day_is_expanded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read, asked = freeze(XMAS), list[datetime]()
    expand = CalendarFreeze.windows
    monkeypatch.setattr(CalendarFreeze, "windows", lambda self, *span: asked.append(span[0]) or expand(self, *span))
    for now in ("2026-12-24T01:00", "2026-12-24T23:59", "2026-12-25T00:00", "2026-12-25T12:00"):
        assert ends(read, now) == "12-26 23:00"
    assert asked == [at("2026-12-24T00:00"), at("2026-12-25T00:00")]


PARTS = st.sampled_from(
    [
        *("BEGIN:VEVENT", "END:VEVENT", "BEGIN:VCALENDAR", "END:VCALENDAR", TEN, HOUR),
        *("DTSTART;VALUE=DATE:20260101", "RRULE:FREQ=DAILY", "RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", "EXDATE:x"),
        *("RECURRENCE-ID:20260101T100000Z", "UID:1", "SEQUENCE:x", "RDATE;VALUE=PERIOD:20260101T100000Z/PT1H", "X;=:"),
        *("DTEND;VALUE=DATE:20260102", "DTEND;TZID=UTC:20260102T100000", "STATUS:CANCELLED", " folded", "RRULE:x=y"),
    ]
)


@settings(deadline=None, max_examples=60)
@given(st.lists(PARTS, max_size=10))
def test_any_file_is_read_or_refused(lines: list[str]) -> None:
    with suppress(BadCalendar):
        freeze(*(f"{line}\n" for line in lines)).until(at("2026-01-01T12:00"))


# -- in a rule file


def table(tmp_path: Path, *, file: str = "cal/x.ics") -> Any:
    (tmp_path / "a.yaml").write_text(RULE + f"freezes:\n  - {{name: holidays, calendar: {file}, namespaces: [shop]}}\n")
    return load_rules(tmp_path)


def test_a_calendar_is_found_beside_the_rule_file(tmp_path: Path) -> None:
    (tmp_path / "cal").mkdir()
    (tmp_path / "cal" / "x.ics").write_bytes(a_file(XMAS))
    loaded = table(tmp_path)
    [read] = loaded.freezes
    assert (read.name, read.namespaces) == ("holidays", ("shop",))
    assert read.until(at("2026-12-25T12:00")) == at("2026-12-27T00:00")
    assert loaded.calendars == (tmp_path / "cal" / "x.ics",)


def test_the_table_s_digest_changes_with_the_calendar(tmp_path: Path) -> None:
    digests = set()
    for body in (XMAS, NIGHT):
        (tmp_path / "x.ics").write_bytes(a_file(body))
        digests.add(table(tmp_path, file="x.ics").digest)
    assert len(digests) == 2


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (None, "calendar x.ics: cannot be read: No such file or directory"),
        (b"hello", "calendar x.ics: not as RFC 5545 has it: "),
        (a_file(XMAS) + b" " * MAX_BYTES, "calendar x.ics: too large"),
    ],
)
def test_a_calendar_that_cannot_be_used_is_a_mistake_with_its_place(
    tmp_path: Path, raw: bytes | None, problem: str
) -> None:
    if raw is not None:
        (tmp_path / "x.ics").write_bytes(raw)
    with pytest.raises(RulesError) as caught:
        table(tmp_path, file="x.ics")
    [found] = caught.value.problems
    assert (found.line, found.column) == (3, 32)
    assert found.text.startswith(problem)
    assert caught.value.calendars == (tmp_path / "x.ics",)


def test_a_calendar_says_when_alone() -> None:
    with pytest.raises(ValueError, match="leave out days, dates, from and to"):
        Freeze.model_validate({"name": "x", "calendar": "x.ics", "days": ["mon"]})
