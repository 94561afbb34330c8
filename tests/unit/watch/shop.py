"""A cluster in memory with one Deployment, and the deployment watch that looks at it on a clock that the test moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from remediator.clock import rfc3339
from remediator.model import State
from remediator.prometheus.base import PrometheusUnavailable, Sample
from remediator.store.base import Change, Record
from remediator.store.database import Database
from remediator.store.rollouts_base import Rollout
from remediator.watch.watcher import Pace, Watcher
from tests.clocks import FakeClock
from tests.fakes import FakeCluster
from tests.workloads import TARGET, alert, deployment, replica_set, template

POLL = 30.0
OLD, NEW = template("shop/checkout:1.4"), template("shop/checkout:1.5")


@dataclass
class Numbers:
    """A Prometheus that answers every query with one number, or not at all."""

    value: float | None = 1.5
    asked_at: list[datetime | None] = field(default_factory=list)

    async def query(self, expression: str, *, at: datetime | None = None) -> Sequence[Sample]:
        self.asked_at.append(at)
        if self.value is None:
            raise PrometheusUnavailable("away")
        return [Sample({}, self.value)]

    async def alerting_rules(self, alertname: str) -> Sequence[Any]:
        return []

    async def is_ready(self) -> bool:
        return True

    async def close(self) -> None: ...


class SlowCluster(FakeCluster):
    """Answers a list as it was when it began, and may take its time over it."""

    clock: FakeClock | None = None
    seconds = 0.0

    def slow_down(self, clock: FakeClock, *, seconds: float) -> None:
        """Of the next list only."""
        self.clock, self.seconds = clock, seconds

    async def list(self, path: str, **options: Any) -> Sequence[Any]:
        found = await super().list(path, **options)
        if self.clock is not None:
            self.clock.jump(seconds=self.seconds)
            self.clock = None
        return found


class Shop:
    """`shop/checkout` as the watch sees it."""

    def __init__(self, database: Database, clock: FakeClock) -> None:
        self.clock = clock
        self.database = database
        self.cluster = SlowCluster(name="test")
        self.metrics = Numbers()
        self.counts: Mapping[str, int] = {}
        self.rounds: list[bool] = []
        self.watcher = self._watcher()

    def _watcher(self, clock: FakeClock | None = None, poll: float = POLL) -> Watcher:
        return Watcher(
            self.database.rollouts,
            cluster=self.cluster,
            metrics=self.metrics,
            clock=clock or self.clock,
            protected_namespaces=frozenset({"kube-system"}),
            pace=Pace(poll),
            count=self._count,
            went=self.rounds.append,
        )

    def _count(self, counts: Mapping[str, int]) -> None:
        self.counts = counts

    def restart(self, clock: FakeClock | None = None, *, poll: float = POLL) -> None:
        """The process begins anew on the same database."""
        self.watcher = self._watcher(clock, poll)

    def release(self, pod_template: Any, number: int, *, complete: bool = True, uid: str = TARGET.uid) -> None:
        """This template is rolled out now, and complete or not."""
        item = deployment(pod_template, revision=number)
        item["metadata"] |= {"uid": uid, "generation": number}
        ready = 2 if complete else 0
        item["status"] |= {"observedGeneration": number, "availableReplicas": ready}
        item["status"] |= {"replicas": 2, "updatedReplicas": 2}
        item["status"]["conditions"][0] |= {"lastUpdateTime": rfc3339(self.clock.now())}
        if not complete:
            item["status"]["conditions"][0]["reason"] = "ReplicaSetUpdated"
        one = replica_set(number, pod_template, created=self.clock.now()) | {"kind": "ReplicaSet"}
        one["metadata"]["labels"] = {"app": "checkout"}
        one["metadata"]["ownerReferences"][0] |= {"apiVersion": "apps/v1", "uid": uid}
        self.cluster.add(item, one)

    def forget_conditions(self) -> None:
        """As the controller leaves a Deployment without a progress deadline."""
        self.cluster.peek("Deployment", "shop", "checkout")["status"]["conditions"] = []

    async def look(self, *, after: float = POLL) -> None:
        self.clock.jump(seconds=after)
        await self.watcher.look()

    async def looks(self, *, minutes: float) -> None:
        for _ in range(int(minutes * 60 / POLL)):
            await self.look()

    async def rollouts(self) -> Sequence[Rollout]:
        return await self.database.rollouts.history("shop", "checkout", limit=10)

    async def records(self) -> list[str]:
        return [one.kind for one in await self.database.records(after=0, limit=1000)]


async def open_incident(shop: Shop, **about: Any) -> None:
    """As the pipeline does, with the first step that knows the target."""
    now = shop.clock.now()
    await shop.database.accept([alert(starts_at=now, **about)], at=now)
    (one,) = await shop.database.claim(owner="test", at=now, lease=timedelta(minutes=1), limit=1)
    await shop.database.advance(
        one, to=State.DIAGNOSING, record=Record("step", {}), at=now, change=Change(target=TARGET)
    )
