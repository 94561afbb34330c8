"""The severity policy: how long a rule of each severity watches before it acts, and what it may do then.

Part of the rule table; read when the target is known and in step 6. 1 and 2 act at once; 3 and 4 wait and watch first,
since much of what is small heals by itself, and 4 never acts. Source: the runbooks' severity policy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from remediator.actions import ACTIONS
from remediator.rules.names import known
from remediator.units import Duration, between

SEVERITIES = (1, 2, 3, 4)
LEAST = 4
ALL_ACTIONS = frozenset(name for name, action in ACTIONS.items() if action.permissions)
DEFAULT_WAITS: Mapping[int, timedelta] = {
    1: timedelta(0),
    2: timedelta(0),
    3: timedelta(minutes=5),
    4: timedelta(minutes=15),
}
DEFAULT_ALLOWS: Mapping[int, frozenset[str]] = {
    1: ALL_ACTIONS,
    2: ALL_ACTIONS,
    3: ALL_ACTIONS - {"scale", "shed", "resize"},
    4: frozenset(),
}
"""3 may undo a release and replace or restart pods, but not take resources from others; 4 only recommends."""

DEFAULT_LABELS: Mapping[str, int] = {"critical": 1, "error": 2, "warning": 3, "info": 4, "none": 4}
"""The values that kubernetes-mixin and the Prometheus community give the label `severity`."""


class SeverityRow(BaseModel):
    """What holds for all rules of one severity."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    wait: Annotated[Duration, between(timedelta(0), timedelta(days=1))] | None = Field(
        None,
        description="How long the alert must have fired before a rule of this severity acts: 0 to 1d. "
        "Default: 0 for 1 and 2, 5m for 3, 15m for 4 (the runbooks' severity policy).",
    )
    allows: tuple[Annotated[str, known("action", sorted(ALL_ACTIONS))], ...] | None = Field(
        None, description="Actions that may be done at this severity. Default: all for 1 and 2, few for 3, none for 4."
    )


@dataclass(frozen=True, slots=True)
class SeverityPolicy:
    """Severity -> how long to watch before acting, and what may be done; both complete for 1 to 4. `labels` maps the
    alert's own label `severity` for rules that say `from_label`."""

    waits: Mapping[int, timedelta]
    allowed: Mapping[int, frozenset[str]] = field(default_factory=lambda: DEFAULT_ALLOWS)
    labels: Mapping[str, int] = field(default_factory=lambda: DEFAULT_LABELS)

    def wait(self, severity: int) -> timedelta:
        return self.waits[severity]

    def allows(self, severity: int) -> frozenset[str]:
        return self.allowed[severity]

    def from_label(self, label: str | None) -> int:
        """The severity of an alert with this label; one that nobody mapped is the least severe."""
        return self.labels.get((label or "").lower(), LEAST)

    def as_json(self) -> Mapping[str, object]:
        """For the table's digest."""
        return {
            str(level): {"wait_seconds": self.wait(level).total_seconds(), "allows": sorted(self.allows(level))}
            for level in SEVERITIES
        } | {"labels": dict(self.labels)}


def severity_policy(
    rows: Mapping[int, SeverityRow], labels: Mapping[str, int] | None = None
) -> SeverityPolicy:
    """The rows given, and the defaults for what they leave open."""
    waits, allowed = dict(DEFAULT_WAITS), dict(DEFAULT_ALLOWS)
    for level, row in rows.items():
        if row.wait is not None:
            waits[level] = row.wait
        if row.allows is not None:
            allowed[level] = frozenset(row.allows)
    return SeverityPolicy(waits, allowed, dict(labels) if labels else DEFAULT_LABELS)
