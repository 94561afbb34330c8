"""What a guard is: a question about a plan, answered by a frozen verdict with its number. Everything fails closed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from pydantic import BaseModel, ConfigDict

from remediator.alertmanager.base import Alertmanager
from remediator.authority import Authority
from remediator.guards.faults import Faults
from remediator.guards.stop import ProvableLog, SwitchInCluster
from remediator.kube.base import Cluster
from remediator.kube.ownership import Wishes, wishes_of
from remediator.kube.workload import Workload
from remediator.model import Alert, Mode, Plan, Target, most_cautious
from remediator.prometheus.base import Metrics
from remediator.store.approvals_base import Approval
from remediator.store.base import Store
from remediator.units import Limit
from remediator.verdicts import Verdict


class NoParameters(BaseModel):
    """The guard has no number to set."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Freezing(Protocol):
    """Freeze windows, as `freeze.py` has them or a calendar does. `until` may take a moment: call it in a thread."""

    @property
    def name(self) -> str: ...

    @property
    def namespaces(self) -> tuple[str, ...]: ...

    def until(self, now: datetime) -> datetime | None: ...


class Surroundings(Protocol):
    """What a gate may read: it asks what many have in common, whatever is planned for one of them."""

    @property
    def target(self) -> Target: ...

    @property
    def now(self) -> datetime: ...

    @property
    def cluster(self) -> Cluster: ...

    @property
    def store(self) -> Store: ...


class Confirming(Protocol):
    """Who knows whether a resolution can be believed."""

    async def unconfirmed(self, fingerprint: str, starts_at: datetime) -> str | None:
        """Why it is not known yet whether a resolved alert is over; None: it is over, or it was not resolved."""


@dataclass(frozen=True, slots=True)
class TargetView:
    """What a gate may read where nothing is planned for the target and people are to be called."""

    target: Target
    now: datetime
    cluster: Cluster
    store: Store


@dataclass(frozen=True, slots=True)
class View:
    """What a guard may read. `modes` are the modes asked for by settings and rule; annotations are in `workload`.

    `rule`, `rule_digest` and `limits` are the rule's name, its text's, and its own bounds on how often it may
    act; `authority` is what the alert's credential may speak of now, None: it is not known; `faults` count our failed
    calls; `severity` is the one that holds, `severity_allows` what may be done at it.
    `approval` is what a person said to a plan of it;
    `switch` is the kill switch in the cluster, `log` the audit log that must be sound; None: there is none.
    """

    plan: Plan
    alert: Alert
    workload: Workload
    modes: tuple[Mode, ...]
    rule: str
    rule_digest: str
    limits: Sequence[Limit]
    severity: int
    severity_allows: frozenset[str]
    severity_wait_until: datetime
    now: datetime
    cluster: Cluster
    store: Store
    authority: Authority | None
    faults: Sequence[Faults] = ()
    approval: Approval | None = None
    freezes: Sequence[Freezing] = ()
    switch: SwitchInCluster | None = None
    log: ProvableLog | None = None
    metrics: Metrics | None = None
    alertmanager: Alertmanager | None = None
    watchdog: Confirming | None = None

    @property
    def target(self) -> Target:
        return self.plan.target

    @property
    def wishes(self) -> Sequence[Wishes]:
        """What the owners of workload and namespace ask for, as far as it can be read."""
        objects = (self.workload.object, self.workload.namespace)
        return [wishes_of(item) for item in objects if item is not None]

    @property
    def mode(self) -> Mode:
        """The one that holds: the most cautious of settings, rule and annotations; one we cannot read means silent."""
        mode = most_cautious(*self.modes, *(wish.mode for wish in self.wishes if wish.mode is not None))
        is_unclear = any(wish.problems for wish in self.wishes)
        return most_cautious(mode, Mode.SILENT) if is_unclear else mode


V = TypeVar("V", contravariant=True)


class Question(Protocol[V]):
    @property
    def name(self) -> str: ...

    @property
    def parameters(self) -> type[BaseModel]: ...

    async def check(self, view: V, parameters: BaseModel) -> Verdict: ...


Guard = Question[View]
GateGuard = Question[Surroundings]
"""A guard that speaks of many at once."""
