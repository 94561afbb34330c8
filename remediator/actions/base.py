"""What an action is: a name, its parameters, and a pure function from a case to a plan.

The requests of a plan are sent by `actions/write.py`, the only code that writes to a workload.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Protocol

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from remediator.kube.permissions import Permission as Permission
from remediator.kube.workload import Workload
from remediator.model import ActionId, Alert, Cause, Finding, Plan, Proof, Target
from remediator.reasons import Reason
from remediator.store.base import TemplateEvent


@dataclass(frozen=True, slots=True)
class Case:
    """All that an action may decide on. `proof` says how success will be judged; `ledger` is oldest first."""

    target: Target
    alert: Alert
    workload: Workload
    cause: Cause
    findings: Sequence[Finding]
    ledger: Sequence[TemplateEvent]
    action_id: ActionId
    rule: str
    proof: Proof
    now: datetime


@dataclass(frozen=True, slots=True)
class NoPlan:
    """The action will not be done, and why. `advice`: what a person could do instead; `is_escalation`: ask for one."""

    reason: Reason
    detail: str
    advice: str = ""
    is_escalation: bool = False


SCALABLE_KINDS: Mapping[str, str] = {"deployment": "Deployment", "statefulset": "StatefulSet"}
"""Word -> kind of the workloads whose replicas can be set from outside."""


def _named(text: str) -> str:
    parts = text.split("/")
    if len(parts) != 3 or not all(parts) or parts[1] not in SCALABLE_KINDS:
        raise ValueError(f"{text!r}: write namespace/kind/name with kind {' or '.join(SCALABLE_KINDS)}")
    return text


class NamesWorkloads(BaseModel):
    """Parameters of an action that changes other workloads than the target; the collector `named` reads them first."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    workloads: tuple[Annotated[str, AfterValidator(_named)], ...] = Field(
        min_length=1,
        max_length=10,
        description="Workloads that may be scaled down, least important first: `namespace/deployment/name`.",
    )


class Action(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def parameters(self) -> type[BaseModel]: ...

    @property
    def permissions(self) -> tuple[Permission, ...]:
        """The writes that active mode may need, whatever the rule; empty for an action that only speaks."""

    def needs(self, parameters: BaseModel, kinds: Collection[str]) -> tuple[Permission, ...]:
        """The writes with these parameters on targets of these kinds, and the reads that tell whether they are done."""

    def plan(self, case: Case, parameters: BaseModel) -> Plan | NoPlan: ...
