"""The flap gate: an alert that comes and goes says nothing that can be verified against; people look at it."""

from __future__ import annotations

from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field

from remediator.guards.base import View
from remediator.reasons import Reason
from remediator.verdicts import Decision, Gate, Verdict

WINDOW = timedelta(minutes=30)


class Parameters(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    changes: int = Field(
        3, ge=3, le=20, description="So many changes between firing and resolved within 30m are flapping."
    )


def key_of(fingerprint: str) -> str:
    return f"flap/{fingerprint}"


class FlapGuard:
    name = "flap"
    parameters = Parameters

    async def check(self, view: View, parameters: BaseModel) -> Verdict:
        assert isinstance(parameters, Parameters)
        fingerprint = view.alert.fingerprint
        changes = await view.store.alert_changes(fingerprint, since=view.now - WINDOW)
        detail = f"{len(changes)} changes between firing and resolved within 30m"
        if len(changes) < parameters.changes:
            return Verdict(self.name, Decision.ALLOW, Reason.NONE, detail)
        said = f"{view.alert.name} of {view.plan.target}: {detail}"
        gate = Gate(key_of(fingerprint), Reason.FLAPPING, said, WINDOW)
        until = changes[-parameters.changes] + WINDOW
        return Verdict(self.name, Decision.HOLD, Reason.FLAPPING, detail, until=until, gate=gate)
