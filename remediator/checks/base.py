"""What a check is: one look at the world after an action, with an answer that is never better than its evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from remediator.kube.base import Cluster
from remediator.kube.permissions import Permission
from remediator.model import Alert, Json, Plan
from remediator.prometheus.base import Metrics


class Look(StrEnum):
    """`settling` holds, but not yet for the time asked; `waiting` does not hold yet; `unknown` is no answer."""

    PASSED = "passed"
    SETTLING = "settling"
    WAITING = "waiting"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Result:
    """One check's answer with its evidence. `memory` comes back to the same check at its next look."""

    look: Look
    detail: str
    memory: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scene:
    """What a check may read. `metrics` is None where no Prometheus is configured.

    `gives_back`: it helped long ago, and the question is whether what was changed for a time can be given back.
    `new_alerts` are the names of others that began since the action on the target, or on what depends on it, and fire.
    """

    plan: Plan
    alert: Alert
    acted_at: datetime
    now: datetime
    cluster: Cluster
    metrics: Metrics | None
    memory: Mapping[str, Json]
    gives_back: bool = False
    new_alerts: Sequence[str] = ()


class Check(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def permissions(self) -> tuple[Permission, ...]:
        """All that it may read beyond what the picture of the workload is made of (`kube/workload.py`)."""

    async def look(self, scene: Scene) -> Result:
        """Raises TransientError when the API server or Prometheus cannot be read; the caller calls that unknown."""
