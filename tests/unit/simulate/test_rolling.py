"""Numbers from kubernetes `pkg/controller/deployment`: `rolling_test.go` and the comments of `rolling.go`."""

from typing import Any

import pytest

from remediator.simulate import rolling


def make(replicas: int, *, available: int = 0, name: str = "rs", surge: Any = "25%", unavailable: Any = "25%") -> Any:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
    return {
        "metadata": {"name": name, "creationTimestamp": "2026-11-23T12:00:00Z", "annotations": {}},
        "spec": {"replicas": replicas, "strategy": strategy},
        "status": {"availableReplicas": available, "replicas": replicas},
    }


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "expected"),
    [
        (4, "25%", "25%", (1, 1)),
        (2, "25%", "25%", (1, 0)),
        (1, "25%", "25%", (1, 0)),
        (10, "25%", "25%", (3, 2)),
        (10, 0, 0, (0, 1)),
        (3, 2, 5, (2, 3)),
        (0, "25%", "25%", (0, 0)),
    ],
)
def test_surge_rounds_up_and_unavailability_down(replicas: int, surge: Any, unavailable: Any, expected: Any) -> None:
    item = make(replicas, surge=surge, unavailable=unavailable)
    assert (rolling.max_surge(item), rolling.max_unavailable(item)) == expected


@pytest.mark.parametrize(
    ("replicas", "old", "current", "expected"),
    [(10, 10, 0, 3), (10, 8, 3, 5), (10, 0, 0, 10), (10, 13, 0, 0), (10, 0, 12, 10), (2, 2, 0, 1)],
)
def test_the_new_one_grows_into_the_room_that_is_left(replicas: int, old: int, current: int, expected: int) -> None:
    assert rolling.next_new_size(make(replicas), [make(old)], current) == expected


@pytest.mark.parametrize(
    ("old", "old_available", "new", "new_available", "expected"),
    [
        (10, 10, 3, 0, {"old": 8}),
        (8, 8, 5, 0, {}),
        (8, 8, 5, 5, {"old": 3}),
        # The controller's own example: after the rollback to a ReplicaSet with one sick pod, four crashing ones go.
        (5, 0, 8, 7, {"old": 1}),
    ],
)
def test_the_old_one_shrinks_as_far_as_availability_allows(
    old: int, old_available: int, new: int, new_available: int, expected: dict[str, int]
) -> None:
    deployment = make(10, unavailable=2, surge=3)
    sizes = rolling.next_old_sizes(
        deployment, make(new, available=new_available, name="new"), [make(old, available=old_available, name="old")]
    )
    assert sizes == expected


def test_scaling_in_the_middle_of_a_rollout_is_shared_out_in_proportion() -> None:
    sets = [make(8, name="old"), make(5, name="new")]
    for item in sets:
        item["metadata"]["annotations"][rolling.MAXIMUM] = "13"
    assert rolling.proportional_sizes(make(20, surge=6), sets) == {"old": 16, "new": 10}
