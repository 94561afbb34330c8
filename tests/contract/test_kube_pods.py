"""What becomes of workloads and pods, in the embedded cluster and in a real Kubernetes 1.36."""

import asyncio
import re
import secrets
from typing import Any

import pytest

from remediator.kube.base import Invalid, NotFound, annotations_of, controller_of
from remediator.kube.unschedulable import unschedulable
from remediator.model import Request
from remediator.simulate.workloads import deployment
from tests.contract.kube_scenarios import (
    CRASH,
    GOOD,
    REVISION,
    World,
    bare_deployment,
    condition,
    event,
    until,
    waiting_reason,
)

HISTORY = "deployment.kubernetes.io/revision-history"

# --- rollouts


async def test_a_crashing_image_gets_a_new_replica_set_and_the_old_one_keeps_serving(world: World) -> None:
    name = (await world.deploy())["metadata"]["name"]
    await world.set_image(name, CRASH)

    async def crashing() -> Any:
        sets = await world.replica_sets(name)
        pods = await world.cluster.list(world.path("Pod"), label_selector=f"app={name}")
        bad = [
            pod
            for pod in pods
            if CRASH in sets
            and (controller_of(pod) or {}).get("uid") == sets[CRASH]["metadata"]["uid"]
            and pod["status"].get("containerStatuses")
            and waiting_reason(pod) == "CrashLoopBackOff"
        ]
        return sets if bad else None

    sets = await until(crashing, "a pod of the new ReplicaSet that crashes")
    assert sets[GOOD]["status"]["readyReplicas"] == 2
    assert [annotations_of(sets[image])[REVISION] for image in (GOOD, CRASH)] == ["1", "2"]


async def test_rolling_back_uses_the_old_replica_set_again_under_a_new_number(world: World) -> None:
    before = await world.deploy(annotations={"team": "shop"})
    name = before["metadata"]["name"]
    first = (await world.replica_sets(name))[GOOD]
    await world.set_image(name, CRASH)

    async def is_out() -> bool:
        progressing = condition(await world.get("Deployment", name), "Progressing")
        # Which of the two reasons of a running rollout stays depends on how the controller's updates fall together.
        is_running = progressing["reason"] in ("NewReplicaSetCreated", "ReplicaSetUpdated")
        return CRASH in await world.replica_sets(name) and is_running

    await until(is_out, "the bad rollout under way")
    await asyncio.sleep(1.1)  # the API's times are whole seconds
    await world.set_image(name, GOOD)
    after = await world.settled(name)
    again = (await world.replica_sets(name))[GOOD]
    assert again["metadata"]["uid"] == first["metadata"]["uid"]
    assert again["metadata"]["creationTimestamp"] == first["metadata"]["creationTimestamp"]
    assert (annotations_of(again)[REVISION], annotations_of(again)[HISTORY]) == ("3", "1")
    assert annotations_of(again)["team"] == "shop"
    assert annotations_of(after)[REVISION] == "3"
    times = [condition(item, "Progressing")["lastUpdateTime"] for item in (before, after)]
    assert times[0] < times[1]
    assert len({condition(item, "Progressing")["lastTransitionTime"] for item in (before, after)}) == 1


async def test_a_deleted_pod_is_replaced(world: World) -> None:
    name = (await world.deploy(replicas=1))["metadata"]["name"]
    (pod,) = await world.cluster.list(world.path("Pod"), label_selector=f"app={name}")
    options = {"preconditions": {"uid": pod["metadata"]["uid"]}}
    request = Request("DELETE", world.path("Pod", pod["metadata"]["name"]), "application/json", options)
    await world.cluster.send(request, dry_run=False)

    async def replaced() -> Any:
        pods = await world.cluster.list(world.path("Pod"), label_selector=f"app={name}")
        return [other["metadata"]["uid"] for other in pods] != [pod["metadata"]["uid"]] and len(pods) == 1

    await until(replaced, "another pod")


# --- pods, logs, events


@pytest.mark.parametrize(
    ("image", "phase", "waiting", "ready", "exit_code"),
    [
        ("app:1-crash", "Running", "CrashLoopBackOff", "False", 1),
        ("app:1-oom", "Running", "CrashLoopBackOff", "False", 137),
        ("app:1-imagepull", "Pending", "ImagePullBackOff", "False", None),
        ("app:1-noconfig", "Pending", "CreateContainerConfigError", "False", None),
        ("app:1-neverready", "Running", "", "False", None),
        ("app:1", "Running", "", "True", None),
    ],
)
async def test_a_pod_becomes_what_its_image_says(
    world: World, image: str, phase: str, waiting: str, ready: str, exit_code: int | None
) -> None:
    pod = await world.pod_that(image, lambda pod: pod["status"]["phase"] == phase and waiting_reason(pod) == waiting)
    container = pod["status"]["containerStatuses"][0]
    died = (container.get("lastState") or {}).get("terminated") or {}
    assert (condition(pod, "Ready")["status"], condition(pod, "ContainersReady")["status"]) == (ready, ready)
    assert condition(pod, "Ready").get("reason") == (None if ready == "True" else "ContainersNotReady")
    assert died.get("exitCode") == exit_code
    assert condition(pod, "Ready")["lastTransitionTime"]
    if waiting == "CreateContainerConfigError":
        assert container["state"]["waiting"]["message"] == 'configmap "app-config" not found'


async def test_a_pod_that_fits_nowhere_stays_pending(world: World) -> None:
    name = f"huge-{secrets.token_hex(3)}"
    container = {"name": "app", "image": "app:1", "resources": {"requests": {"cpu": "100000"}}}
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [container]}}
    await world.create("Pod", manifest)

    async def judged() -> Any:
        pod = await world.get("Pod", name)
        return pod if pod["status"].get("conditions") else None

    pod = await until(judged, "the scheduler's answer")
    scheduled = condition(pod, "PodScheduled")
    assert (pod["status"]["phase"], scheduled["status"], scheduled["reason"]) == ("Pending", "False", "Unschedulable")
    assert re.match(r"0/(\d+) nodes are available: \1 Insufficient cpu\.", scheduled["message"])
    assert re.search(r"preemption: 0/(\d+) nodes are available: \1 ", scheduled["message"])
    assert "nodeName" not in pod["spec"]


async def test_a_crash_loop_keeps_restarting(world: World) -> None:
    def restarts(pod: Any) -> int:
        return int(pod["status"]["containerStatuses"][0]["restartCount"])

    pod = await world.pod_that("app:2-crash", lambda pod: restarts(pod) >= 2)
    assert waiting_reason(pod) == "CrashLoopBackOff"


async def test_logs_of_a_crashed_container_and_of_the_one_before(world: World) -> None:
    pod = await world.pod_that("app:1-crash", lambda pod: waiting_reason(pod) == "CrashLoopBackOff")
    for previous in (False, True):
        logs = await read_logs(world, pod, previous=previous)
        assert "Traceback" in logs.text
        assert logs.complete_tail


async def read_logs(world: World, pod: Any, *, previous: bool, **bounds: int) -> Any:
    limits = {"tail_lines": 100, "limit_bytes": 65536} | bounds
    name = pod["metadata"]["name"]

    async def reading() -> Any:
        # KWOK learns of a pod's log a moment after it has written the pod's status.
        try:
            found = await world.cluster.logs(
                namespace=world.namespace, pod=name, container="app", previous=previous, **limits
            )
        except Invalid:
            return None
        return found if found.text else None

    return await until(reading, f"the log of {name}")


async def test_logs_keep_the_newest_lines_within_a_byte_limit(world: World) -> None:
    pod = await world.pod_that("app:1-crash", lambda pod: waiting_reason(pod) == "CrashLoopBackOff")
    whole = await read_logs(world, pod, previous=False)
    some = await read_logs(world, pod, previous=False, limit_bytes=len(whole.text) // 2)
    assert whole.text.endswith(some.text)


@pytest.mark.parametrize(
    ("image", "previous"), [("app:1", True), ("app:1-imagepull", False)], ids=["no previous", "not started"]
)
async def test_logs_that_do_not_exist_are_an_error_that_says_so(world: World, image: str, previous: bool) -> None:
    pod = await world.pod_that(image, lambda pod: True)
    with pytest.raises((NotFound, Invalid)):
        await world.cluster.logs(
            namespace=world.namespace,
            pod=pod["metadata"]["name"],
            container="app",
            previous=previous,
            tail_lines=10,
            limit_bytes=1024,
        )


async def test_events_are_found_by_the_uid_of_their_object(world: World) -> None:
    pod = await world.pod_that("app:1-crash", lambda pod: waiting_reason(pod) == "CrashLoopBackOff")
    selector = f"involvedObject.uid={pod['metadata']['uid']}"

    async def back_off() -> Any:
        events = await world.cluster.list(world.path("CoreEvent"), field_selector=selector)
        return [found for found in events if found["reason"] == "BackOff"]

    (found,) = await until(back_off, "a BackOff event")
    assert found["involvedObject"]["name"] == pod["metadata"]["name"]
    assert found["type"] == "Warning"


async def test_an_event_of_ours_is_seen_by_both_apis(world: World) -> None:
    item = await bare_deployment(world)
    made = await world.create("Event", event(world.namespace, item))
    assert (made["note"], made["regarding"]["uid"]) == ("would roll back", item["metadata"]["uid"])
    old = await world.get("CoreEvent", made["metadata"]["name"])
    assert (old["message"], old["involvedObject"]["uid"]) == ("would roll back", item["metadata"]["uid"])


async def test_a_generated_name_cannot_be_asked_for_with_a_dot_at_its_end(world: World) -> None:
    item = await bare_deployment(world)
    dotted = event(world.namespace, item) | {"metadata": {"generateName": "web."}}
    with pytest.raises(Invalid) as refused:
        await world.create("Event", dotted)
    assert any(cause.startswith("metadata.generateName: ") for cause in refused.value.causes)


async def test_an_event_without_its_reporter_is_invalid(world: World) -> None:
    item = await bare_deployment(world)
    incomplete = event(world.namespace, item) | {"reportingController": ""}
    with pytest.raises(Invalid) as refused:
        await world.create("Event", incomplete)
    assert any("reportingController" in cause for cause in refused.value.causes)


async def test_a_quota_refuses_pods_and_the_deployment_says_so(world: World) -> None:
    name = f"quota-{secrets.token_hex(3)}"
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": name}, "spec": {"hard": {"pods": "0"}}}
    await world.create("ResourceQuota", quota)
    try:

        async def counted() -> Any:
            return "pods" in ((await world.get("ResourceQuota", name)).get("status") or {}).get("hard", {})

        await until(counted, "the quota counted")
        web = f"web-{secrets.token_hex(3)}"
        await world.create("Deployment", deployment(world.namespace, web, image=GOOD, replicas=1))

        async def refused() -> Any:
            conditions = (await world.get("Deployment", web)).get("status", {}).get("conditions", ())
            return next((one["message"] for one in conditions if one["type"] == "ReplicaFailure"), None)

        assert f"is forbidden: exceeded quota: {name}, requested: pods=1" in await until(refused, "the refusal")
    finally:
        path = world.path("ResourceQuota", name)
        await world.cluster.send(Request("DELETE", path, "application/json", {}), dry_run=False)


async def test_a_pod_that_no_node_fits_says_why(world: World) -> None:
    name = f"picky-{secrets.token_hex(3)}"
    spec = {"nodeSelector": {"disk": "tape"}, "containers": [{"name": "app", "image": GOOD}]}
    await world.create("Pod", {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})

    async def told() -> Any:
        conditions = (await world.get("Pod", name)).get("status", {}).get("conditions", ())
        return next((one for one in conditions if one["type"] == "PodScheduled"), None)

    found = await until(told, "the scheduler's word")
    assert (found["status"], found["reason"]) == ("False", "Unschedulable")
    assert unschedulable(found["reason"], found["message"]).kind.value == "affinity", found["message"]


async def test_a_service_has_its_ready_pods_as_endpoints(world: World) -> None:
    item = await world.deploy(replicas=2)
    name = item["metadata"]["name"]
    spec = {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]}
    await world.create("Service", {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec})

    async def ready() -> Any:
        label = f"kubernetes.io/service-name={name}"
        slices = await world.cluster.list(world.path("EndpointSlice"), label_selector=label)
        found = [one for part in slices for one in part.get("endpoints") or () if one["conditions"]["ready"]]
        return found if len(found) == 2 else None

    found = await until(ready, "two ready endpoints")
    assert {one["targetRef"]["kind"] for one in found} == {"Pod"}
