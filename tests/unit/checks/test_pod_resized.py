"""`pod-resized`: what it says of the same pod in many conditions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from remediator.checks.base import Look, Scene
from remediator.checks.pod_resized import PodResized
from remediator.kube.base import Unreachable
from remediator.model import Plan
from tests.fakes import FakeCluster
from tests.unit.actions.test_evict import plan as evict_plan
from tests.unit.actions.test_evict import story as sick
from tests.unit.actions.test_resize import FULL, plan, pod, story
from tests.workloads import NOW, alert

Json = dict[str, Any]
PATH = f"/api/v1/namespaces/shop/pods/{FULL}"


def scene(cluster: FakeCluster, planned: Any = None) -> Scene:
    planned = planned or plan(story())
    assert isinstance(planned, Plan)
    return Scene(planned, alert(), NOW, NOW, cluster, None, {})


def cluster(edit: Callable[[Json], Any] = lambda pod: None) -> FakeCluster:
    """The pod after a resize that its kubelet has put into force."""
    item = {**pod(limit="150Mi"), "kind": "Pod"}
    edit(item)
    return FakeCluster(item)


def in_force(limit: str) -> Callable[[Json], Any]:
    return lambda item: item["status"]["containerStatuses"][0].update(resources={"limits": {"memory": limit}})


def asked_for(limit: str) -> Callable[[Json], Any]:
    return lambda item: item["spec"]["containers"][0]["resources"]["limits"].update(memory=limit)


def says(kind: str, reason: str, status: str = "True") -> Callable[[Json], Any]:
    said = {"type": kind, "status": status, "reason": reason, "message": "Node didn't have enough capacity"}

    def edit(item: Json) -> None:
        item["status"]["conditions"].append(said)
        in_force("100Mi")(item)

    return edit


LOOKS: list[tuple[str, FakeCluster, Look]] = [
    ("in force", cluster(), Look.PASSED),
    ("in force in other words", cluster(in_force("157286400")), Look.PASSED),
    ("not in force yet", cluster(in_force("100Mi")), Look.WAITING),
    ("nothing is reported", cluster(lambda item: item["status"].pop("containerStatuses")), Look.WAITING),
    ("deferred", cluster(says("PodResizePending", "Deferred")), Look.WAITING),
    ("infeasible", cluster(says("PodResizePending", "Infeasible")), Look.FAILED),
    ("infeasible no more", cluster(says("PodResizePending", "Infeasible", "False")), Look.WAITING),
    ("the kubelet tries again", cluster(says("PodResizeInProgress", "Error")), Look.WAITING),
    ("someone set another limit", cluster(asked_for("120Mi")), Look.UNKNOWN),
    ("gone", FakeCluster(), Look.FAILED),
    ("replaced", cluster(lambda item: item["metadata"].update(uid="another")), Look.FAILED),
]


@pytest.mark.parametrize(("found", "look"), [row[1:] for row in LOOKS], ids=[row[0] for row in LOOKS])
async def test_pod_resized(found: FakeCluster, look: Look) -> None:
    result = await PodResized().look(scene(found))

    assert result.look is look
    assert result.detail


async def test_the_kubelets_own_words_are_told() -> None:
    result = await PodResized().look(scene(cluster(says("PodResizePending", "Infeasible"))))

    assert "Infeasible: Node didn't have enough capacity" in result.detail


async def test_the_worst_of_several_counts() -> None:
    planned = plan(story())
    assert isinstance(planned, Plan)
    (step,) = planned.steps
    other = replace(step, touched=replace(step.touched, name="gone"))

    result = await PodResized().look(scene(cluster(), replace(planned, steps=(step, other))))

    assert result.look is Look.FAILED


async def test_an_action_that_resized_nothing_is_no_answer() -> None:
    assert (await PodResized().look(scene(cluster(), evict_plan(sick())))).look is Look.UNKNOWN


async def test_what_cannot_be_read_is_not_an_answer() -> None:
    away = cluster()
    away.errors[PATH] = Unreachable("away")

    with pytest.raises(Unreachable):
        await PodResized().look(scene(away))
