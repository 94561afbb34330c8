"""Is it still true? The alert fires now by its own expression, nobody silenced it, and nothing of it was hidden.

Asked by the guard, and again after the intent, immediately before the write. What cannot be told is a refusal; a server
that does not answer is asked again later.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import BaseModel

from remediator.alertmanager.base import AlertmanagerUnavailable
from remediator.errors import cut
from remediator.guards.base import NoParameters, View
from remediator.kube.pods import name_of
from remediator.model import Mode
from remediator.prometheus.base import BadQuery, PrometheusUnavailable
from remediator.prometheus.firing import NotProvable, series_firing
from remediator.reasons import Reason
from remediator.verdicts import Decision, Verdict

LOOK_AGAIN = timedelta(seconds=15)


class StillFiringGuard:
    name = "still-firing"
    parameters = NoParameters

    async def check(self, view: View, parameters: BaseModel) -> Verdict:
        alert = view.alert
        if await view.store.is_resolved(alert.fingerprint, alert.starts_at):
            return await self._resolved(view)
        if (no := await self._muted(view)) is not None:
            return no
        firing = await self._firing(view)
        if isinstance(firing, Verdict):
            return firing
        if alert.truncated:
            hidden = f"max_alerts hid {alert.truncated} alerts of the group: only part of the picture is known"
            return self._no(Decision.RECOMMEND, Reason.TRUNCATED, hidden)
        return Verdict(self.name, Decision.ALLOW, Reason.NONE, f"not resolved, {firing} series fire")

    async def _resolved(self, view: View) -> Verdict:
        """Nothing is done for it in either case; it is over only if the watchdog says so too."""
        doubt = None
        if view.watchdog is not None:
            doubt = await view.watchdog.unconfirmed(view.alert.fingerprint, view.alert.starts_at)
        if doubt is not None:
            return self._no(Decision.HOLD, Reason.RESOLVED_UNCONFIRMED, doubt, view.now + LOOK_AGAIN)
        return self._no(Decision.REFUSE, Reason.ALERT_RESOLVED, "the alert has been resolved meanwhile")

    async def _muted(self, view: View) -> Verdict | None:
        """A silence that came after the delivery reaches nobody by webhook. Without an Alertmanager to ask there is
        only what it delivered."""
        if view.alertmanager is None:
            return None
        until = view.now + LOOK_AGAIN
        try:
            listed = await view.alertmanager.look_up(view.alert)
        except AlertmanagerUnavailable as error:
            return self._not_told(view, error)
        if listed is None:
            return self._no(Decision.HOLD, Reason.ALERT_NOT_FIRING, "Alertmanager does not list the alert", until)
        if listed.muted_by:
            return self._no(Decision.HOLD, Reason.ALERT_SILENCED, ", ".join(listed.muted_by), until)
        return None

    async def _firing(self, view: View) -> int | Verdict:
        if view.metrics is None:
            return self._no(Decision.REFUSE, Reason.FACT_MISSING, "no Prometheus to ask whether the alert still fires")
        pods = frozenset(name_of(pod) for pod in view.workload.pods)
        try:
            firing = await series_firing(view.metrics, view.alert, pods=pods, now=view.now)
        except PrometheusUnavailable as error:
            return self._not_told(view, error)
        except (NotProvable, BadQuery) as error:
            return self._no(Decision.REFUSE, Reason.FACT_MISSING, str(error))
        if not firing:
            detail = f"the expression of {view.alert.name} does not hold now"
            return self._no(Decision.HOLD, Reason.ALERT_NOT_FIRING, detail, view.now + LOOK_AGAIN)
        return firing

    def _not_told(self, view: View, error: Exception) -> Verdict:
        """Ask again; in silent mode the recommendation says that nobody could tell, and does not wait for it."""
        if view.mode is Mode.SILENT:
            return self._no(Decision.RECOMMEND, Reason.FACT_MISSING, cut(str(error)))
        return self._no(Decision.HOLD, Reason.FACT_MISSING, cut(str(error)), view.now + LOOK_AGAIN)

    def _no(self, decision: Decision, reason: Reason, detail: str, until: datetime | None = None) -> Verdict:
        return Verdict(self.name, decision, reason, detail, until=until)
