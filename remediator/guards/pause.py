"""A person's pause of this rule, namespace or target. Read here and again right before the write."""

from __future__ import annotations

from pydantic import BaseModel

from remediator.guards.base import NoParameters, View
from remediator.guards.stop import stopped_by_pause
from remediator.reasons import Reason
from remediator.verdicts import Decision, Verdict


class PauseGuard:
    name = "pause"
    parameters = NoParameters

    async def check(self, view: View, parameters: BaseModel) -> Verdict:
        stop = await stopped_by_pause(view.store, rule=view.rule, target=view.plan.target, now=view.now)
        if stop is None:
            return Verdict(self.name, Decision.ALLOW, Reason.NONE, "not paused")
        until = stop.ask_again_at(view.now)
        return Verdict(self.name, Decision.HOLD, stop.reason, stop.detail, until=until)
