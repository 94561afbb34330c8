"""Values over time in promtool's notation, for the metrics of a story. Pure.

`a+bxn` is a, a+b, ... a+n*b (n+1 values), `a-bxn` falls, `axn` repeats, `_` is no sample. Sizes may be written with
Kubernetes' suffixes: `100Mi+2Mix60`. Source: prometheus/docs `configuration/unit_testing_rules.md` (`series`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from remediator.kube.quantities import quantity

_NUMBER = r"[0-9.]+(?:[eE][0-9]+)?(?:m|[kMGT]i?|Ki)?"
_PART = re.compile(rf"(?P<start>_|-?{_NUMBER})(?:(?P<step>[+-]{_NUMBER}))?(?:x(?P<times>[0-9]{{1,5}}))?")
MAX_VALUES = 10_000


@dataclass(frozen=True, slots=True)
class Course:
    """Values from `begins` (against the story's zero) on, one each `every`; the last one stays. None: no sample."""

    values: Sequence[float | None]
    begins: timedelta
    every: timedelta

    def at(self, moment: timedelta) -> float | None:
        """The value then; None before it begins."""
        number = (moment - self.begins) // self.every
        return None if number < 0 else self.values[min(number, len(self.values) - 1)]

    def highest(self, first: timedelta, last: timedelta) -> float | None:
        """The highest value in that time."""
        steps = range(max(0, (first - self.begins) // self.every), max(0, (last - self.begins) // self.every + 1))
        found = [value for at in steps if (value := self.at(self.begins + at * self.every)) is not None]
        return max(found, default=None)


def parse_values(text: str) -> tuple[float | None, ...]:
    """The values that the text stands for. Raises ValueError."""
    values: list[float | None] = []
    for part in str(text).split():
        found = _PART.fullmatch(part)
        if found is None:
            raise ValueError(f"{part!r} is not a value; write 3, 3x10, 3+1x10, 100Mi+2Mix60 or _x5")
        if found["start"] == "_":
            values += [None] * (int(found["times"] or 0) or 1)
            continue
        start, step = float(quantity(found["start"])), float(quantity(found["step"] or "0"))
        values += [start + number * step for number in range(int(found["times"] or 0) + 1)]
    if not 0 < len(values) <= MAX_VALUES:
        raise ValueError(f"{len(values)} values; write 1 to {MAX_VALUES}")
    return tuple(values)
