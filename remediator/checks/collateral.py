"""What is looked at after every action, whatever a rule expects: that nothing got worse that nobody asked about.

Both wait rather than fail at once: a rollout costs a few requests, and an alert that was on its way fires late. What is
still so when the time of the proof is over is a failure, also when the rule's own alert cleared.
"""

from __future__ import annotations

from datetime import timedelta

from remediator.checks.base import Look, Result, Scene
from remediator.kube.permissions import Permission
from remediator.prometheus.measures import measure

WINDOW = timedelta(minutes=5)
SOON = timedelta(minutes=1)
"""Before there are a few scrapes of what came after, there is nothing to compare."""

MORE_ERRORS, TIMES_ERRORS = 0.05, 1.5
"""Of all requests, and of the ratio before: both, since a ratio of nearly nothing doubles by one request."""

MORE_SECONDS, TIMES_SECONDS = 0.1, 2.0
"""Of the 99th percentile: both, for the same reason. Twice is what the table calls slow."""


class Collateral:
    """Error ratio and latency of the workload against the five minutes before. What is not measured is no objection."""

    name = "collateral"
    permissions: tuple[Permission, ...] = ()

    async def look(self, scene: Scene) -> Result:
        since = scene.now - scene.acted_at
        if scene.metrics is None or scene.gives_back or since < SOON:
            return Result(Look.PASSED, "nothing to compare yet" if since < SOON else "not compared")
        target = scene.plan.target
        before = await measure(target, scene.metrics, at=scene.acted_at, window=WINDOW, names=WORSE)
        after = await measure(target, scene.metrics, window=min(since, WINDOW), names=WORSE)
        said = []
        for name, (more, times, unit) in WORSE.items():
            old, new = before[name], after[name]
            if old is None or new is None:
                continue
            detail = f"{name} {old:.3g}{unit} before, {new:.3g}{unit} since"
            if new > old + more and new > old * times:
                return Result(Look.WAITING, f"worse than before: {detail}")
            said.append(detail)
        return Result(Look.PASSED, "; ".join(said) or "errors and latency are not measured")


WORSE = {
    "error_ratio": (MORE_ERRORS, TIMES_ERRORS, ""),
    "latency_p99_seconds": (MORE_SECONDS, TIMES_SECONDS, " s"),
}


class NewAlerts:
    """No other alert began on the same workload, or on those that say that they depend on it, and still fires."""

    name = "no-new-alert"
    permissions: tuple[Permission, ...] = ()

    async def look(self, scene: Scene) -> Result:
        if scene.new_alerts:
            names = ", ".join(sorted(set(scene.new_alerts))[:5])
            return Result(Look.WAITING, f"fires since the action: {names}")
        return Result(Look.PASSED, "none on it or on what depends on it")
