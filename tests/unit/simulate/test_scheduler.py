"""The embedded scheduler speaks as the real one, so that the service reads the same classes out of it."""

from typing import Any

import pytest

from remediator.kube.unschedulable import unschedulable
from remediator.simulate.scheduler import fitting, quantity


def node(name: str, **spec: Any) -> Any:
    room = {"cpu": "8", "memory": "16Gi"}
    return {"metadata": {"name": name, "labels": {"disk": "ssd"}}, "spec": spec, "status": {"allocatable": room}}


def pod(requests: Any = None, **spec: Any) -> Any:
    return {"spec": {"containers": [{"name": "app", "resources": {"requests": requests or {}}}], **spec}}


GPU = {"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}
TOLERATES = [{"key": "dedicated", "operator": "Equal", "value": "gpu", "effect": "NoSchedule"}]
TABLE = [
    ("too much memory", pod({"memory": "64Gi"}), [node("a"), node("b")], False, "capacity", 2),
    ("a label that no node has", pod(nodeSelector={"disk": "tape"}), [node("a")], False, "affinity", 1),
    ("a taint", pod(), [node("a", taints=[GPU])], False, "taint", 1),
    ("cordoned", pod(), [node("a", unschedulable=True)], False, "taint", 1),
    ("both", pod({"cpu": "9"}), [node("a"), node("b", unschedulable=True)], False, "mixed", 2),
    ("a claim without its volume", pod(), [node("a")], True, "volume", 1),
]


@pytest.mark.parametrize(("given", "nodes", "unbound", "kind", "count"), [row[1:] for row in TABLE], ids=lambda _: "")
def test_why_a_pod_fits_nowhere_is_said_as_the_scheduler_says_it(
    given: Any, nodes: Any, unbound: bool, kind: str, count: int
) -> None:
    fit, message = fitting(given, nodes, unbound=unbound)
    read = unschedulable("Unschedulable", message)
    assert (list(fit), read.kind.value, read.nodes) == ([], kind, count), message


@pytest.mark.parametrize("given", [pod(), pod(tolerations=TOLERATES), pod(nodeSelector={"disk": "ssd"})])
def test_a_pod_fits_where_nothing_refuses_it(given: Any) -> None:
    free = node("b", taints=[GPU] if given["spec"].get("tolerations") else [])
    fit, message = fitting(given, [node("a", unschedulable=True), free], unbound=False)
    assert ([one["metadata"]["name"] for one in fit], message) == (["b"], "")


@pytest.mark.parametrize(
    ("text", "value"),
    [("500m", 0.5), ("2", 2), (3, 3), ("1.5", 1.5), ("1Ki", 1024), ("16Gi", 16 * 2**30), ("2k", 2000), ("1M", 1e6)],
)
def test_quantities(text: str, value: float) -> None:
    assert quantity(text) == value


def test_what_is_no_quantity_is_an_error() -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        quantity("a lot")
