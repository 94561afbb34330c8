"""The owner's veto by annotation on workload or namespace; an unreadable namespace could hold one."""

from __future__ import annotations

from pydantic import BaseModel

from remediator.clock import rfc3339
from remediator.guards.base import NoParameters, View
from remediator.kube.ownership import ACTIONS, MODE, PAUSE_UNTIL, wishes_of
from remediator.model import Decision, Mode, Reason, Verdict


class OptOutGuard:
    name = "opt-out"
    parameters = NoParameters

    async def check(self, view: View, parameters: BaseModel) -> Verdict:
        if view.workload.namespace is None:
            return self._refuse(Reason.FACT_MISSING, "not permitted to read the namespace, which could opt out")
        for what, item in (("workload", view.workload.object), ("namespace", view.workload.namespace)):
            wishes = wishes_of(item)
            if wishes.mode is Mode.OFF:
                return self._refuse(Reason.OPTED_OUT, f"{MODE}: off on the {what}")
            if wishes.actions is not None and view.plan.action not in wishes.actions:
                allowed = ", ".join(sorted(wishes.actions)) or "nothing"
                return self._refuse(Reason.OPTED_OUT, f"{ACTIONS} on the {what} allows only {allowed}")
            if wishes.pause_until is not None and wishes.pause_until > view.now:
                detail = f"{PAUSE_UNTIL} on the {what}: {rfc3339(wishes.pause_until)}"
                return Verdict(self.name, Decision.HOLD, Reason.OPTED_OUT, detail, until=wishes.pause_until)
        return Verdict(self.name, Decision.ALLOW, Reason.NONE, "no annotation forbids it")

    def _refuse(self, reason: Reason, detail: str) -> Verdict:
        return Verdict(self.name, Decision.REFUSE, reason, detail)
