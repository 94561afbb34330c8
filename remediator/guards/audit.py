"""The audit log: nothing is done that it could not prove later. Asked here, and again right before the write."""

from __future__ import annotations

from pydantic import BaseModel

from remediator.guards.base import NoParameters, View
from remediator.guards.stop import stopped_by_log
from remediator.model import Mode
from remediator.reasons import Reason
from remediator.verdicts import Decision, Verdict


class AuditGuard:
    name = "audit"
    parameters = NoParameters

    async def check(self, view: View, parameters: BaseModel) -> Verdict:
        stop = await stopped_by_log(view.log)
        if stop is None:
            return Verdict(self.name, Decision.ALLOW, Reason.NONE, "signed, and known outside")
        if view.mode is Mode.SILENT:  # nothing is written anyway: what is missing for active mode is said
            return Verdict(self.name, Decision.RECOMMEND, stop.reason, stop.detail)
        until = stop.ask_again_at(view.now)
        return Verdict(self.name, Decision.HOLD, stop.reason, stop.detail, until=until)
