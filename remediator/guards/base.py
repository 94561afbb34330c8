"""What a guard is: a question about a plan, answered by a frozen verdict with its number. Everything fails closed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pydantic import BaseModel, ConfigDict

from remediator.kube.base import Cluster
from remediator.kube.workload import Workload
from remediator.model import Alert, Mode, Plan, Verdict
from remediator.store.base import Store
from remediator.units import Limit


class NoParameters(BaseModel):
    """The guard has no number to set."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class View:
    """What a guard may read. `modes` are the modes asked for by settings and rule; annotations are in `workload`.

    `rule` and `limits` are the rule's name and its own bounds on how often it may act; `severity` is the one that
    holds, `severity_allows` the actions that may be done at it.
    """

    plan: Plan
    alert: Alert
    workload: Workload
    modes: tuple[Mode, ...]
    rule: str
    limits: Sequence[Limit]
    severity: int
    severity_allows: frozenset[str]
    severity_wait_until: datetime
    now: datetime
    cluster: Cluster
    store: Store


class Guard(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def parameters(self) -> type[BaseModel]: ...

    async def check(self, view: View, parameters: BaseModel) -> Verdict: ...
