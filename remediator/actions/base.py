"""What an action is: a name, its parameters, and a pure function from a case to a plan.

The requests of a plan are sent by `actions/write.py`, the only code that writes to a workload.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pydantic import BaseModel

from remediator.kube.workload import Workload
from remediator.model import ActionId, Alert, Cause, Finding, Plan, Proof, Reason, Target
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


@dataclass(frozen=True, slots=True)
class Permission:
    """One permission the action needs, as RBAC names it (`resource` may hold a subresource)."""

    group: str
    resource: str
    verbs: tuple[str, ...]


class Action(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def parameters(self) -> type[BaseModel]: ...

    @property
    def permissions(self) -> tuple[Permission, ...]:
        """What active mode needs beyond the reads of diagnosis; empty for an action that only speaks."""

    def plan(self, case: Case, parameters: BaseModel) -> Plan | NoPlan: ...
