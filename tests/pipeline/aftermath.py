"""What becomes of `shop/checkout` after a recommendation: who looks at it, and what people and the cluster do to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from remediator.kube.rollout import REVISION
from remediator.model import AlertStatus, Json, RemediationId
from remediator.score.observer import Observer, Pace
from remediator.store.base import CommittedRecord
from remediator.store.scores_base import Scored
from tests.pipeline.world import Shop, World, pod
from tests.workloads import alert, replica_set, template

POLL = 30.0
WINDOW = timedelta(hours=1)
FIXED = template("shop/checkout:1.6")
FIRST = RemediationId(1)


@dataclass
class Watched:
    """A world after one recommendation, and who looks at what becomes of it."""

    world: World
    observer: Observer

    @property
    def shop(self) -> Shop:
        return self.world.shop

    async def looks(self, *, minutes: float) -> None:
        for _ in range(int(minutes * 60 / POLL)):
            self.world.clock.jump(seconds=POLL)
            await self.observer.look()

    def restart(self) -> None:
        """The process begins anew on the same database."""
        self.observer = observer_of(self.world)

    async def resolve(self) -> None:
        now = self.world.clock.now()
        await self.world.receive(alert(status=AlertStatus.RESOLVED, ends_at=now))

    async def score(self) -> Scored:
        found = await self.world.database.scores.score_of(FIRST)
        assert found is not None
        return found

    async def judged(self) -> list[CommittedRecord]:
        return [one for one in await self.world.records() if one.kind == "score.judged"]


def observer_of(one: World, **more: Any) -> Observer:
    return Observer(one.database.scores, cluster=one.shop, clock=one.clock, pace=Pace(POLL, WINDOW), **more)


def changed(shop: Shop, edit: Callable[[Json], Any]) -> None:
    """A person changes the Deployment, and its controller observes that."""
    edit(shop.live)
    shop.live["metadata"]["generation"] += 1
    shop.live["status"]["observedGeneration"] = shop.live["metadata"]["generation"]


def roll_back(shop: Shop) -> None:
    changed(shop, lambda item: item["spec"].update(template=template("shop/checkout:1.4")))
    shop.settle()


def roll_out(shop: Shop, release: Json, *, number: int, at: datetime) -> None:
    """A further release, that works."""
    changed(shop, lambda item: item["spec"].update(template=release))
    shop.live["metadata"]["annotations"][REVISION] = str(number)
    fresh = replica_set(number, release, created=at) | {"kind": "ReplicaSet", "apiVersion": "apps/v1"}
    fresh["metadata"]["labels"] = {"app": "checkout"}
    shop.add(fresh)
    ready(shop, fresh, at=at)


def scale(shop: Shop, replicas: int) -> None:
    changed(shop, lambda item: item["spec"].update(replicas=replicas))


def heal(shop: Shop, *, at: datetime) -> None:
    """The release that crashed comes up by itself."""
    ready(shop, shop.peek("ReplicaSet", "shop", "checkout-3"), at=at)


def ready(shop: Shop, owner: Json, *, at: datetime) -> None:
    """Two pods of that ReplicaSet are ready, and there is no other."""
    for path in [path for path in shop._objects if "/pods/" in path]:
        del shop._objects[path]
    name = owner["metadata"]["name"]
    for letter in "ab":
        shop.add(pod(f"{name}-{letter}", owner, ready=True, since=at))
    shop.live["status"] |= {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}


def lose_a_pod(shop: Shop) -> None:
    shop.remove("Pod", "shop", "checkout-2-b")
