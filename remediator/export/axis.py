"""Time as a length: where an instant stands between two ends, and which instants are named beside it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

_STEPS = tuple(
    timedelta(seconds=seconds)
    for seconds in (1, 5, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
)
_MINUTE, _DAY = timedelta(minutes=1), timedelta(days=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MARGIN = 0.03
"""Share of the length that is left free at both ends."""

FAR = 6
"""What began so many times the length of the rest before it stands at the edge; else all else would be one point."""


@dataclass(frozen=True, slots=True)
class Tick:
    """`place` from 0 to 1; `day` is given at the first tick and where a new day begins (UTC)."""

    place: float
    label: str
    day: str


@dataclass(frozen=True, slots=True)
class Axis:
    """From `start` to `end`. What is before it stands at its edge."""

    start: datetime
    end: datetime

    def place(self, at: datetime) -> float:
        """From 0 to 1."""
        return min(1.0, max(0.0, (at - self.start) / (self.end - self.start)))

    def is_before(self, at: datetime) -> bool:
        return at < self.start

    def ticks(self, *, most: int) -> Sequence[Tick]:
        """Round instants inside, at most so many."""
        length = self.end - self.start
        step = next((one for one in _STEPS if length / one < most), None) or _DAY * -(-length // (_DAY * most))
        first = _EPOCH + step * -(-(self.start - _EPOCH) // step)
        found: list[Tick] = []
        day = ""
        for number in range(most + 1):
            at = first + step * number
            if at > self.end:
                break
            label = f"{at:%H:%M:%S}" if step < _MINUTE else f"{at:%H:%M}"
            shown = f"{at.day} {at:%b}"
            found.append(Tick(self.place(at), label, "" if shown == day else shown))
            day = shown
        return found


def axis_over(instants: Sequence[datetime]) -> Axis:
    """The axis on which all of these stand, but for what began long before the rest."""
    ordered = sorted(instants)
    start, end = ordered[0], max(ordered[-1], ordered[0] + _MINUTE)
    for one, following in pairwise(ordered[:4]):
        rest = ordered[-1] - following
        if rest and following - one > max(FAR * rest, timedelta(minutes=30)):
            start = following
            end = max(end, start + _MINUTE)
    return Axis(start - (end - start) * MARGIN, end + (end - start) * MARGIN)
