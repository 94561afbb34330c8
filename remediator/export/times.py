"""Instants and lengths of time as documents write them: UTC always, and the local time of a zone beside it. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo


def zone(name: str) -> ZoneInfo:
    """The zone of that name, like `Europe/Berlin`. Raises ValueError."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError("not a time zone that this machine knows; write one like Europe/Berlin") from error


def utc(at: datetime) -> str:
    """To the second: `2026-11-23 12:00:07Z`."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"


def local(at: datetime, tz: ZoneInfo) -> str:
    """To the second, with the zone's own short name: `2026-11-23 13:00:07 CET`."""
    return f"{at.astimezone(tz):%Y-%m-%d %H:%M:%S %Z}"


def both(at: datetime | None, tz: ZoneInfo | None) -> str:
    """UTC, and where a zone is given the local time after it; a dash for what did not happen."""
    if at is None:
        return "-"
    return utc(at) if tz is None else f"{utc(at)} ({local(at, tz)})"


def length(value: timedelta | None) -> str:
    """Two units, the larger one first: `45s`, `7m 05s`, `2h 00m`, `3d 04h`; a dash for None."""
    if value is None:
        return "-"
    seconds = round(value.total_seconds())
    sign, seconds = ("-" if seconds < 0 else ""), abs(seconds)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{sign}{days}d {hours:02}h"
    if hours:
        return f"{sign}{hours}h {minutes:02}m"
    return f"{sign}{minutes}m {seconds:02}s" if minutes else f"{sign}{seconds}s"
