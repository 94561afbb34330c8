from typing import Any

from remediator.simulate.workloads import deployment
from tests.unit.simulate.worlds import StillWorld


def test_an_oversized_pod_is_told_about_once() -> None:
    world = StillWorld()
    resources = {"requests": {"memory": "64Gi"}}
    world.cluster.apply(deployment("shop", "web", image="web:1", replicas=1, resources=resources))
    world.run(10)
    events = [event for event in world.cluster.list("CoreEvent", "shop") if event["reason"] == "FailedScheduling"]
    assert [(event["count"], event["source"]["component"]) for event in events] == [(1, "default-scheduler")]
    assert "2 Insufficient memory" in events[0]["message"]


def test_pods_are_spread_over_the_nodes() -> None:
    world = StillWorld()
    world.cluster.apply(deployment("shop", "web", image="web:1", replicas=4))
    world.run(5)
    assert sorted(pod["spec"]["nodeName"] for pod in world.pods()) == ["node-1", "node-1", "node-2", "node-2"]


def states(world: StillWorld) -> set[tuple[str, str, bool]]:
    """(node, Ready, terminating) of each pod."""

    def ready(pod: Any) -> str:
        found = [one["status"] for one in pod["status"].get("conditions", ()) if one["type"] == "Ready"]
        return found[0] if found else "-"

    return {(pod["spec"]["nodeName"], ready(pod), "deletionTimestamp" in pod["metadata"]) for pod in world.pods()}


def test_the_pods_of_a_lost_node_are_not_ready_and_replaced_after_five_minutes() -> None:
    world = StillWorld()
    world.cluster.apply(deployment("shop", "web", image="web:1", replicas=2))
    world.run(5)
    world.cluster.set_node_ready("node-1", ready=False)
    world.run(290)
    assert states(world) == {("node-1", "False", False), ("node-2", "True", False)}
    world.run(20)
    assert states(world) == {("node-1", "False", True), ("node-2", "True", False)}
    assert len(world.pods()) == 3
    world.cluster.set_node_ready("node-1", ready=True)
    world.run(3)
    assert states(world) == {("node-2", "True", False)}


def test_a_pod_waits_for_its_volume() -> None:
    world = StillWorld()
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    manifest = deployment("shop", "web", image="web:1", replicas=1)
    manifest["spec"]["template"]["spec"]["volumes"] = volumes
    world.cluster.apply(manifest)
    world.run(5)
    assert "unbound immediate PersistentVolumeClaims" in world.pods()[0]["status"]["conditions"][0]["message"]
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data", "namespace": "shop"}}
    world.cluster.apply(claim)
    world.cluster.set_status("PersistentVolumeClaim", "shop", "data", phase="Bound")
    world.run(5)
    assert states(world) == {("node-1", "True", False)}
