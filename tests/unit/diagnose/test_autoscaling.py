"""`autoscaling`: autoscalers of every make that scale the target, and budgets that guard its pods."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.kube.base import Forbidden, NotFound, path_of
from remediator.model import Finding, Json
from tests.fakes import FakeCluster
from tests.unit.diagnose.scenes import collect, pod, running, scene

REFERENCE = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout"}


def made(kind: str, name: str, spec: Json, status: Json | None = None, **meta: Any) -> Json:
    return {
        "kind": kind,
        "metadata": {"name": name, "namespace": "shop", "uid": f"uid-{name}", **meta},
        "spec": spec,
        "status": status or {},
    }


def hpa(name: str = "checkout", *, reference: Json = REFERENCE, owner: str | None = None, **status: Any) -> Json:
    """An autoscaler of 2 to 6 as the API server returns it; `conditions` as type=(status, reason)."""
    conditions = [
        {"type": kind, "status": word, "reason": reason}
        for kind, (word, reason) in status.pop("conditions", {}).items()
    ]
    owners = {}
    if owner is not None:
        kind, _, of = owner.partition("/")
        owners = {"ownerReferences": [{"kind": kind, "name": of, "uid": "o", "controller": True}]}
    full = {"currentReplicas": 3, "desiredReplicas": 3, **status, "conditions": conditions}
    return made(
        "HorizontalPodAutoscaler",
        name,
        {"minReplicas": 2, "maxReplicas": 6, "scaleTargetRef": reference},
        full,
        **owners,
    )


async def autoscaling(*objects: Json) -> Finding:
    found = await collect("autoscaling", scene(pod("a", running()), cluster=FakeCluster(*objects)))
    [one] = [one for one in found if one.kind == "autoscaling"]
    return one


async def test_an_autoscaler_of_the_target_in_full() -> None:
    found = await autoscaling(hpa(conditions={"ScalingActive": ("True", "ValidMetricFound")}))

    assert found.facts == {
        "autoscalers": [
            {
                "kind": "HorizontalPodAutoscaler",
                "name": "checkout",
                "uid": "uid-checkout",
                "generation": None,
                "min": 2,
                "max": 6,
                "current": 3,
                "desired": 3,
                "at_max": False,
                "is_active": True,
                "is_limited": False,
                "owner": None,
                "gitops": None,
                "is_annotated": False,
            }
        ],
        "vertical": [],
    }


REFERENCES: list[tuple[str, Json, bool]] = [
    ("another version of the group", {**REFERENCE, "apiVersion": "apps/v1beta1"}, True),
    ("without a version", {"kind": "Deployment", "name": "checkout"}, True),
    ("another name", {**REFERENCE, "name": "checkout-worker"}, False),
    ("another kind", {**REFERENCE, "kind": "StatefulSet"}, False),
    ("another group's kind of that name", {**REFERENCE, "apiVersion": "apps.kruise.io/v1"}, False),
    ("the core group", {**REFERENCE, "apiVersion": "v1"}, False),
]


@pytest.mark.parametrize(("reference", "ours"), [row[1:] for row in REFERENCES], ids=[row[0] for row in REFERENCES])
async def test_an_autoscaler_is_ours_by_kind_name_and_group(reference: Json, ours: bool) -> None:
    found = await autoscaling(hpa(reference=reference))

    assert bool(found.facts["autoscalers"]) is ours


STATES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (
        "at its maximum by its own words",
        {"conditions": {"ScalingLimited": ("True", "TooManyReplicas")}},
        {"at_max": True, "is_limited": True},
    ),
    (
        "limited from below is not at its maximum",
        {"conditions": {"ScalingLimited": ("True", "TooFewReplicas")}},
        {"at_max": False, "is_limited": False},
    ),
    ("at its maximum by numbers", {"currentReplicas": 6, "desiredReplicas": 6}, {"at_max": True, "is_limited": False}),
    ("without metrics", {"conditions": {"ScalingActive": ("False", "FailedGetResourceMetric")}}, {"is_active": False}),
    ("not looked at yet", {"currentReplicas": None, "desiredReplicas": None}, {"is_active": None, "at_max": False}),
    ("made by KEDA", {"owner": "ScaledObject/checkout"}, {"owner": "ScaledObject/checkout"}),
]


@pytest.mark.parametrize(("status", "facts"), [row[1:] for row in STATES], ids=[row[0] for row in STATES])
async def test_the_state_of_an_autoscaler(status: dict[str, Any], facts: dict[str, Any]) -> None:
    found = await autoscaling(hpa(**status))

    [one] = found.facts["autoscalers"]
    assert {key: one[key] for key in facts} == facts


KEDA = made("ScaledObject", "checkout-so", {"scaleTargetRef": {"name": "checkout"}, "maxReplicaCount": 9})


async def test_a_paused_scaled_object_without_its_autoscaler_is_told() -> None:
    found = await autoscaling(KEDA)

    [one] = found.facts["autoscalers"]
    assert (one["kind"], one["min"], one["max"], one["at_max"]) == ("ScaledObject", 0, 9, None)


async def test_a_scaled_object_with_its_autoscaler_counts_once() -> None:
    found = await autoscaling(KEDA, hpa("keda-hpa-checkout", owner="ScaledObject/checkout-so"))

    assert [one["kind"] for one in found.facts["autoscalers"]] == ["HorizontalPodAutoscaler"]


async def test_two_autoscalers_are_both_told() -> None:
    found = await autoscaling(hpa("one"), hpa("two"))

    assert [one["name"] for one in found.facts["autoscalers"]] == ["one", "two"]


async def test_a_vertical_autoscaler_with_its_recommendation() -> None:
    recommended = [{"containerName": name, "target": {"cpu": "25m", "memory": size}} for name, size in
                   (("app", "256Mi"), ("proxy", "64Mi"))]
    vpa = made(
        "VerticalPodAutoscaler",
        "checkout",
        {"targetRef": REFERENCE, "updatePolicy": {"updateMode": "Off"}},
        {"recommendation": {"containerRecommendations": recommended}},
    )

    found = await autoscaling(vpa)

    assert found.facts["vertical"] == [{"name": "checkout", "mode": "Off", "target_memory_bytes": 256 * 2**20}]


async def test_a_vertical_autoscaler_that_has_nothing_to_say_yet() -> None:
    found = await autoscaling(made("VerticalPodAutoscaler", "checkout", {"targetRef": REFERENCE}))

    assert found.facts["vertical"] == [{"name": "checkout", "mode": "Auto", "target_memory_bytes": None}]


async def test_apis_that_are_not_installed_are_none_and_forbidden_ones_unknown() -> None:
    cluster = FakeCluster(hpa())
    cluster.errors[path_of("ScaledObject", namespace="shop")] = NotFound("404 page not found")
    cluster.errors[path_of("VerticalPodAutoscaler", namespace="shop")] = Forbidden("is forbidden")

    found = await collect("autoscaling", scene(cluster=cluster))

    assert [one.facts.get("what", one.kind) for one in found] == [
        "VerticalPodAutoscaler",
        "autoscaling",
        "disruption-budgets",
    ]
    assert found[1].facts["vertical"] == []


async def test_autoscalers_that_cannot_be_read_are_not_none() -> None:
    cluster = FakeCluster()
    cluster.errors[path_of("HorizontalPodAutoscaler", namespace="shop")] = Forbidden("is forbidden")

    found = await collect("autoscaling", scene(cluster=cluster))

    assert [one.kind for one in found] == ["unavailable", "disruption-budgets"]


def budget(name: str, selector: Json, **meta: Any) -> Json:
    status = {"disruptionsAllowed": 1, "currentHealthy": 3, "desiredHealthy": 2, "observedGeneration": 1}
    return made("PodDisruptionBudget", name, {"minAvailable": 2, "selector": selector}, status, generation=1, **meta)


async def test_budgets_are_ours_by_their_selector_on_the_pods() -> None:
    cluster = FakeCluster(
        budget("ours", {"matchLabels": {"app": "checkout"}}),
        budget("everything", {}),
        budget("other", {"matchLabels": {"app": "cart"}}),
    )

    found = await collect("autoscaling", scene(pod("a", running()), cluster=cluster))

    assert found[-1].facts["budgets"] == [
        {"name": name, "allowed": 1, "healthy": 3, "desired": 2, "unhealthy_policy": None}
        for name in ("everything", "ours")
    ]


async def test_a_budget_is_ours_also_while_there_are_no_pods() -> None:
    cluster = FakeCluster(budget("ours", {"matchLabels": {"app": "checkout"}}))

    found = await collect("autoscaling", scene(cluster=cluster))

    assert len(found[-1].facts["budgets"]) == 1


async def test_a_budget_whose_status_is_older_than_its_spec_allows_nothing() -> None:
    stale = budget("ours", {"matchLabels": {"app": "checkout"}})
    stale["metadata"]["generation"] = 2
    stale["spec"]["unhealthyPodEvictionPolicy"] = "AlwaysAllow"

    found = await collect("autoscaling", scene(pod("a", running()), cluster=FakeCluster(stale)))

    [one] = found[-1].facts["budgets"]
    assert (one["allowed"], one["unhealthy_policy"]) == (0, "AlwaysAllow")
