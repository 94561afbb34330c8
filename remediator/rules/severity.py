"""The severity policy: how long a rule of each severity watches before it acts. Part of the rule table; read in step 6.

1 and 2 act at once; 3 and 4 wait and watch first, since much of what is small heals by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from remediator.units import Duration, between

SEVERITIES = (1, 2, 3, 4)
DEFAULT_WAITS: Mapping[int, timedelta] = {
    1: timedelta(0),
    2: timedelta(0),
    3: timedelta(minutes=5),
    4: timedelta(minutes=15),
}


class SeverityRow(BaseModel):
    """What holds for all rules of one severity."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    wait: Annotated[Duration, between(timedelta(0), timedelta(days=1))] = Field(
        description="How long the alert must have fired before a rule of this severity acts: 0 to 1d. "
        "Default: 0 for 1 and 2, 5m for 3, 15m for 4 (the runbooks' severity policy)."
    )


@dataclass(frozen=True, slots=True)
class SeverityPolicy:
    """Severity -> how long to watch before acting; complete for 1 to 4."""

    waits: Mapping[int, timedelta]

    def wait(self, severity: int) -> timedelta:
        return self.waits[severity]


def severity_policy(rows: Mapping[int, SeverityRow]) -> SeverityPolicy:
    """The rows given, and the defaults for the others."""
    return SeverityPolicy({level: rows[level].wait if level in rows else DEFAULT_WAITS[level] for level in SEVERITIES})
