"""The mode: the most cautious of settings, rule, namespace and workload. A value we cannot read means silent."""

from __future__ import annotations

from datetime import timedelta

from pydantic import BaseModel

from remediator.clock import rfc3339
from remediator.guards.base import NoParameters, View
from remediator.model import Mode
from remediator.reasons import Reason
from remediator.store.approvals_base import plan_hash
from remediator.verdicts import Decision, Verdict

APPROVED_FOR = timedelta(minutes=15)


class ModeGuard:
    name = "mode"
    parameters = NoParameters

    async def check(self, view: View, parameters: BaseModel) -> Verdict:
        mode = view.mode
        asked = [wish.mode for wish in view.wishes if wish.mode is not None]
        problems = [problem for wish in view.wishes for problem in wish.problems]
        if problems and mode is not Mode.OFF:
            return Verdict(self.name, Decision.RECOMMEND, Reason.MODE_INVALID, f"{problems[0]}: silent")
        detail = f"{mode} (settings {view.modes[0]}, rule {view.modes[1]}"
        detail += f", annotations {', '.join(asked)})" if asked else ")"
        match mode:
            case Mode.OFF:
                return Verdict(self.name, Decision.REFUSE, Reason.MODE_OFF, detail)
            case Mode.SILENT:
                return Verdict(self.name, Decision.RECOMMEND, Reason.MODE_SILENT, detail)
            case Mode.APPROVE:
                return self._approved(view, detail)
            case Mode.ACTIVE:
                return Verdict(self.name, Decision.ALLOW, Reason.NONE, detail)

    def _approved(self, view: View, detail: str) -> Verdict:
        """An approval is of one plan, on the object as it was then, and for a quarter of an hour."""
        given = view.approval
        if given is None or not given.is_granted:
            return Verdict(self.name, Decision.ASK, Reason.NEEDS_APPROVAL, detail)
        if given.plan_hash != plan_hash(view.plan):
            void = f"{given.by} approved another plan at {rfc3339(given.at)}, which is void now"
            return Verdict(self.name, Decision.ASK, Reason.NEEDS_APPROVAL, void)
        if view.now > given.at + APPROVED_FOR:
            late = f"the approval of {given.by} at {rfc3339(given.at)} is too old"
            return Verdict(self.name, Decision.ASK, Reason.NEEDS_APPROVAL, late)
        return Verdict(self.name, Decision.ALLOW, Reason.NONE, f"approved by {given.by}: {given.comment}")
