"""The severity policy: 1 and 2 act at once, 3 and 4 wait and watch first, and the less severe may do less."""

from __future__ import annotations

from pydantic import BaseModel

from remediator.clock import rfc3339
from remediator.guards.base import NoParameters, View
from remediator.reasons import Reason
from remediator.verdicts import Decision, Verdict


class SeverityGuard:
    name = "severity"
    parameters = NoParameters

    async def check(self, view: View, parameters: BaseModel) -> Verdict:
        if view.plan.action not in view.severity_allows:
            allowed = ", ".join(sorted(view.severity_allows)) or "nothing"
            detail = f"severity {view.severity} allows {allowed}, not {view.plan.action}"
            return Verdict(self.name, Decision.REFUSE, Reason.SEVERITY_FORBIDS, detail)
        until = view.severity_wait_until
        if view.now >= until:
            return Verdict(self.name, Decision.ALLOW, Reason.NONE, "no wait left")
        return Verdict(self.name, Decision.HOLD, Reason.SEVERITY_WAITS, f"watching until {rfc3339(until)}", until=until)
