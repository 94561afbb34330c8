"""What a collector is: it reads one kind of evidence, within its own bounds, and returns findings.

A collector that fails or is not permitted yields a finding that says so; it never ends the diagnosis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from remediator.kube.base import Cluster
from remediator.kube.workload import Workload
from remediator.model import Alert, Finding, Target
from remediator.prometheus.base import Metrics


@dataclass(frozen=True, slots=True)
class Scene:
    """What a collector may read. `metrics` is None where no Prometheus is configured."""

    target: Target
    alert: Alert
    workload: Workload
    cluster: Cluster
    metrics: Metrics | None
    now: datetime


class Collector(Protocol):
    @property
    def name(self) -> str: ...

    async def collect(self, scene: Scene) -> Sequence[Finding]: ...
