"""How many of our own calls failed lately: a fault of ours looks like a fault of everything we look at."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from remediator.clock import Clock
from remediator.errors import TransientError
from remediator.kube.base import Cluster, DisruptionBudget, Logs, TooLate
from remediator.model import Json, Request
from remediator.prometheus.base import AlertingRule, Metrics, Sample

WINDOW = timedelta(minutes=5)
T = TypeVar("T")


class Faults:
    """Calls to one server within the last five minutes, and how many of them had no usable answer."""

    def __init__(self, server: str, clock: Clock) -> None:
        self.server = server
        self._clock = clock
        self._calls: deque[tuple[datetime, bool]] = deque()
        self._failed = 0

    async def count(self, call: Awaitable[T]) -> T:
        try:
            answer = await call
        except TransientError as error:
            self._add(failed=not isinstance(error, DisruptionBudget | TooLate))  # an answer; or not asked
            raise
        except Exception:
            self._add(failed=False)
            raise
        self._add(failed=False)
        return answer

    def share(self) -> tuple[int, int]:
        """Failed calls, and all of them."""
        self._forget()
        return self._failed, len(self._calls)

    def _add(self, *, failed: bool) -> None:
        self._calls.append((self._clock.now(), failed))
        self._failed += failed
        self._forget()

    def _forget(self) -> None:
        oldest = self._clock.now() - WINDOW
        while self._calls and self._calls[0][0] <= oldest:
            self._failed -= self._calls.popleft()[1]


class CountedCluster:
    """A cluster whose calls are counted."""

    def __init__(self, cluster: Cluster, faults: Faults) -> None:
        self._cluster = cluster
        self._faults = faults

    @property
    def name(self) -> str:
        return self._cluster.name

    async def get(self, path: str) -> Json:
        return await self._faults.count(self._cluster.get(path))

    async def list(
        self,
        path: str,
        *,
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
        limit: int | None = None,
    ) -> Sequence[Json]:
        listed = self._cluster.list(
            path,
            label_selector=label_selector,
            field_selector=field_selector,
            metadata_only=metadata_only,
            limit=limit,
        )
        return await self._faults.count(listed)

    async def logs(
        self, *, namespace: str, pod: str, container: str, previous: bool, tail_lines: int, limit_bytes: int
    ) -> Logs:
        read = self._cluster.logs(
            namespace=namespace,
            pod=pod,
            container=container,
            previous=previous,
            tail_lines=tail_lines,
            limit_bytes=limit_bytes,
        )
        return await self._faults.count(read)

    async def send(self, request: Request, *, dry_run: bool) -> Json:
        return await self._faults.count(self._cluster.send(request, dry_run=dry_run))

    async def is_ready(self) -> bool:
        return await self._cluster.is_ready()

    async def close(self) -> None:
        await self._cluster.close()


class CountedMetrics:
    """A Prometheus whose queries are counted."""

    def __init__(self, metrics: Metrics, faults: Faults) -> None:
        self._metrics = metrics
        self._faults = faults

    async def query(self, expression: str, *, at: datetime | None = None) -> Sequence[Sample]:
        return await self._faults.count(self._metrics.query(expression, at=at))

    async def alerting_rules(self, alertname: str) -> Sequence[AlertingRule]:
        return await self._faults.count(self._metrics.alerting_rules(alertname))

    async def is_ready(self) -> bool:
        return await self._metrics.is_ready()

    async def close(self) -> None:
        await self._metrics.close()
