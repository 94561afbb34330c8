"""What a collector is: it reads one kind of evidence, within its own bounds, and returns findings.

A collector that fails or is not permitted yields a finding that says so; it never ends the diagnosis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from remediator.kube.base import Cluster
from remediator.kube.workload import Workload
from remediator.model import Alert, Finding, Target
from remediator.prometheus.base import Metrics


@dataclass(frozen=True, slots=True)
class Dependency:
    """Something that a rule says its targets need: a Service, Deployment or StatefulSet of this cluster.

    `namespace` None: the target's own. `contact` is the row of the escalation matrix that owns it, "" for none.
    """

    name: str
    kind: str
    namespace: str | None
    object_name: str
    contact: str = ""


@dataclass(frozen=True, slots=True)
class Scene:
    """What a collector may read. `metrics` is None where no Prometheus is configured.

    `queries` is the rule's name -> PromQL, with its placeholders not yet filled in.
    """

    target: Target
    alert: Alert
    workload: Workload
    cluster: Cluster
    metrics: Metrics | None
    now: datetime
    queries: Mapping[str, str] = field(default_factory=dict)
    dependencies: Sequence[Dependency] = ()


class Collector(Protocol):
    @property
    def name(self) -> str: ...

    async def collect(self, scene: Scene) -> Sequence[Finding]: ...
