import pytest

from remediator.simulate.kubelet import quantity
from remediator.simulate.workloads import deployment
from tests.unit.simulate.worlds import StillWorld


@pytest.mark.parametrize(
    ("text", "value"),
    [("500m", 0.5), ("2", 2), (3, 3), ("1.5", 1.5), ("1Ki", 1024), ("16Gi", 16 * 2**30), ("2k", 2000), ("1M", 1e6)],
)
def test_quantities(text: str, value: float) -> None:
    assert quantity(text) == value


def test_what_is_no_quantity_is_an_error() -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        quantity("a lot")


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
