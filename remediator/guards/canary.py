"""A rule that was changed acts on one target first, and not on a second before it is known what became of that.

Until the rule as it is written has helped once, it has one place among those under way, taken with the intent: two
targets that are decided on at the same moment cannot both be the first.
"""

from __future__ import annotations

from dataclasses import replace

from pydantic import BaseModel

from remediator.guards.base import NoParameters, View
from remediator.guards.breaker import EVER
from remediator.guards.spending import spend
from remediator.model import Outcome
from remediator.reasons import Reason
from remediator.verdicts import AtOnce, Decision, Scope, Verdict

FIRST = AtOnce(Scope.RULE, 1, of_same_text=True)


class CanaryGuard:
    name = "canary"
    parameters = NoParameters

    async def check(self, view: View, parameters: BaseModel) -> Verdict:
        cluster = view.plan.target.cluster
        done = await view.store.past_actions(cluster=cluster, since=EVER, rule=view.rule, limit=50)
        if any(one.rule_digest == view.rule_digest and one.outcome is Outcome.VERIFIED for one in done):
            return Verdict(self.name, Decision.ALLOW, Reason.NONE, "the rule as it is has helped before")
        first = await spend(self.name, view, [FIRST])
        if first.decision is Decision.ALLOW:
            return replace(first, detail="the first target of the rule as it is")
        return replace(
            first, reason=Reason.RULE_CHANGED, detail=f"the rule as it is was never verified: {first.detail}"
        )
