"""The kill switch: stops every write. Read here and again right before the write; unreadable means engaged."""

from __future__ import annotations

from pydantic import BaseModel

from remediator.guards.base import NoParameters, View
from remediator.guards.stop import stopped_by_switch
from remediator.reasons import Reason
from remediator.verdicts import Decision, Verdict


class KillSwitchGuard:
    name = "kill-switch"
    parameters = NoParameters

    async def check(self, view: View, parameters: BaseModel) -> Verdict:
        stop = await stopped_by_switch(view.store, view.switch, now=view.now)
        if stop is None:
            return Verdict(self.name, Decision.ALLOW, Reason.NONE, "released")
        until = stop.ask_again_at(view.now)
        return Verdict(self.name, Decision.HOLD, stop.reason, stop.detail, until=until)
