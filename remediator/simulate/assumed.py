"""A Prometheus that knows one thing: what the alerts say, holds. For simulations that are asked to take it so.

All else that is asked of it is unknown, as of a Prometheus that does not answer. Called by `simulation.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from remediator.model import Alert, AlertStatus
from remediator.prometheus.base import AlertingRule, PrometheusUnavailable, Sample

INTERVAL_SECONDS = 30.0


class AssumedFiring:
    """Each of these alerts that fires has an alerting rule that was just evaluated, with a series of its labels."""

    def __init__(self, alerts: Sequence[Alert], now: Callable[[], datetime]) -> None:
        self._firing = [alert for alert in alerts if alert.status is AlertStatus.FIRING]
        self._now = now

    async def query(self, expression: str, *, at: datetime | None = None) -> Sequence[Sample]:
        fires = [alert for alert in self._firing if expression == _expression(alert.name)]
        if not fires:
            raise PrometheusUnavailable("no Prometheus in this simulation; it is only assumed that the alerts fire")
        return [Sample({k: v for k, v in alert.labels.items() if k != "alertname"}, 1.0) for alert in fires]

    async def alerting_rules(self, alertname: str) -> Sequence[AlertingRule]:
        if not any(alert.name == alertname for alert in self._firing):
            return []
        return [AlertingRule(alertname, _expression(alertname), {}, "ok", INTERVAL_SECONDS, self._now())]

    async def is_ready(self) -> bool:
        return True

    async def close(self) -> None: ...


def _expression(alertname: str) -> str:
    return f'assumed_alert{{name="{alertname}"}} > 0'
