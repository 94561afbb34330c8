"""While an event of a calendar is on, nothing is changed; when it ends, what still holds is done."""

from __future__ import annotations

from datetime import timedelta

from remediator.guards.freeze import Freeze
from remediator.model import State
from remediator.reasons import Reason
from remediator.rules.calendar import CalendarFreeze, read_calendar
from remediator.rules.ruleset import rule_set
from tests.pipeline.world import rule, world
from tests.workloads import NOW

RELEASE = b"""BEGIN:VCALENDAR\r
VERSION:2.0\r
PRODID:-//a test//EN\r
BEGIN:VEVENT\r
UID:1\r
DTSTART;TZID=Europe/Berlin:20261116T120000\r
DTEND;TZID=Europe/Berlin:20261116T133000\r
RRULE:FREQ=WEEKLY\r
END:VEVENT\r
END:VCALENDAR\r
"""
"""Mondays from 11:00 to 12:30 UTC; `NOW` is the second of them, at noon."""


def weekly(*namespaces: str) -> CalendarFreeze:
    return read_calendar(RELEASE, Freeze(name="release", calendar="release.ics", namespaces=namespaces))


async def test_an_event_of_a_calendar_holds_until_it_ends() -> None:
    async with world(rules=rule_set([rule()], freezes=[weekly("shop")])) as one:
        await one.receive()
        assert await one.one_pass() is State.HELD
        body = await one.last_body()
        assert (body["reason"], body["detail"]) == (Reason.FREEZE_WINDOW, "release until 2026-11-23T12:30:00Z")
        assert one.shop.writes() == []
        one.clock.at = NOW + timedelta(minutes=30)
        assert await one.one_pass() is State.VERIFYING


async def test_one_of_other_namespaces_holds_nothing() -> None:
    """The negative control."""
    async with world(rules=rule_set([rule()], freezes=[weekly("pay")])) as one:
        await one.receive()
        assert await one.one_pass() is State.VERIFYING
