"""`rollout-complete` and `pods-ready`: what each says of the same Deployment in many conditions."""

from __future__ import annotations

import copy
from datetime import timedelta
from typing import Any

import pytest

from remediator.checks.base import Look
from remediator.checks.pods_ready import PodsReady
from remediator.checks.rollout_complete import RolloutComplete
from remediator.kube.base import Unreachable
from remediator.kube.ownership import LAST_ACTION
from tests.fakes import FakeCluster
from tests.unit.checks.worlds import ACTED_AT, BAD, DEPLOYMENT, GOOD, LATER, pod, rolled_back, scene
from tests.workloads import NOW


def changed(**metadata: Any) -> FakeCluster:
    cluster = rolled_back()
    cluster.peek("Deployment", "shop", "checkout")["metadata"].update(metadata)
    return cluster


def with_template(template: Any) -> FakeCluster:
    cluster = rolled_back()
    cluster.peek("Deployment", "shop", "checkout")["spec"]["template"] = copy.deepcopy(template)
    return cluster


RESTARTED = copy.deepcopy(GOOD) | {
    "metadata": GOOD["metadata"] | {"annotations": {"kubectl.kubernetes.io/restartedAt": "2026-11-23T12:01:00Z"}}
}
OVERDUE = {"conditions": [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]}
GONE = FakeCluster()

ROLLOUTS: list[tuple[str, FakeCluster, Look]] = [
    ("complete", rolled_back(), Look.PASSED),
    ("not observed", rolled_back(status={"observedGeneration": 7}), Look.WAITING),
    ("new replicas missing", rolled_back(status={"updatedReplicas": 1}), Look.WAITING),
    ("old replicas left", rolled_back(status={"replicas": 3}), Look.WAITING),
    ("not available", rolled_back(status={"availableReplicas": 1}), Look.WAITING),
    ("deadline exceeded", rolled_back(status=OVERDUE), Look.FAILED),
    ("gone", GONE, Look.FAILED),
    ("another object of the name", changed(uid="d-2"), Look.FAILED),
    ("someone deployed again", with_template(BAD), Look.UNKNOWN),
    ("someone restarted it", with_template(RESTARTED), Look.PASSED),
]


@pytest.mark.parametrize(("cluster", "look"), [row[1:] for row in ROLLOUTS], ids=[row[0] for row in ROLLOUTS])
async def test_rollout_complete(cluster: FakeCluster, look: Look) -> None:
    result = await RolloutComplete().look(scene(cluster=cluster))

    assert result.look is look
    assert result.detail


async def test_whose_mark_is_on_the_object_is_told_when_its_template_is_another() -> None:
    cluster = with_template(BAD)
    cluster.peek("Deployment", "shop", "checkout")["metadata"]["annotations"][LAST_ACTION] = "someone"

    assert "someone" in (await RolloutComplete().look(scene(cluster=cluster))).detail


def pods(*some: Any) -> FakeCluster:
    return rolled_back(pods=some)


MINUTE = timedelta(minutes=1)
READY: list[tuple[str, FakeCluster, Look]] = [
    ("all ready since the action", rolled_back(), Look.PASSED),
    (
        "ready long before, so nothing is proved but the time since",
        pods(pod("a", since=NOW - 60 * MINUTE), pod("b", since=NOW - 60 * MINUTE)),
        Look.PASSED,
    ),
    ("one ready for a minute only", pods(pod("a"), pod("b", since=LATER - MINUTE)), Look.SETTLING),
    ("one not ready", pods(pod("a"), pod("b", ready=False)), Look.WAITING),
    ("one missing", pods(pod("a")), Look.WAITING),
    ("one of the other revision", pods(pod("a"), pod("b", owner="rs-3")), Look.WAITING),
    ("one that goes away", pods(pod("a"), pod("b", deletionTimestamp="2026-11-23T12:01:00Z")), Look.WAITING),
    ("a sick pod of the other revision", pods(pod("a"), pod("b"), pod("c", ready=False, owner="rs-3")), Look.PASSED),
    ("a pod without an owner", pods(pod("a"), pod("b", ownerReferences=[])), Look.WAITING),
    ("no replicas wanted", rolled_back(replicas=0), Look.UNKNOWN),
    ("gone", GONE, Look.FAILED),
    ("another object of the name", changed(uid="d-2"), Look.FAILED),
    ("someone deployed again", with_template(BAD), Look.UNKNOWN),
]


@pytest.mark.parametrize(("cluster", "look"), [row[1:] for row in READY], ids=[row[0] for row in READY])
async def test_pods_ready(cluster: FakeCluster, look: Look) -> None:
    result = await PodsReady().look(scene(cluster=cluster))

    assert result.look is look
    assert result.detail


async def test_pods_that_were_ready_all_along_are_watched_for_the_time_after_the_action() -> None:
    before = ACTED_AT - 60 * MINUTE
    cluster = pods(pod("a", since=before), pod("b", since=before))

    early = await PodsReady().look(scene(cluster=cluster, now=ACTED_AT + MINUTE))

    assert early.look is Look.SETTLING


async def test_no_replica_set_yet_is_waiting() -> None:
    cluster = rolled_back()
    cluster.remove("ReplicaSet", "shop", "checkout-2")

    assert (await PodsReady().look(scene(cluster=cluster))).look is Look.WAITING


@pytest.mark.parametrize("check", [RolloutComplete(), PodsReady()], ids=lambda check: check.name)
async def test_what_cannot_be_read_is_not_an_answer(check: Any) -> None:
    cluster = rolled_back()
    cluster.errors[DEPLOYMENT] = Unreachable("away")

    with pytest.raises(Unreachable):
        await check.look(scene(cluster=cluster))
