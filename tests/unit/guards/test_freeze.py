"""When freeze windows are open, and until when; `NOW` is Monday, 2026-11-23 12:00 UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from remediator.guards.freeze import Freeze


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def until(now: str, **window: Any) -> str | None:
    given = {key.rstrip("_"): value for key, value in window.items()}
    end = Freeze.model_validate({"name": "x", **given}).until(at(now))
    return end.strftime("%m-%d %H:%M") if end else None


OFFICE = {"days": ["mon", "tue", "wed", "thu", "fri"], "from_": "17:00", "to": "08:00"}
WEEKEND = {"days": ["sat", "sun"]}
BERLIN = {"time_zone": "Europe/Berlin", "from_": "01:00", "to": "06:00"}
NEW_YEAR = {"dates": ["2026-12-24/2027-01-01"]}


@pytest.mark.parametrize(
    ("window", "now", "end"),
    [
        (OFFICE, "2026-11-23 16:59", None),
        (OFFICE, "2026-11-23 17:00", "11-24 08:00"),
        (OFFICE, "2026-11-24 07:59", "11-24 08:00"),
        (OFFICE, "2026-11-24 08:00", None),
        (OFFICE, "2026-11-28 07:00", "11-28 08:00"),
        (OFFICE, "2026-11-28 18:00", None),
        (OFFICE, "2026-11-23 07:00", None),
        (WEEKEND, "2026-11-28 00:00", "11-30 00:00"),
        (WEEKEND, "2026-11-27 23:59", None),
        (BERLIN, "2026-11-23 00:00", "11-23 05:00"),
        (BERLIN, "2026-07-23 00:00", "07-23 04:00"),
        (BERLIN, "2026-07-22 23:00", "07-23 04:00"),
        (BERLIN, "2026-11-22 23:00", None),
        # The night in which the clock goes back: 06:00 is five hours after 01:00 by the wall, six by the sun.
        (BERLIN, "2026-10-24 23:00", "10-25 05:00"),
        (NEW_YEAR, "2026-12-23 23:59", None),
        (NEW_YEAR, "2026-12-24 00:00", "01-02 00:00"),
        ({}, "2026-11-23 12:00", "08-20 00:00"),
    ],
)
def test_a_window_is_open_until(window: dict[str, Any], now: str, end: str | None) -> None:
    assert until(now, **window) == end


@pytest.mark.parametrize(
    ("window", "problem"),
    [
        ({"time_zone": "Europe/Berln"}, "time zone"),
        ({"time_zone": "../etc/passwd"}, "time zone"),
        ({"from_": "8:00"}, "local time"),
        ({"to": "24:01"}, "local time"),
        ({"dates": ["24.12.2026"]}, "write a date"),
        ({"dates": ["2027-01-01/2026-12-24"]}, "before the first"),
        ({"days": ["monday"]}, "mon"),
        ({"day": ["mon"]}, "Extra"),
    ],
)
def test_a_window_that_cannot_be_read_is_refused(window: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        until("2026-11-23 12:00", **window)
