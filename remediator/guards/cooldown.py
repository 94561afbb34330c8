"""The per-target cooldown: after any write to a workload, none for a while. Keyed by the workload, not by a label."""

from __future__ import annotations

from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field

from remediator.clock import rfc3339
from remediator.guards.base import View
from remediator.model import Mode
from remediator.reasons import Reason
from remediator.units import Duration
from remediator.verdicts import Decision, Verdict


class Parameters(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    period: Duration = Field(
        default=timedelta(seconds=900),
        ge=timedelta(seconds=60),
        le=timedelta(days=1),
        description="Least time between two writes to one workload, whatever rules ask for them.",
    )


class CooldownGuard:
    name = "cooldown"
    parameters = Parameters

    async def check(self, view: View, parameters: BaseModel) -> Verdict:
        assert isinstance(parameters, Parameters)
        last = await view.store.last_action_at(view.plan.target, is_shadow=view.mode is Mode.SILENT)
        if last is None:
            return Verdict(self.name, Decision.ALLOW, Reason.NONE, "no earlier action on the target")
        until = last + parameters.period
        if view.now >= until:
            return Verdict(self.name, Decision.ALLOW, Reason.NONE, f"last action {rfc3339(last)}")
        detail = f"last action {rfc3339(last)}, next slot {rfc3339(until)}"
        return Verdict(self.name, Decision.HOLD, Reason.COOLDOWN, detail, until=until)
