"""The other controllers of the embedded cluster, and that they look at what changed only."""

import time
from typing import Any

from remediator.kube.rollout import rollout_status
from remediator.simulate.workloads import deployment
from tests.unit.simulate.worlds import StillWorld, condition

SERVICE: Any = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
}


def endpoints(world: StillWorld) -> list[bool]:
    (found,) = world.cluster.list("EndpointSlice", "shop")
    return [one["conditions"]["ready"] for one in found["endpoints"]]


def test_a_service_has_its_pods_as_endpoints() -> None:
    world = StillWorld()
    world.cluster.apply(SERVICE)
    assert endpoints(world) == []
    world.cluster.apply(deployment("shop", "web", image="web:1", replicas=2))
    world.run(5)
    assert endpoints(world) == [True, True]
    world.cluster.patch_image("shop", "web", "web:2-neverready")
    world.run(5)
    assert sorted(endpoints(world)) == [False, True, True]
    world.cluster.delete("Service", "shop", "web")
    assert world.cluster.list("EndpointSlice", "shop") == []


def test_a_quota_lets_no_more_pods_be_created_and_says_so() -> None:
    world = StillWorld()
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small", "namespace": "shop"}}
    world.cluster.apply(quota | {"spec": {"hard": {"pods": "2"}}})
    world.cluster.apply(deployment("shop", "web", image="web:1", replicas=3))
    world.run(5)
    assert len(world.pods()) == 2
    assert world.cluster.get("ResourceQuota", "shop", "small")["status"]["used"] == {"pods": "2"}
    failure = condition(world.deployment(), "ReplicaFailure")
    assert failure["message"].endswith("exceeded quota: small, requested: pods=1, used: pods=2, limited: pods=2")
    world.cluster.apply(quota | {"spec": {"hard": {"pods": "3"}}})
    world.run(5)
    assert len(world.pods()) == 3
    assert "ReplicaFailure" not in {one["type"] for one in world.deployment()["status"]["conditions"]}


def test_what_is_owned_goes_with_its_owner_and_with_its_namespace() -> None:
    world = StillWorld()
    world.cluster.apply(deployment("shop", "web", image="web:1", replicas=2))
    world.cluster.apply(deployment("pay", "web", image="web:1", replicas=2))
    world.run(5)
    world.cluster.delete("Deployment", "shop", "web")
    world.cluster.delete("Namespace", None, "pay")
    assert [world.cluster.list(kind) for kind in ("Pod", "ReplicaSet", "Deployment")] == [[], [], []]


def test_five_hundred_deployments_come_up_in_seconds() -> None:
    """All objects looked at for each write would take minutes."""
    world = StillWorld()
    began = time.process_time()
    for number in range(500):
        world.cluster.apply(deployment(f"team-{number % 50}", f"app-{number}", image="web:1", replicas=2))
    world.run(6)
    assert all(rollout_status(item).is_complete for item in world.cluster.list("Deployment"))
    assert time.process_time() - began < 20
