from typing import Any

import pytest

from remediator.kube.base import annotations_of
from remediator.simulate.workloads import deployment
from tests.unit.simulate.worlds import StillWorld, condition

REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"


@pytest.fixture
def world() -> StillWorld:
    return StillWorld()


def deployed(world: StillWorld, **extra: Any) -> StillWorld:
    world.cluster.apply(deployment("shop", "web", image="web:1", **{"replicas": 4} | extra))
    world.run(5)
    return world


def test_a_first_rollout_completes(world: StillWorld) -> None:
    item = deployed(world).deployment()
    assert condition(item, "Progressing")["reason"] == "NewReplicaSetAvailable"
    assert condition(item, "Available")["status"] == "True"
    assert item["status"]["observedGeneration"] == item["metadata"]["generation"] == 1


def test_a_crashing_rollout_stops_at_its_limits(world: StillWorld) -> None:
    deployed(world).cluster.patch_image("shop", "web", "web:2-crash")
    world.run(60)
    sizes = {image: item["spec"]["replicas"] for image, item in world.replica_sets().items()}
    assert sizes == {"web:1": 3, "web:2-crash": 2}
    assert world.deployment()["status"]["availableReplicas"] == 3


def test_a_stuck_rollout_misses_its_deadline(world: StillWorld) -> None:
    deployed(world, spec={"progressDeadlineSeconds": 30}).cluster.patch_image("shop", "web", "web:2-crash")
    world.run(40)
    progressing = condition(world.deployment(), "Progressing")
    assert (progressing["status"], progressing["reason"]) == ("False", "ProgressDeadlineExceeded")


def test_going_back_and_forth_renumbers_and_remembers(world: StillWorld) -> None:
    deployed(world)
    for image in ("web:2", "web:1", "web:2", "web:1"):
        world.cluster.patch_image("shop", "web", image)
        world.run(20)
    numbers = {image: annotations_of(item)[REVISION] for image, item in world.replica_sets().items()}
    history = {image: annotations_of(item)[HISTORY] for image, item in world.replica_sets().items()}
    assert numbers == {"web:1": "5", "web:2": "4"}
    assert history == {"web:1": "1,3", "web:2": "2"}
    assert annotations_of(world.deployment())[REVISION] == "5"


def test_annotations_are_copied_to_the_replica_set_but_not_the_controllers_own(world: StillWorld) -> None:
    secret = "kubectl.kubernetes.io/last-applied-configuration"
    deployed(world, annotations={"team": "shop", secret: "{}"})
    copied = annotations_of(world.replica_sets()["web:1"])
    assert copied["team"] == "shop"
    assert secret not in copied


def test_what_is_not_observed_yet_has_the_old_status(world: StillWorld) -> None:
    deployed(world).cluster.hold_controllers()
    world.cluster.patch_image("shop", "web", "web:2")
    world.run(5)
    item = world.deployment()
    assert (item["metadata"]["generation"], item["status"]["observedGeneration"]) == (2, 1)
    assert "web:2" not in world.replica_sets()
    world.cluster.release_controllers()
    assert "web:2" in world.replica_sets()


def test_only_so_many_old_replica_sets_are_kept(world: StillWorld) -> None:
    deployed(world, spec={"revisionHistoryLimit": 1})
    for image in ("web:2", "web:3"):
        world.cluster.patch_image("shop", "web", image)
        world.run(20)
    assert set(world.replica_sets()) == {"web:2", "web:3"}


def test_a_paused_deployment_does_not_roll_out(world: StillWorld) -> None:
    deployed(world).cluster.apply(deployment("shop", "web", image="web:2", replicas=4, spec={"paused": True}))
    world.run(10)
    assert set(world.replica_sets()) == {"web:1"}
    assert condition(world.deployment(), "Progressing")["reason"] == "DeploymentPaused"


def test_recreate_removes_all_old_pods_before_the_first_new_one(world: StillWorld) -> None:
    deployed(world, strategy={"type": "Recreate"}).cluster.patch_image("shop", "web", "web:2")
    seen = []
    for _ in range(8):
        images = {pod["spec"]["containers"][0]["image"] for pod in world.pods()}
        seen.append(images)
        world.run(1)
    assert {"web:1", "web:2"} not in seen
    assert seen[-1] == {"web:2"}


def test_scaling_creates_no_revision(world: StillWorld) -> None:
    deployed(world).cluster.apply(deployment("shop", "web", image="web:1", replicas=6))
    world.run(5)
    item = world.deployment()
    assert (item["status"]["readyReplicas"], annotations_of(item)[REVISION]) == (6, "1")


def test_a_deleted_deployment_takes_its_pods_along(world: StillWorld) -> None:
    deployed(world).cluster.delete("Deployment", "shop", "web")
    assert (world.pods(), world.replica_sets()) == ([], {})


def test_a_failed_pod_stays_and_is_replaced(world: StillWorld) -> None:
    name = deployed(world).pods()[0]["metadata"]["name"]
    world.cluster.set_pod_status("shop", name, phase="Failed", reason="Evicted")
    world.run(5)
    phases = sorted(pod["status"]["phase"] for pod in world.pods())
    assert phases == ["Failed", "Running", "Running", "Running", "Running"]


def test_min_ready_seconds_delay_availability(world: StillWorld) -> None:
    deployed(world, spec={"minReadySeconds": 10})
    status = world.deployment()["status"]
    assert (status["readyReplicas"], status.get("availableReplicas", 0)) == (4, 0)
    world.run(10)
    assert world.deployment()["status"]["availableReplicas"] == 4


def test_the_back_off_of_a_crash_loop_doubles(world: StillWorld) -> None:
    world.cluster.apply(deployment("shop", "web", image="web:crash", replicas=1))
    counts = []
    for _ in range(75):
        world.run(1)
        statuses = world.pods()[0]["status"].get("containerStatuses") or [{"restartCount": 0}]
        counts.append(statuses[0]["restartCount"])
    # The containers start in the third second; the next restarts come 10, 20 and 40 seconds later.
    assert [counts.index(number) for number in (1, 2, 3, 4)] == [2, 12, 32, 72]
