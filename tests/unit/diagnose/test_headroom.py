"""How many more pods fit: quotas by resource and scope, and what the nodes leave."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.diagnose.resources.headroom import UNLIMITED, Room, limit_range, node_room, quota_left, quota_room
from remediator.prometheus.base import Sample


def quota(hard: dict[str, str], used: dict[str, str] | None = None, **spec: Any) -> Any:
    """`used` None: nothing used of anything."""
    counted = dict.fromkeys(hard, "0") if used is None else used
    return {"metadata": {"name": "q"}, "spec": {"hard": hard, **spec}, "status": {"hard": hard, "used": counted}}


def live(resources: Any = None, *, qos: str = "Burstable", **spec: Any) -> Any:
    given = {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}
    container = {"name": "app", "resources": given if resources is None else resources}
    return {"spec": {"containers": [container], **spec}, "status": {"qosClass": qos}}


def scoped(name: str, operator: str, *values: str) -> Any:
    return {"scopeSelector": {"matchExpressions": [{"scopeName": name, "operator": operator, "values": list(values)}]}}


CASES: list[tuple[str, list[Any], Any, int | None, str]] = [
    ("no quota", [], live(), UNLIMITED, "no quota"),
    ("by pods", [quota({"pods": "5"}, {"pods": "3"})], live(), 2, "q: pods"),
    ("by count of pods", [quota({"count/pods": "5"}, {"count/pods": "5"})], live(), 0, "q: count/pods"),
    ("by requests", [quota({"requests.cpu": "2"}, {"requests.cpu": "400m"})], live(), 3, "q: requests.cpu"),
    ("by the short name", [quota({"memory": "10Gi"}, {"memory": "5Gi"})], live(), 5, "q: memory"),
    ("by limits", [quota({"limits.memory": "10Gi"}, {"limits.memory": "5Gi"})], live(), 2, "q: limits.memory"),
    ("used beyond what is allowed", [quota({"pods": "2"}, {"pods": "3"})], live(), 0, "q: pods"),
    ("the tightest of several", [quota({"pods": "9"}), quota({"requests.cpu": "1"})], live(), 2, "q: requests.cpu"),
    ("what pods do not take", [quota({"services": "1", "requests.storage": "1Gi"})], live(), UNLIMITED, "no quota"),
    ("a limit that the pod lacks is refused", [quota({"limits.cpu": "8"})], live(), 0, "q: limits.cpu"),
    ("a GPU that the pod does not want", [quota({"requests.nvidia.com/gpu": "0"})], live(), UNLIMITED, ""),
    (
        "a GPU that it wants",
        [quota({"requests.nvidia.com/gpu": "4"}, {"requests.nvidia.com/gpu": "2"})],
        live({"requests": {"nvidia.com/gpu": "1"}, "limits": {"nvidia.com/gpu": "1"}}),
        2,
        "q: requests.nvidia.com/gpu",
    ),
    ("not counted yet", [quota({"pods": "5"}, {})], live(), None, "not counted|counted yet"),
    ("of best-effort pods", [quota({"pods": "0"}, scopes=["BestEffort"])], live(), UNLIMITED, ""),
    ("of best-effort pods as it is", [quota({"pods": "0"}, scopes=["BestEffort"])], live(qos="BestEffort"), 0, ""),
    ("of others, and it is one", [quota({"pods": "0"}, scopes=["NotBestEffort"])], live(), 0, ""),
    ("of pods with a deadline", [quota({"pods": "0"}, scopes=["Terminating"])], live(), UNLIMITED, ""),
    ("of pods without", [quota({"pods": "0"}, scopes=["NotTerminating"])], live(), 0, ""),
    (
        "of another priority",
        [quota({"pods": "0"}, **scoped("PriorityClass", "In", "high"))],
        live(priorityClassName="low"),
        UNLIMITED,
        "",
    ),
    (
        "of its priority",
        [quota({"pods": "0"}, **scoped("PriorityClass", "In", "high"))],
        live(priorityClassName="high"),
        0,
        "",
    ),
    ("of a scope of a later release", [quota({"pods": "9"}, scopes=["Moonlit"])], live(), None, "scope"),
    (
        "of two scopes, one of which does not hold",
        [quota({"pods": "0"}, scopes=["Moonlit", "BestEffort"])],
        live(),
        UNLIMITED,
        "",
    ),
]


@pytest.mark.parametrize(
    ("quotas", "pod", "pods", "words"), [row[1:] for row in CASES], ids=[row[0] for row in CASES]
)
def test_what_quotas_leave(quotas: list[Any], pod: Any, pods: int | None, words: str) -> None:
    found = quota_room(quotas, pod)

    assert found.pods == pods
    assert any(word in found.what for word in words.split("|"))


def rooms(**by: float) -> list[Sample]:
    return [Sample({"resource": name}, value) for name, value in by.items()]


NODES: list[tuple[str, list[Sample], Room]] = [
    ("the scarcest is named", rooms(all=7, cpu=7, memory=30, pods=200), Room(7, "nodes: cpu")),
    ("no room", rooms(all=0, cpu=12, memory=0, pods=9), Room(0, "nodes: memory")),
    ("no node is fit", rooms(all=0), Room(0, "nodes")),
    ("more than anyone needs", rooms(all=1e9, pods=1e9), Room(UNLIMITED, "nodes: pods")),
]


@pytest.mark.parametrize(("samples", "room"), [row[1:] for row in NODES], ids=[row[0] for row in NODES])
def test_what_nodes_leave(samples: list[Sample], room: Room) -> None:
    assert node_room(samples) == room


def test_without_a_series_of_any_node_the_room_is_unknown() -> None:
    assert node_room([]).pods is None


def test_what_a_quota_leaves_in_base_units() -> None:
    hard = {"limits.memory": "2Gi", "pods": "3", "x": "1"}

    summary, facts = quota_left(quota(hard, {"limits.memory": "1Gi", "pods": "3"}))

    assert facts == {"quota": "q", "left": {"limits.memory": 2**30, "pods": 0, "x": None}}
    assert "nothing left of pods" in summary


def test_a_limit_range_tells_its_bounds_for_pods_and_containers() -> None:
    item = {
        "metadata": {"name": "bounds"},
        "spec": {
            "limits": [
                {"type": "Container", "max": {"memory": "1Gi"}, "min": {"cpu": "10m"}, "default": {"cpu": "1"}},
                {"type": "PersistentVolumeClaim", "max": {"storage": "1Gi"}},
            ]
        },
    }

    [(_, facts)] = limit_range(item)

    assert facts == {"name": "bounds", "type": "Container", "min": {"cpu": 0.01}, "max": {"memory": 2**30}}
