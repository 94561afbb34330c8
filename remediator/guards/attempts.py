"""Attempts on one target: after two that did not help, the cause is not what we think, and people take over.

An attempt counts until it is verified, and for a day; `remediator reset --target` lets the counting begin anew.
"""

from __future__ import annotations

from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field

from remediator.clock import rfc3339
from remediator.guards.base import View
from remediator.model import Outcome
from remediator.reasons import Reason
from remediator.store.budgets_base import Forgiven
from remediator.verdicts import Decision, Verdict

HELD_FOR = timedelta(hours=24)


class Parameters(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    most: int = Field(
        2, ge=1, le=5, description="Most attempts on one target within 24 h that were not verified; then people."
    )


class AttemptsGuard:
    name = "attempts"
    parameters = Parameters

    async def check(self, view: View, parameters: BaseModel) -> Verdict:
        assert isinstance(parameters, Parameters)
        target = view.plan.target
        forgiven = await view.store.last_reset(Forgiven.TARGET, target.key)
        since = max(view.now - HELD_FOR, forgiven.at) if forgiven else view.now - HELD_FOR
        done = await view.store.past_actions(cluster=target.cluster, since=since, target=target)
        tried = [one for one in done if one.outcome is not Outcome.VERIFIED]
        detail = f"{len(tried)} of {parameters.most} attempts on it used"
        if len(tried) < parameters.most:
            return Verdict(self.name, Decision.ALLOW, Reason.NONE, detail)
        names = ", ".join(f"R-{one.remediation} {one.outcome or 'not known'}" for one in tried)
        until = tried[parameters.most - 1].at + HELD_FOR
        detail += f" ({names}); none before {rfc3339(until)}, or remediator reset --target {target.key}"
        return Verdict(self.name, Decision.ESCALATE, Reason.ATTEMPTS_USED, detail)
