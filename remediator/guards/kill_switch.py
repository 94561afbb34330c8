"""The kill switch: stops every write. Read here and again right before the write; unreadable means engaged."""

from __future__ import annotations

from datetime import timedelta

from pydantic import BaseModel

from remediator.clock import rfc3339
from remediator.guards.base import NoParameters, View
from remediator.model import Decision, Reason, Verdict

LOOK_AGAIN = timedelta(minutes=1)


class KillSwitchGuard:
    name = "kill-switch"
    parameters = NoParameters

    async def check(self, view: View, parameters: BaseModel) -> Verdict:
        switch = await view.store.kill_switch()
        if not switch.engaged or (switch.until is not None and switch.until <= view.now):
            return Verdict(self.name, Decision.ALLOW, Reason.NONE, "released")
        until = f" until {rfc3339(switch.until)}" if switch.until else ""
        return Verdict(
            self.name,
            Decision.HOLD,
            Reason.KILL_SWITCH,
            f"engaged by {switch.by} at {rfc3339(switch.at)}{until}: {switch.comment}",
            until=switch.until or view.now + LOOK_AGAIN,
        )
