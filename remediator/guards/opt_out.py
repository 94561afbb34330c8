"""The owner's veto by annotation on workload or namespace; an unreadable namespace could hold one."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel

from remediator.clock import rfc3339
from remediator.guards.base import NoParameters, View
from remediator.kube.ownership import ACTIONS, MODE, PAUSE_UNTIL, wishes_of
from remediator.model import Json, Mode
from remediator.reasons import Reason
from remediator.verdicts import Decision, Verdict

NAME = "opt-out"


class OptOutGuard:
    name = NAME
    parameters = NoParameters

    async def check(self, view: View, parameters: BaseModel) -> Verdict:
        if view.workload.namespace is None:
            return _refuse(Reason.FACT_MISSING, "not permitted to read the namespace, which could opt out")
        found = veto_of(view.plan.action, view.workload.object, view.workload.namespace, view.now)
        return found or Verdict(NAME, Decision.ALLOW, Reason.NONE, "no annotation forbids it")


def veto_of(action: str, workload: Json, namespace: Json, now: datetime) -> Verdict | None:
    """What an annotation of one of the two says against that action now. Pure."""
    for what, item in (("workload", workload), ("namespace", namespace)):
        wishes = wishes_of(item)
        if wishes.mode is Mode.OFF:
            return _refuse(Reason.OPTED_OUT, f"{MODE}: off on the {what}")
        if wishes.actions is not None and action not in wishes.actions:
            allowed = ", ".join(sorted(wishes.actions)) or "nothing"
            return _refuse(Reason.OPTED_OUT, f"{ACTIONS} on the {what} allows only {allowed}")
        if wishes.pause_until is not None and wishes.pause_until > now:
            detail = f"{PAUSE_UNTIL} on the {what}: {rfc3339(wishes.pause_until)}"
            return Verdict(NAME, Decision.HOLD, Reason.OPTED_OUT, detail, until=wishes.pause_until)
    return None


def _refuse(reason: Reason, detail: str) -> Verdict:
    return Verdict(NAME, Decision.REFUSE, reason, detail)
