"""The looks of the deployment watch: what it may list, how much of it at once, and when there is none."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from structlog.testing import capture_logs

from remediator.kube.base import Forbidden
from remediator.watch.watcher import MAX_NAMESPACES
from tests.clocks import FakeClock
from tests.unit.watch.shop import OLD, POLL, Shop
from tests.workloads import deployment, replica_set

DEPLOYMENTS = "/apis/apps/v1/deployments"


async def test_without_the_right_to_list_it_asks_again_later(shop: Shop) -> None:
    """Rights are given without our being told, and a token that was being rotated reads as forbidden too."""
    shop.release(OLD, 2)
    shop.cluster.errors[DEPLOYMENTS] = Forbidden("deployments is forbidden")
    seen: list[tuple[str, float]] = []
    clock = ScriptedClock(shop, seen)
    shop.restart(clock)
    with suppress(asyncio.CancelledError):
        await shop.watcher.run()

    (refused, pause), (fine, usual) = seen
    assert "not permitted to list deployments" in refused
    assert (pause, fine, usual) == (300.0, "", POLL)
    assert shop.rounds == [False, True], "another replica is to have the duty when it goes on like this"


class ScriptedClock(FakeClock):
    """Notes the problem at each pause; after the first the rights are there, after the second it is over."""

    def __init__(self, shop: Shop, seen: list[tuple[str, float]]) -> None:
        super().__init__(shop.clock.now())
        self.shop = shop
        self.seen = seen

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        self.seen.append((self.shop.watcher.problem, seconds))
        if len(self.seen) == 2:
            raise asyncio.CancelledError
        self.shop.cluster.errors.clear()


def test_one_that_is_switched_off_says_so(shop: Shop) -> None:
    shop.restart(poll=0)

    assert shop.watcher.problem == "switched off: rollout_poll_seconds is 0"


async def test_replica_sets_of_many_namespaces_are_read_over_several_looks(shop: Shop) -> None:
    for number in range(MAX_NAMESPACES + 5):
        item = deployment(OLD)
        item["metadata"] |= {"namespace": f"n{number:03}", "uid": f"u{number}"}
        one = replica_set(3, OLD, created=shop.clock.now()) | {"kind": "ReplicaSet"}
        one["metadata"]["namespace"] = f"n{number:03}"
        one["metadata"]["ownerReferences"][0]["uid"] = f"u{number}"
        shop.cluster.add(item, one)

    await shop.look()
    first = len(await shop.database.rollouts.present(limit=100))
    await shop.look()

    assert (first, len(await shop.database.rollouts.present(limit=100))) == (MAX_NAMESPACES, MAX_NAMESPACES + 5)


async def test_protected_namespaces_are_not_watched(shop: Shop) -> None:
    item = deployment(OLD)
    item["metadata"] |= {"namespace": "kube-system", "name": "dns"}
    shop.cluster.add(item)
    await shop.look()

    assert await shop.database.rollouts.present(limit=10) == []


def odd(**parts: Any) -> Any:
    """A Deployment beside `shop/checkout` that is not as the API has them."""
    item = deployment(OLD)
    item["metadata"] |= {"name": "odd", "uid": "odd"}
    return item | parts


@pytest.mark.parametrize(
    "item",
    [odd(spec={"replicas": 2}), odd(spec="none"), odd(status={"conditions": 7}), odd(spec={"template": {"spec": []}})],
    ids=["no template", "no spec", "conditions", "template"],
)
async def test_an_object_that_is_not_understood_is_named_once_and_the_others_are_watched(
    shop: Shop, item: Any
) -> None:
    shop.cluster.add(item)
    shop.release(OLD, 2)
    with capture_logs() as lines:
        await shop.looks(minutes=5)

    assert [rollout.target.name for rollout in await shop.database.rollouts.present(limit=10)] == ["checkout"]
    assert [line["object"] for line in lines if "object" in line] == ["test/shop/Deployment/odd"]


async def test_what_is_not_understood_any_more_is_not_taken_for_gone(shop: Shop) -> None:
    """It is there: its rollout goes on when it is understood again."""
    shop.release(OLD, 2)
    await shop.looks(minutes=2)
    [before] = await shop.rollouts()
    live = shop.cluster.peek("Deployment", "shop", "checkout")
    status, live["status"] = live["status"], "?"
    await shop.looks(minutes=1)
    live["status"] = status
    await shop.looks(minutes=1)

    assert [(rollout.id, rollout.ended_at) for rollout in await shop.rollouts()] == [(before.id, None)]


@pytest.mark.parametrize("broken", ["owner", "template"])
async def test_a_replica_set_that_is_not_understood_keeps_no_deployment_from_being_watched(
    shop: Shop, broken: str
) -> None:
    one = replica_set(9, OLD, created=shop.clock.now()) | {"kind": "ReplicaSet"}
    one["metadata"] |= {"name": "odd-9", "ownerReferences": ["?"] if broken == "owner" else []}
    if broken == "template":
        one["metadata"]["ownerReferences"] = [{"controller": True, "uid": "odd"}]
        one["spec"] = {}
        shop.cluster.add(odd())
    shop.cluster.add(one)
    shop.release(OLD, 2)
    await shop.look()

    assert "checkout" in {rollout.target.name for rollout in await shop.database.rollouts.present(limit=10)}
