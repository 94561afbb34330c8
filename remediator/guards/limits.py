"""The rule's own limits: at most so many writes in each of several windows at once, counted from the database.

What was sent counts, whatever became of it; a decision that never reached the API server does not.
"""

from __future__ import annotations

from pydantic import BaseModel

from remediator.clock import rfc3339
from remediator.guards.base import NoParameters, View
from remediator.model import Decision, Reason, Verdict


class LimitsGuard:
    name = "limits"
    parameters = NoParameters

    async def check(self, view: View, parameters: BaseModel) -> Verdict:
        if not view.limits:
            return Verdict(self.name, Decision.ALLOW, Reason.NONE, f"rule {view.rule} has no limits")
        longest = max(limit.per for limit in view.limits)
        taken = await view.store.action_times(view.rule, since=view.now - longest)
        for limit in sorted(view.limits, key=lambda limit: limit.per):
            used = [at for at in taken if at > view.now - limit.per]
            if len(used) >= limit.count:
                slot = sorted(used)[-limit.count] + limit.per
                detail = f"{len(used)} of {limit} used, next slot {rfc3339(slot)}"
                return Verdict(self.name, Decision.HOLD, Reason.LIMIT_USED, detail, until=slot)
        detail = ", ".join(f"{sum(at > view.now - each.per for at in taken)} of {each}" for each in view.limits)
        return Verdict(self.name, Decision.ALLOW, Reason.NONE, f"{detail} used")
