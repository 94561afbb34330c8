"""`rollout-complete` and `pods-ready` of StatefulSets and DaemonSets, after a request that their pods are to follow."""

from __future__ import annotations

import copy
from datetime import timedelta
from typing import Any

import pytest

from remediator.checks.base import Look, Scene
from remediator.checks.pods_ready import PodsReady
from remediator.checks.rollout_complete import RolloutComplete
from remediator.clock import rfc3339
from remediator.kube.rollout import meaningful_hash
from remediator.model import ActionId, Plan, Proof, Target
from tests.fakes import FakeCluster
from tests.workloads import NOW, alert, template

Json = dict[str, Any]
LATER = NOW + timedelta(minutes=2)
PROOF = Proof(("rollout-complete", "pods-ready"), timedelta(minutes=10), timedelta(minutes=2), "escalate")
TEMPLATE = template("db:1.4")
KINDS = ("StatefulSet", "DaemonSet")


def scene(kind: str, cluster: FakeCluster) -> Scene:
    target = Target("test", kind, "shop", "db", "s-1")
    plan = Plan("restart", ActionId("a" * 32), target, (), PROOF, 4, meaningful_hash(TEMPLATE), "", None, None)
    return Scene(plan, alert(), NOW, LATER, cluster, None, {})


def owned(kind: str) -> list[Json]:
    return [{"apiVersion": "apps/v1", "kind": kind, "name": "db", "uid": "s-1", "controller": True}]


def revision(kind: str, number: int, name: str, held: Json) -> Json:
    metadata = {"name": f"db-{name}", "namespace": "shop", "labels": {"app": "checkout"}}
    metadata["labels"]["controller-revision-hash"] = name if kind == "DaemonSet" else f"db-{name}"  # type: ignore[index]
    metadata |= {"ownerReferences": owned(kind), "creationTimestamp": rfc3339(NOW)}  # type: ignore[dict-item]
    data = {"spec": {"template": {**copy.deepcopy(held), "$patch": "replace"}}}
    return {"kind": "ControllerRevision", "metadata": metadata, "revision": number, "data": data}


def pod(kind: str, number: int, *, of: str = "new", ready: bool = True, **metadata: Any) -> Json:
    label = of if kind == "DaemonSet" else f"db-{of}"
    labels = {"app": "checkout", "controller-revision-hash": label}
    condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": rfc3339(NOW)}
    facts = {"name": f"db-{number}", "namespace": "shop", "labels": labels, "ownerReferences": owned(kind)}
    return {
        "kind": "Pod",
        "metadata": {**facts, **metadata},
        "status": {"phase": "Running", "conditions": [condition]},
    }


def world(
    kind: str, *pods: Json, status: Json | None = None, spec: Json | None = None, live: Json = TEMPLATE
) -> FakeCluster:
    """Three pods of the present revision, ready for two minutes, unless said otherwise."""
    item: Json = {
        "kind": kind,
        "apiVersion": "apps/v1",
        "metadata": {"name": "db", "namespace": "shop", "uid": "s-1", "generation": 5},
        "spec": {"selector": {"matchLabels": {"app": "checkout"}}, "template": copy.deepcopy(live), **(spec or {})},
        "status": {"observedGeneration": 5, **COUNTS[kind], **(status or {})},
    }
    if kind == "StatefulSet":
        item["spec"].setdefault("replicas", 3)
    held = [revision(kind, 1, "old", template("db:1.3")), revision(kind, 2, "new", live)]
    return FakeCluster(item, *held, *(pods or [pod(kind, number) for number in range(3)]))


COUNTS: dict[str, Json] = {
    "StatefulSet": {
        "replicas": 3,
        "readyReplicas": 3,
        "updatedReplicas": 3,
        "currentRevision": "db-new",
        "updateRevision": "db-new",
    },
    "DaemonSet": {"desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberAvailable": 3},
}

ROLLOUTS: list[tuple[str, str, Json, Json, Look]] = [
    ("StatefulSet", "complete", {}, {}, Look.PASSED),
    ("StatefulSet", "not observed", {"observedGeneration": 4}, {}, Look.WAITING),
    ("StatefulSet", "not ready", {"readyReplicas": 2}, {}, Look.WAITING),
    ("StatefulSet", "not updated", {"updatedReplicas": 2}, {}, Look.WAITING),
    (
        "StatefulSet",
        "a partition that keeps one",
        {"updatedReplicas": 2},
        {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}},
        Look.PASSED,
    ),
    ("StatefulSet", "scaled up meanwhile", {}, {"replicas": 4}, Look.WAITING),
    ("DaemonSet", "complete", {}, {}, Look.PASSED),
    ("DaemonSet", "not observed", {"observedGeneration": 4}, {}, Look.WAITING),
    ("DaemonSet", "not updated", {"updatedNumberScheduled": 2}, {}, Look.WAITING),
    ("DaemonSet", "not available", {"numberAvailable": 2}, {}, Look.WAITING),
    ("DaemonSet", "a node more", {"desiredNumberScheduled": 4}, {}, Look.WAITING),
]


@pytest.mark.parametrize(
    ("kind", "status", "spec", "look"),
    [(row[0], *row[2:]) for row in ROLLOUTS],
    ids=[f"{row[0]} {row[1]}" for row in ROLLOUTS],
)
async def test_rollout_complete_as_kubectl_has_it(kind: str, status: Json, spec: Json, look: Look) -> None:
    result = await RolloutComplete().look(scene(kind, world(kind, status=status, spec=spec)))

    assert result.look is look
    assert result.detail


def three(kind: str, last: Json) -> list[Json]:
    return [pod(kind, 0), pod(kind, 1), last]


@pytest.mark.parametrize("kind", KINDS)
async def test_pods_of_the_present_revision_are_ready(kind: str) -> None:
    """The negative control of all below."""
    assert (await PodsReady().look(scene(kind, world(kind)))).look is Look.PASSED


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "last",
    [
        {"of": "old"},
        {"ready": False},
        {"deletionTimestamp": "2026-11-23T12:01:00Z"},
        {"ownerReferences": []},
    ],
    ids=["of the former revision", "not ready", "on its way out", "not its own"],
)
async def test_one_pod_that_is_not_there_yet_is_waited_for(kind: str, last: Json) -> None:
    result = await PodsReady().look(scene(kind, world(kind, *three(kind, pod(kind, 2, **last)))))

    assert result.look is Look.WAITING


@pytest.mark.parametrize("kind", KINDS)
async def test_a_pod_that_has_ended_does_not_count(kind: str) -> None:
    """What the kubelet evicted lies about until somebody takes it away."""
    left = pod(kind, 9, ready=False)
    left["status"]["phase"] = "Failed"

    result = await PodsReady().look(scene(kind, world(kind, *three(kind, pod(kind, 2)), left)))

    assert result.look is Look.PASSED


@pytest.mark.parametrize("kind", KINDS)
async def test_a_template_that_no_controller_has_seen_has_no_pods(kind: str) -> None:
    """All pods are ready, and of the revision before."""
    cluster = world(kind, status={"observedGeneration": 4})

    assert (await PodsReady().look(scene(kind, cluster))).look is Look.WAITING


@pytest.mark.parametrize("kind", KINDS)
async def test_a_template_that_someone_changed_is_no_answer(kind: str) -> None:
    cluster = world(kind, live=template("db:1.5"))

    assert (await PodsReady().look(scene(kind, cluster))).look is Look.UNKNOWN
    assert (await RolloutComplete().look(scene(kind, cluster))).look is Look.UNKNOWN


@pytest.mark.parametrize(
    ("kind", "spec", "status"), [("StatefulSet", {"replicas": 0}, {}), ("DaemonSet", {}, {"desiredNumberScheduled": 0})]
)
async def test_of_no_pods_nothing_can_be_seen(kind: str, spec: Json, status: Json) -> None:
    cluster = world(kind, spec=spec, status=status)

    assert (await PodsReady().look(scene(kind, cluster))).look is Look.UNKNOWN
