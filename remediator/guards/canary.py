"""A rule that was changed acts on one target first, and not on a second before it is known what became of that."""

from __future__ import annotations

from datetime import timedelta

from pydantic import BaseModel

from remediator.guards.base import NoParameters, View
from remediator.guards.breaker import EVER
from remediator.model import Decision, Outcome, Reason, Verdict

LOOK_AGAIN = timedelta(seconds=30)


class CanaryGuard:
    name = "canary"
    parameters = NoParameters

    async def check(self, view: View, parameters: BaseModel) -> Verdict:
        cluster = view.plan.target.cluster
        done = await view.store.past_actions(cluster=cluster, since=EVER, rule=view.rule, limit=50)
        same = [one for one in done if one.rule_digest == view.rule_digest]
        if any(one.outcome is Outcome.VERIFIED for one in same):
            return Verdict(self.name, Decision.ALLOW, Reason.NONE, "the rule as it is has helped before")
        if under_way := [one for one in same if one.is_under_way]:
            first = under_way[-1]
            detail = f"the rule as it is was never verified, and R-{first.remediation} on {first.target} is under way"
            return Verdict(
                self.name, Decision.HOLD, Reason.RULE_CHANGED, detail, until=view.now + LOOK_AGAIN
            )
        return Verdict(self.name, Decision.ALLOW, Reason.NONE, "the first target of the rule as it is")
