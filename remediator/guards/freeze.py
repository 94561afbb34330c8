"""Freeze windows: times in which people want nothing changed, as `freezes:` of the rule files say them.

A window begins on the local dates that its days and dates name, at `from`, and ends at `to`, the day after if that is
not later. Local time follows the zone's own changes of the clock. Those of a calendar are read by `rules/calendar.py`.
"""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from remediator.clock import rfc3339
from remediator.guards.base import NoParameters, View
from remediator.model import Json
from remediator.reasons import Reason
from remediator.verdicts import Decision, Verdict

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
A_DAY = timedelta(days=1)
LONGEST = 1000
"""Windows that follow each other are followed so far, two years and more; it is asked again anyway."""


def _time(text: str) -> str:
    if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]|24:00", text):
        raise ValueError("write a local time from 00:00 to 24:00")
    return text


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError("not a time zone that this machine knows; write one like Europe/Berlin") from error
    return name


def _dates(text: str) -> str:
    first, slash, last = text.partition("/")
    try:
        begins, ends = date.fromisoformat(first), date.fromisoformat(last if slash else first)
    except ValueError as error:
        raise ValueError("write a date like 2026-12-24, or two like 2026-12-24/2027-01-01") from error
    if ends < begins:
        raise ValueError("the second date is before the first")
    return text


class Freeze(BaseModel):
    """Times in which nothing is changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=63, description="What people call it; in records and messages.")
    time_zone: Annotated[str, AfterValidator(_zone)] = Field("UTC", description="Its zone, like Europe/Berlin.")
    days: tuple[Day, ...] = Field((), description="Days of the week on which it begins. None: every day.")
    dates: tuple[Annotated[str, AfterValidator(_dates)], ...] = Field(
        (), max_length=400, description="Dates on which it begins, `2026-12-24` or `2026-12-24/2027-01-01`. None: any."
    )
    from_: Annotated[str, AfterValidator(_time)] = Field("00:00", alias="from", description="When it begins, local.")
    to: Annotated[str, AfterValidator(_time)] = Field(
        "24:00", description="When it ends, local; the next day if that is not later than it begins."
    )
    calendar: str | None = Field(
        None,
        min_length=1,
        max_length=1000,
        description="An iCalendar file, relative to this one: every event is a window, instead of days and dates. What "
        "has no zone there is local in `time_zone`.",
    )
    namespaces: tuple[Annotated[str, Field(min_length=1, max_length=63)], ...] = Field(
        (), description="Only in these namespaces. None: everywhere."
    )

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> Self:
        if self.calendar is not None and {"days", "dates", "from_", "to"} & self.model_fields_set:
            raise ValueError("its calendar says when: leave out days, dates, from and to")
        return self

    def as_json(self) -> Json:
        """For the table's digest."""
        return self.model_dump(mode="json", exclude_none=True)

    def until(self, now: datetime) -> datetime | None:
        """When the window that is open now ends, with those that follow it without a break; None: none is open.

        One with a calendar that nobody read is open always.
        """
        end = self._end(now)
        for _ in range(LONGEST):
            further = None if end is None else self._end(end)
            if further is None:
                return end
            end = further
        return end

    def _end(self, now: datetime) -> datetime | None:
        today = now.astimezone(ZoneInfo(self.time_zone)).date()
        ends = [end for day in (today, today - A_DAY) if self._begins_on(day) and (end := self._open_at(day, now))]
        return max(ends, default=None)

    def _begins_on(self, day: date) -> bool:
        if self.days and DAYS[day.weekday()] not in self.days:
            return False
        ranges = [text.partition("/") for text in self.dates]
        return not ranges or any(first <= day.isoformat() <= (last or first) for first, _, last in ranges)

    def _open_at(self, day: date, now: datetime) -> datetime | None:
        begins = self._instant(day, self.from_)
        ends = self._instant(day, self.to)
        if ends <= begins:
            ends = self._instant(day + A_DAY, self.to)
        return ends if begins <= now < ends else None

    def _instant(self, day: date, text: str) -> datetime:
        if text == "24:00":
            day, text = day + A_DAY, "00:00"
        local = datetime.combine(day, time.fromisoformat(text), tzinfo=ZoneInfo(self.time_zone))
        return local.astimezone(UTC)


class FreezeGuard:
    name = "freeze"
    parameters = NoParameters

    async def check(self, view: View, parameters: BaseModel) -> Verdict:
        namespace = view.plan.target.namespace
        held = [freeze for freeze in view.freezes if not freeze.namespaces or namespace in freeze.namespaces]
        # A calendar is expanded once a day, which may take a moment that others must not wait.
        ends = [(await asyncio.to_thread(freeze.until, view.now), freeze.name) for freeze in held]
        open_now = [(until, name) for until, name in ends if until is not None]
        if not open_now:
            return Verdict(self.name, Decision.ALLOW, Reason.NONE, f"none of {len(view.freezes)} windows is open")
        until, name = max(open_now)
        return Verdict(self.name, Decision.HOLD, Reason.FREEZE_WINDOW, f"{name} until {rfc3339(until)}", until=until)
