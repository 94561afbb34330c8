"""`scheduling`: pods that are not placed, and pods that a quota does not let be."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.kube.base import Forbidden
from remediator.model import Json
from tests.fakes import FakeCluster
from tests.unit.diagnose.scenes import EVENTS, OLD, collect, event, pod, running, scene
from tests.workloads import ROLLOUT_AT, deployment, replica_set, template

QUOTA = (
    'pods "checkout-3-x" is forbidden: exceeded quota: compute, requested: pods=1, used: pods=2, limited: pods=2'
)
MUST_SAY = 'pods "x" is forbidden: failed quota: mem-quota: must specify limits.memory'


def pending(name: str, message: str = "", *, reason: str = "Unschedulable", **more: Any) -> Json:
    """A pod that the scheduler could not place."""
    condition = {"type": "PodScheduled", "status": "False", "reason": reason, "message": message}
    return pod(name, spec={"nodeName": None}, phase="Pending", conditions=[condition], **more)


def failing(item: Json, message: str) -> Json:
    item["status"].setdefault("conditions", []).append(
        {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
    )
    return item


async def test_each_pod_that_is_not_placed_is_told_with_its_class() -> None:
    message = "0/3 nodes are available: 1 node(s) had untolerated taint {a: b}, 2 Insufficient cpu. preemption: 0/3"
    pods = (pending("b", message, owner=OLD), pending("a", message), pod("c", running()))

    found = await collect("scheduling", scene(*pods))

    assert [one.kind for one in found] == ["scheduling", "scheduling"]
    assert found[0].facts == {
        "pod": "a",
        "is_current": True,
        "class": "mixed",
        "classes": {"taint": 1, "capacity": 2},
        "nodes": 3,
        "message": message,
        "nominated_node": None,
    }
    assert (found[1].facts["pod"], found[1].facts["is_current"]) == ("b", False)


PENDING: list[tuple[str, Json, str, str]] = [
    ("a gate", pending("a", "blocked", reason="SchedulingGated"), "gate", "gate"),
    ("an error of the scheduler", pending("a", "boom", reason="SchedulerError"), "unknown", "unknown"),
    (
        "a pod that nobody looked at",
        pod("a", spec={"nodeName": None, "schedulerName": "volcano"}, phase="Pending", conditions=[]),
        "unknown",
        "its scheduler is volcano",
    ),
    (
        "a pod that waits for others to make room",
        pending("a", "0/1 nodes are available: 1 Insufficient cpu.", nominatedNodeName="node-2"),
        "capacity",
        "waits for node node-2",
    ),
]


@pytest.mark.parametrize(("item", "kind", "words"), [row[1:] for row in PENDING], ids=[row[0] for row in PENDING])
async def test_why_a_pod_waits(item: Json, kind: str, words: str) -> None:
    [found] = await collect("scheduling", scene(item))

    assert found.facts["class"] == kind
    assert words in found.summary


NOT_WAITING: list[tuple[str, Json]] = [
    ("placed and creating", pod("a", phase="Pending", conditions=[])),
    ("going", pending("a", meta={"deletionTimestamp": "2026-11-23T12:00:00Z"})),
    ("over", pod("a", spec={"nodeName": None}, phase="Failed", conditions=[])),
]


@pytest.mark.parametrize("item", [row[1] for row in NOT_WAITING], ids=[row[0] for row in NOT_WAITING])
async def test_a_pod_that_does_not_wait_for_a_node_is_not_told(item: Json) -> None:
    item["metadata"].setdefault("name", "a")

    assert await collect("scheduling", scene(item)) == []


@pytest.mark.parametrize(("message", "quota"), [(QUOTA, "compute"), (MUST_SAY, "mem-quota")])
async def test_a_quota_is_named_by_the_condition_of_the_deployment(message: str, quota: str) -> None:
    cluster = FakeCluster()

    [found] = await collect("scheduling", scene(object=failing(deployment(template()), message), cluster=cluster))

    assert (found.kind, found.facts) == ("quota-exceeded", {"quota": quota, "message": message})
    assert cluster.calls == []


async def test_or_by_the_events_of_the_present_replica_set() -> None:
    refused = event("rs", "FailedCreate", f"Error creating: {QUOTA}")
    refused["involvedObject"] = {"kind": "ReplicaSet", "name": "checkout-3", "uid": "rs-3"}
    cluster = FakeCluster(refused)

    [found] = await collect("scheduling", scene(cluster=cluster))

    assert found.facts["quota"] == "compute"


async def test_a_condition_that_no_longer_holds_says_nothing() -> None:
    item = failing(deployment(template()), QUOTA)
    item["status"]["conditions"][-1]["status"] = "False"

    assert await collect("scheduling", scene(object=item)) == []


async def test_other_reasons_for_not_creating_pods_are_no_quota() -> None:
    item = failing(deployment(template()), 'pods "x" is forbidden: violates PodSecurity "restricted:latest"')

    assert await collect("scheduling", scene(object=item)) == []


async def test_events_that_may_not_be_read_leave_the_pods_told() -> None:
    cluster = FakeCluster()
    cluster.errors[EVENTS] = Forbidden("events is forbidden")

    item = pending("a", "0/1 nodes are available: 1 Too many pods.")

    found = await collect("scheduling", scene(item, cluster=cluster))

    assert found[0].facts["class"] == "capacity"
    assert {one.kind for one in found[1:]} == {"unavailable"}
    assert "events is forbidden" in found[1].summary


async def test_a_quota_of_a_former_release_is_not_asked_about() -> None:
    """Only what creates pods now can be refused now."""
    sets = (
        replica_set(3, template("shop/checkout:1.5"), created=ROLLOUT_AT),
        failing(replica_set(2, template("shop/checkout:1.4"), created=ROLLOUT_AT), QUOTA),
    )

    assert await collect("scheduling", scene(replica_sets=sets)) == []
