"""The alert has not been resolved since it was accepted, and nothing of its group was hidden from us.

Asking Prometheus and Alertmanager again before the write belongs here too, once their clients serve it.
"""

from __future__ import annotations

from pydantic import BaseModel

from remediator.guards.base import NoParameters, View
from remediator.model import Decision, Reason, Verdict


class StillFiringGuard:
    name = "still-firing"
    parameters = NoParameters

    async def check(self, view: View, parameters: BaseModel) -> Verdict:
        alert = view.alert
        if await view.store.is_resolved(alert.fingerprint, alert.starts_at):
            return Verdict(self.name, Decision.REFUSE, Reason.ALERT_RESOLVED, "the alert has been resolved meanwhile")
        if alert.truncated:
            return Verdict(
                self.name,
                Decision.RECOMMEND,
                Reason.TRUNCATED,
                f"max_alerts hid {alert.truncated} alerts of the group: only part of the picture is known",
            )
        return Verdict(self.name, Decision.ALLOW, Reason.NONE, "not resolved")
