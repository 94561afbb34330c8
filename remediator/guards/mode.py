"""The mode: the most cautious of settings, rule, namespace and workload. A value we cannot read means silent."""

from __future__ import annotations

from pydantic import BaseModel

from remediator.guards.base import NoParameters, View
from remediator.model import Decision, Mode, Reason, Verdict


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
                return Verdict(self.name, Decision.ASK, Reason.NEEDS_APPROVAL, detail)
            case Mode.ACTIVE:
                return Verdict(self.name, Decision.ALLOW, Reason.NONE, detail)
