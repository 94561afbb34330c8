"""`do: escalate`: hand the incident to people with its diagnosis, and do nothing."""

from __future__ import annotations

from collections.abc import Collection

from pydantic import BaseModel, ConfigDict

from remediator.actions.base import Case, NoPlan, Permission
from remediator.reasons import Reason


class Parameters(BaseModel):
    """None: the contact is the rule's `contact`."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Escalate:
    name = "escalate"
    parameters = Parameters
    permissions: tuple[Permission, ...] = ()

    def needs(self, parameters: BaseModel, kinds: Collection[str]) -> tuple[Permission, ...]:
        return ()

    def plan(self, case: Case, parameters: BaseModel) -> NoPlan:
        return NoPlan(Reason.ROW_ESCALATES, f"the rule escalates for cause {case.cause}", is_escalation=True)
