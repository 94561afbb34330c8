"""From an autoscaler, a volume claim, a disruption budget or a Service to the one workload behind it."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.target.behind import MAX_LISTED, MAX_OWNERS
from remediator.target.labels import NoTarget
from remediator.target.resolve import MAX_CALLS
from tests.fakes import FakeCluster
from tests.unit.target.alerts import find, refused, resolved
from tests.unit.target.world import (
    Json,
    lab,
    labelled,
    made,
    mounting,
    owned,
    pod,
    service,
    slice_of,
    workload,
)


async def test_autoscaler_leads_to_what_it_scales_and_not_to_its_namesake() -> None:
    found = await resolved(lab(), horizontalpodautoscaler="checkout")
    assert found.chain == ("HorizontalPodAutoscaler checkout", "Deployment checkout-web")


@pytest.mark.parametrize(
    ("version", "kind"), [("argoproj.io/v1alpha1", "Rollout"), ("apps.kruise.io/v1beta1", "StatefulSet")]
)
async def test_autoscaler_of_a_foreign_kind_is_unsupported(version: str, kind: str) -> None:
    reference = {"apiVersion": version, "kind": kind, "name": "web"}
    cluster = FakeCluster(
        made("HorizontalPodAutoscaler", "web", spec={"scaleTargetRef": reference}), workload("StatefulSet", "web")
    )
    assert (await refused(cluster, horizontalpodautoscaler="web"))[0] == "target-unsupported"


async def test_service_in_mid_rollout_leads_to_its_one_deployment() -> None:
    cluster = lab()
    found = await resolved(cluster, service="checkout")
    assert found.chain[0] == "Service checkout"
    assert found.chain[-1] == "Deployment checkout"
    assert cluster.calls.count("GET /apis/apps/v1/namespaces/shop/deployments/checkout") == 1


async def test_service_with_a_canary_is_ambiguous_and_lists_both() -> None:
    reason, detail = await refused(lab(), service="mixed")
    assert reason == "target-ambiguous"
    assert "Deployment mixed;" in detail
    assert "Deployment mixed-canary" in detail


async def test_service_counts_what_its_slices_list_and_not_what_its_selector_overlaps() -> None:
    cluster = lab()
    cluster.add(slice_of("mixed", [cluster.peek("Pod", "shop", "mixed-1-x")], part="0"))
    cluster.remove("EndpointSlice", "shop", "mixed-1")
    assert (await resolved(cluster, service="mixed")).target.name == "mixed"


async def test_service_without_endpoints_leads_to_the_pods_it_selects() -> None:
    """Pods that never got an address are in no slice, and that is when the alert comes."""
    cluster = lab()
    for part in ("checkout-0", "checkout-1"):
        cluster.peek("EndpointSlice", "shop", part)["endpoints"] = []
    assert (await resolved(cluster, service="checkout")).target.name == "checkout"


async def test_slice_of_another_owner_does_not_count() -> None:
    cluster = lab()
    stranger = owned(slice_of("checkout", [], part="mirror"), made("Service", "remote"))
    cluster.add({**stranger, "endpoints": [{"addresses": ["10.0.0.9"]}]})
    assert (await resolved(cluster, service="checkout")).target.name == "checkout"


@pytest.mark.parametrize(
    ("spec", "endpoints"),
    [({}, []), ({"selector": {"app": "x"}}, [{"addresses": ["10.0.0.9"]}])],
    ids=["no-selector", "endpoint-without-a-pod"],
)
async def test_service_that_leads_outside_is_unsupported(spec: Json, endpoints: list[Json]) -> None:
    front = made("Service", "x", spec=spec)
    part = {**slice_of("x", [], part="0"), "endpoints": endpoints}
    assert (await refused(FakeCluster(front, part), service="x"))[0] == "target-unsupported"


async def test_service_that_leads_nowhere_is_not_found() -> None:
    assert (await refused(FakeCluster(*service("x", [])), service="x"))[0] == "target-not-found"
    assert (await refused(lab(), service="nothing"))[0] == "target-not-found"


def claimed_by(*pods: Json) -> list[Json]:
    claim = made("PersistentVolumeClaim", "data", spec={})
    return [claim, *(mounting(one, "data") for one in pods)]


async def test_volume_claim_leads_to_the_workload_that_mounts_it() -> None:
    database, other = workload("StatefulSet", "db"), workload("StatefulSet", "other")
    cluster = FakeCluster(database, other, *claimed_by(owned(pod("db-0"), database)), owned(pod("other-0"), other))
    assert (await resolved(cluster, persistentvolumeclaim="data")).chain == (
        "PersistentVolumeClaim data",
        "Pod db-0",
        "StatefulSet db",
    )


async def test_volume_claim_of_two_workloads_is_ambiguous_unless_one_has_ended() -> None:
    database, backup = workload("StatefulSet", "db"), workload("Job", "backup")
    cluster = FakeCluster(database, backup, *claimed_by(owned(pod("db-0"), database), owned(pod("backup-x"), backup)))
    assert (await refused(cluster, persistentvolumeclaim="data"))[0] == "target-ambiguous"
    cluster.peek("Pod", "shop", "backup-x")["status"]["phase"] = "Succeeded"
    assert (await resolved(cluster, persistentvolumeclaim="data")).target.name == "db"


async def test_ephemeral_volume_claim_belongs_to_its_pod() -> None:
    scratch = workload("StatefulSet", "scratch")
    one = owned(pod("scratch-0", volumes=[{"name": "tmp", "ephemeral": {}}]), scratch)
    cluster = FakeCluster(scratch, one, made("PersistentVolumeClaim", "scratch-0-tmp", spec={}))
    assert (await resolved(cluster, persistentvolumeclaim="scratch-0-tmp")).target.name == "scratch"


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ({"matchLabels": {"app": "checkout"}}, "checkout"),
        ({"matchLabels": {"app": "mixed"}}, "target-ambiguous"),
        ({"matchLabels": {"app": "none"}}, "target-not-found"),
        ({}, "target-ambiguous"),
        (None, "target-ambiguous"),
    ],
)
async def test_disruption_budget_leads_to_the_one_workload_of_its_pods(selector: Any, expected: str) -> None:
    cluster = lab()
    cluster.add(made("PodDisruptionBudget", "guard", spec={"selector": selector}))
    found = await find(cluster, poddisruptionbudget="guard")
    assert (found.reason.value if isinstance(found, NoTarget) else found.target.name) == expected


async def test_pods_of_a_workload_and_of_nobody_are_ambiguous() -> None:
    web = workload("StatefulSet", "web")
    pods = [labelled(owned(pod("web-0"), web), app="web"), labelled(pod("stray"), app="web")]
    reason, detail = await refused(FakeCluster(web, *pods, *service("web", pods)), service="web")
    assert reason == "target-ambiguous"
    assert "Pod stray has no controller" in detail


async def test_replica_sets_of_one_rollout_are_unsupported_and_not_ambiguous() -> None:
    rollout = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "web", "uid": "u"}}
    sets = [owned(workload("ReplicaSet", f"web-{n}"), rollout) for n in (1, 2)]
    pods = [labelled(owned(pod(f"{one['metadata']['name']}-x"), one), app="web") for one in sets]
    assert (await refused(FakeCluster(*sets, *pods, *service("web", pods)), service="web"))[0] == "target-unsupported"


def crowd(owners: int) -> FakeCluster:
    """A Service whose pods belong to `owners` ReplicaSets of as many Deployments."""
    objects: list[Json] = []
    pods: list[Json] = []
    for number in range(owners):
        deployment = workload("Deployment", f"d{number}")
        replicas = owned(workload("ReplicaSet", f"r{number}"), deployment)
        pods.append(labelled(owned(pod(f"p{number}"), replicas), app="crowd"))
        objects += [deployment, replicas]
    return FakeCluster(*objects, *pods, *service("crowd", pods))


async def test_worst_case_stays_within_the_promised_number_of_calls() -> None:
    cluster = crowd(MAX_OWNERS)
    assert (await refused(cluster, pod="gone", service="crowd"))[0] == "target-ambiguous"
    assert len(cluster.calls) == MAX_CALLS == 20


async def test_more_owners_than_are_followed_is_refused_without_following_any() -> None:
    cluster = crowd(MAX_OWNERS + 1)
    assert (await refused(cluster, service="crowd"))[0] == "target-ambiguous"
    assert len(cluster.calls) == 3


async def test_list_that_was_cut_could_hide_a_second_workload_and_is_refused() -> None:
    web = workload("StatefulSet", "web")
    pods = [labelled(owned(pod(f"web-{number}"), web), app="web") for number in range(MAX_LISTED)]
    cluster = FakeCluster(web, *pods, *service("web", pods[:2]))
    reason, detail = await refused(cluster, service="web")
    assert (reason, "not all were read" in detail) == ("target-ambiguous", True)


async def test_slices_that_were_cut_could_hide_a_second_workload_and_are_refused() -> None:
    web = workload("StatefulSet", "web")
    one = labelled(owned(pod("web-0"), web), app="web")
    slices = [slice_of("web", [], part=str(number)) for number in range(2, MAX_LISTED + 2)]
    reason, detail = await refused(FakeCluster(web, one, *service("web", [one]), *slices), service="web")
    assert (reason, "not all were read" in detail) == ("target-ambiguous", True)
