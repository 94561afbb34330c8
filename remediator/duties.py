"""What one replica does for all, besides telling each sink: the loops of the duties, and their names.

Beside the way of an alert. `replica.py` says which duties are ours; each loop runs in every replica and waits for its
own. `app.py` makes them of the parts that it has built, and runs them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import structlog

from remediator.errors import RemediatorError, cut
from remediator.guards.stop import Stop
from remediator.kube.base import Cluster
from remediator.lasting import Lasting
from remediator.parts import Parts
from remediator.prometheus.base import Metrics
from remediator.readiness import Readiness
from remediator.replica import Replica
from remediator.score import observer as score
from remediator.settings import Settings
from remediator.store.database import Database
from remediator.telemetry import Telemetry
from remediator.watch import watcher as watch
from remediator.worker import Escalator

PRUNE_EVERY_SECONDS = 24 * 3600.0
PRUNE_PAUSE_SECONDS = 0.5

ESCALATE, WATCH, SCORE, PRUNE, COUNT, RECONCILE = "escalate", "watch-rollouts", "score", "prune", "count", "reconcile"
"""What one replica does for all, besides telling each sink. `COUNT`: it shows the gauges of what all share."""


class DutyLoops:
    """All but that of `RECONCILE`, which brings alerts to the door. `stop` says whether writes are stopped."""

    def __init__(
        self,
        settings: Settings,
        *,
        parts: Parts,
        database: Database,
        cluster: Cluster,
        metrics: Metrics | None,
        telemetry: Telemetry,
        replica: Replica,
        lasting: Lasting,
        readiness: Readiness,
        stop: Callable[[], Awaitable[Stop | None]],
    ) -> None:
        self._settings = settings
        self._clock = parts.clock
        self._database = database
        self._telemetry = telemetry
        self._replica = replica
        self._lasting = lasting
        self._readiness = readiness
        self._stop = stop
        self._log = structlog.get_logger("remediator.duties")
        self._escalator = Escalator(
            parts, poll_seconds=settings.poll_seconds, is_ours=partial(replica.has, ESCALATE)
        )
        self._watcher = watch.Watcher(
            database.rollouts,
            cluster=cluster,
            metrics=metrics,
            clock=parts.clock,
            protected_namespaces=parts.protected_namespaces,
            pace=watch.Pace(settings.rollout_poll_seconds),
            count=telemetry.rollouts,
            is_ours=partial(replica.has, WATCH),
            went=partial(replica.went, WATCH),
        )
        self._observer = score.Observer(
            database.scores,
            cluster=cluster,
            clock=parts.clock,
            pace=score.Pace(settings.score_poll_seconds, timedelta(seconds=settings.score_window_seconds)),
            is_ours=partial(replica.has, SCORE),
            went=partial(replica.went, SCORE),
        )

    def loops(self) -> Sequence[Coroutine[Any, Any, None]]:
        """Each runs until it is cancelled, or ends at once where settings say never."""
        loops = {
            ESCALATE: self._escalator.run,
            WATCH: self._watch_rollouts,
            SCORE: self._observe_recommendations,
            PRUNE: self._prune,
            COUNT: self._observe,
        }
        return [self._lasting.run(duty, loop) for duty, loop in loops.items()]

    def rollouts_problem(self) -> str:
        """Why rollouts are not seen now; empty: they are."""
        return self._lasting.problem_of(WATCH) or self._watcher.problem

    async def _watch_rollouts(self) -> None:
        if self._settings.rollout_poll_seconds > 0:
            await self._watcher.run()

    async def _observe_recommendations(self) -> None:
        if self._settings.score_poll_seconds > 0:
            await self._observer.run()

    async def _prune(self) -> None:
        """Once a day give up what is too old, a little at a time."""
        days = self._settings.retention_days
        while days is not None:
            if not self._replica.has(PRUNE):
                await asyncio.sleep(self._settings.lease_seconds)
                continue
            try:
                before = self._clock.now() - timedelta(days=days)
                while count := await self._database.prune(before=before):
                    self._log.info("records given up", count=count, before=before.isoformat())
                    await asyncio.sleep(PRUNE_PAUSE_SECONDS)
            except RemediatorError as error:
                self._log.error("records not given up", error=cut(str(error)))
            await asyncio.sleep(PRUNE_EVERY_SECONDS)

    async def refresh(self) -> None:
        """The gauges that are not counted from records. What all replicas share one of them shows, so that a sum over
        them is true. Raises StoreUnavailable."""
        if self._replica.has(COUNT):
            self._telemetry.queued(await self._database.queue_depth())
            self._telemetry.open_escalations(await self._database.open_escalations())
        else:
            self._telemetry.counted_elsewhere()
        self._telemetry.paused(await self._stop() is not None)

    async def _observe(self) -> None:
        """Keep the gauges near the truth."""
        while True:
            with contextlib.suppress(RemediatorError):
                await self.refresh()
                await self._readiness.watchdog()
            await asyncio.sleep(max(1.0, self._settings.poll_seconds))
