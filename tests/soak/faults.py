"""What goes wrong, and when: drawn from the seed alone, in two lanes that run beside each other."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

PROCESS: Mapping[str, tuple[float, float]] = {
    "kill": (0, 0),
    "kill-switch": (3, 8),
    "stop": (2, 10),
    "disk-full": (2, 8),
    "restart": (0, 0),
    "silent": (4, 10),
    "clock-jump": (0, 0),
    "reload": (0, 0),
}
"""What happens to the process and its machine, with the seconds that it lasts."""

NETWORK: Mapping[str, tuple[float, float]] = {
    "api-lost": (2, 8),
    "api-500": (2, 8),
    "api-reset": (2, 8),
    "api-409": (4, 10),
    "api-slow": (3, 10),
    "api-429": (2, 8),
    "prometheus-down": (3, 10),
    "prometheus-slow": (3, 10),
    "prometheus-garbage": (3, 10),
}
"""What happens to what it speaks to."""

CALM_SHARE = 0.25
"""The end of a long run leaves the process alone: its memory is looked at then."""


@dataclass(frozen=True, slots=True)
class Fault:
    """`begins` and `lasts` in seconds; `draw` is a number of its own between 0 and 1."""

    name: str
    begins: float
    lasts: float
    draw: float


def schedule(seed: int, seconds: float) -> tuple[Sequence[Fault], Sequence[Fault]]:
    """The faults of both lanes, in order. Each kind comes as often as the others, in an order of the seed's; what is
    short gets them in quick succession."""
    until = seconds * (1 - CALM_SHARE) if seconds > 240 else seconds - 4
    return _lane(PROCESS, f"{seed} process", seconds, until), _lane(NETWORK, f"{seed} network", seconds, seconds - 4)


def _lane(kinds: Mapping[str, tuple[float, float]], seed: str, seconds: float, until: float) -> Sequence[Fault]:
    chance = random.Random(seed)
    is_short = seconds <= 60
    at, faults, order = 2.0 if is_short else 10.0, list[Fault](), list[str]()
    while True:
        if not order:
            order = list(kinds)
            chance.shuffle(order)
        name = order.pop()
        shortest, longest = kinds[name]
        lasts = min(shortest, 2.0) if is_short else chance.uniform(shortest, longest)
        if at + lasts > until:
            return faults
        faults.append(Fault(name, at, lasts, chance.random()))
        at += lasts + (chance.uniform(0.5, 1.5) if is_short else chance.uniform(5, 20))
