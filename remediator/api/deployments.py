"""The deployment watch over HTTP: what is watched, since when, and its baseline against now.

Beside the way of an alert. `application.py` adds the routes; `cli/deployments.py` is the client people use.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Self

from aiohttp import web
from pydantic import Field

from remediator.api.answers import Answer, answer, problem
from remediator.clock import Clock
from remediator.errors import RemediatorError, cut
from remediator.prometheus.base import Metrics
from remediator.prometheus.measures import MEASURES, measure, window_now
from remediator.store.rollouts_base import Rollout, RolloutStore

DEFAULT_LIMIT = 500
MAX_LIMIT = 5000
MAX_HISTORY = 20
MEASURE_SECONDS = 8.0
"""How long all measures of now may take; our own command waits ten seconds for the answer."""


class Deployment(Answer):
    """One rollout of a Deployment."""

    cluster: str
    namespace: str
    name: str
    uid: str
    template_hash: str = Field(description="Of the pod template without what restarts and remediator write into it.")
    revision: int | None
    images: Mapping[str, str] = Field(description="Container name -> image.")
    state: str = Field(description="rolling-out, watched, stable, incident or replaced.")
    started_at: datetime
    is_exact: bool = Field(description="Whether the change was seen to happen; else started_at is a lower bound.")
    first_seen_at: datetime
    completed_at: datetime | None
    watched: bool = Field(description="Whether watched_until is still ahead.")
    watched_until: datetime
    available_since: datetime | None = Field(description="Fully available without a break since; null: it is not now.")
    proven_good_at: datetime | None
    stable_at: datetime | None
    incident: str | None = Field(description="The first incident of it, as inc-<id>.")
    deployed_by: str | None = Field(description="The field manager that last wrote the pod template.")
    ended_at: datetime | None

    @classmethod
    def of(cls, rollout: Rollout, *, now: datetime) -> Self:
        target = rollout.target
        apart = ("cluster", "namespace", "name", "uid", "watched", "incident")
        fields: dict[str, Any] = {name: getattr(rollout, name) for name in cls.model_fields if name not in apart}
        return cls(
            cluster=target.cluster,
            namespace=target.namespace,
            name=target.name,
            uid=target.uid,
            watched=rollout.ended_at is None and now < rollout.watched_until,
            incident=None if rollout.incident_id is None else f"inc-{rollout.incident_id}",
            **fields,
        )


class Deployments(Answer):
    deployments: Sequence[Deployment]
    problem: str = Field(description="Why rollouts are not looked at now; empty: they are.")


class Measured(Answer):
    """One number before the rollout and now; null is unknown, never zero."""

    name: str
    unit: str
    before: float | None
    now: float | None


class DeploymentDetail(Answer):
    deployment: Deployment
    measures: Sequence[Measured]
    measures_problem: str = Field(description="Why the numbers of now are unknown; empty: they were asked for.")
    history: Sequence[Deployment] = Field(description="The rollouts before this one, newest first.")
    problem: str = Field(description="Why rollouts are not looked at now; empty: they are.")


class DeploymentRoutes:
    """Handlers over one `RolloutStore`. `problem` says why the watch does not look now, empty when it does."""

    def __init__(
        self, store: RolloutStore, *, metrics: Metrics | None, clock: Clock, problem: Callable[[], str]
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._clock = clock
        self._problem = problem

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/v1/deployments", self.list_deployments),
            web.get("/api/v1/deployments/{namespace}/{name}", self.show_deployment),
        ]

    async def list_deployments(self, request: web.Request) -> web.Response:
        """Present rollouts, newest start first; `watched=true` for those within their two hours."""
        limit = request.query.get("limit", str(DEFAULT_LIMIT))
        if not re.fullmatch(r"[0-9]{1,6}", limit) or not 1 <= int(limit) <= MAX_LIMIT:
            return problem(400, f"limit: expected a number from 1 to {MAX_LIMIT}")
        only_watched = request.query.get("watched", "false")
        if only_watched not in ("true", "false"):
            return problem(400, "watched: expected true or false")
        now = self._clock.now()
        found = await self._store.present(limit=int(limit), watched_at=now if only_watched == "true" else None)
        return answer(Deployments(deployments=[Deployment.of(one, now=now) for one in found], problem=self._problem()))

    async def show_deployment(self, request: web.Request) -> web.Response:
        """The newest rollout of that Deployment, the ones before it, and its numbers before and now."""
        namespace, name = request.match_info["namespace"], request.match_info["name"]
        found = await self._store.history(namespace, name, limit=MAX_HISTORY + 1)
        if not found:
            return problem(404, f"no rollout of {namespace}/{name} has been seen" + _because(self._problem()))
        newest, now = found[0], self._clock.now()
        measured, why = await self._measured(newest, now)
        before = newest.baseline or {}
        detail = DeploymentDetail(
            deployment=Deployment.of(newest, now=now),
            measures=[
                Measured(name=key, unit=one.unit, before=before.get(key), now=measured.get(key))
                for key, one in MEASURES.items()
            ],
            measures_problem=why,
            history=[Deployment.of(one, now=now) for one in found[1:]],
            problem=self._problem(),
        )
        return answer(detail)

    async def _measured(self, rollout: Rollout, now: datetime) -> tuple[Mapping[str, float | None], str]:
        """The numbers of now, or why there are none."""
        if self._metrics is None:
            return {}, "Prometheus is not configured"
        if rollout.ended_at is not None:
            return {}, "the Deployment is gone"
        try:
            async with asyncio.timeout(MEASURE_SECONDS):
                window = window_now(rollout.started_at, now)
                return await measure(rollout.target, self._metrics, window=window), ""
        except TimeoutError:
            return {}, f"Prometheus did not answer within {MEASURE_SECONDS:g} s"
        except RemediatorError as error:
            return {}, cut(str(error))


def _because(why: str) -> str:
    return f": {why}" if why else ""
