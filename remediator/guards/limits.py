"""The rule's own limits: at most so many of its actions in each of several windows at once, whatever they act on."""

from __future__ import annotations

from pydantic import BaseModel

from remediator.guards.base import NoParameters, View
from remediator.guards.spending import spend
from remediator.reasons import Reason
from remediator.verdicts import Budget, Decision, Scope, Verdict


class LimitsGuard:
    name = "limits"
    parameters = NoParameters

    async def check(self, view: View, parameters: BaseModel) -> Verdict:
        if not view.limits:
            return Verdict(self.name, Decision.ALLOW, Reason.NONE, f"rule {view.rule} has no limits")
        return await spend(self.name, view, [Budget(Scope.RULE, limit) for limit in view.limits])
