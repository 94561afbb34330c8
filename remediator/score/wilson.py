"""An honest interval for a share of few: Wilson's score interval. Pure.

Source: E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", Journal of the American
Statistical Association 22 (1927), pp. 209-212; without continuity correction, as NIST/SEMATECH e-Handbook of
Statistical Methods, 7.2.4.1, has it. It stays within 0 and 1, and is not empty for 0 of n or n of n, where the usual
one (p +- z * sqrt(p * (1 - p) / n)) claims certainty.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

Z = 1.959963984540054
"""The 97.5th percentile of the normal distribution: 95 % lie within it on both sides."""


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many. `low` and `high` are the 95 % interval of the share that lies behind them; None: of none."""

    count: int
    of: int
    ratio: float | None
    low: float | None
    high: float | None


def share(count: int, of: int) -> Share:
    """Raises ValueError for more than there are."""
    if not 0 <= count <= of:
        raise ValueError(f"{count} of {of}")
    if of == 0:
        return Share(0, 0, None, None, None)
    p, z2 = count / of, Z * Z
    middle = p + z2 / (2 * of)
    spread = Z * sqrt(p * (1 - p) / of + z2 / (4 * of * of))
    whole = 1 + z2 / of
    # Rounding must not put 0 of n above 0, nor n of n below 1.
    low = 0.0 if count == 0 else (middle - spread) / whole
    high = 1.0 if count == of else (middle + spread) / whole
    return Share(count, of, p, low, high)
