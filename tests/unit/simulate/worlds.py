"""A clock that stands still until it is told to move, and an embedded cluster whose time it is."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from remediator.simulate.apiserver import EmbeddedCluster

START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class StillClock:
    """Its `sleep` never ends by itself: tests tick by hand."""

    def __init__(self) -> None:
        self._now = START

    def now(self) -> datetime:
        return self._now

    async def sleep(self, seconds: float) -> None:
        await asyncio.Event().wait()

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)


class StillWorld:
    """An embedded cluster and its clock. Pods start two seconds after their creation."""

    def __init__(self) -> None:
        self.clock = StillClock()
        self.cluster = EmbeddedCluster(self.clock, seed=7)

    def run(self, seconds: int) -> None:
        """Let the time pass second by second."""
        for _ in range(seconds):
            self.clock.advance(1)
            self.cluster.tick()

    def deployment(self, name: str = "web", namespace: str = "shop") -> Any:
        return self.cluster.get("Deployment", namespace, name)

    def replica_sets(self) -> dict[str, Any]:
        """Image -> ReplicaSet of the namespace `shop`."""
        sets = self.cluster.list("ReplicaSet", "shop")
        return {item["spec"]["template"]["spec"]["containers"][0]["image"]: item for item in sets}

    def pods(self) -> list[Any]:
        return self.cluster.list("Pod", "shop")


def condition(item: Any, kind: str) -> Any:
    return next(c for c in item["status"]["conditions"] if c["type"] == kind)
