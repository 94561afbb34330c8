"""What the service relies on, of the embedded cluster and of a real Kubernetes 1.36, through our client."""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from remediator.kube.base import Conflict, Forbidden, Invalid, NotFound, annotations_of, controller_of, path_of
from remediator.kube.unschedulable import unschedulable
from remediator.model import Request
from remediator.simulate.workloads import config_map, deployment
from tests.contract.kube_scenarios import (
    CRASH,
    GOOD,
    MERGE_PATCH,
    World,
    condition,
    embedded_world,
    event,
    real_world,
    until,
    waiting_reason,
)

REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"


@pytest.fixture(scope="module", params=["embedded", "in process", pytest.param("real", marks=pytest.mark.cluster)])
def place(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Which cluster; of the real one a namespace of its own, made once for the whole module."""
    if request.param != "real":
        yield request.param
        return
    control_plane = request.getfixturevalue("control_plane")
    name = f"contract-{secrets.token_hex(3)}"
    control_plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    yield control_plane, name
    control_plane.request("DELETE", f"/api/v1/namespaces/{name}")


@pytest.fixture
async def world(place: Any) -> AsyncIterator[World]:
    is_embedded = isinstance(place, str)
    async with embedded_world(in_process=place == "in process") if is_embedded else real_world(*place) as opened:
        account = opened.path("ServiceAccount", "default")

        async def is_usable() -> bool:
            try:
                return bool(await opened.cluster.get(account))
            except NotFound:
                return False

        await until(is_usable, "the default ServiceAccount")
        yield opened


async def bare_deployment(world: World, **spec: Any) -> Any:
    """A paused Deployment without pods: an object to patch in peace."""
    name = f"idle-{secrets.token_hex(3)}"
    manifest = deployment(world.namespace, name, image=GOOD, replicas=0, annotations={"a": "1"}, spec=spec)
    await world.create("Deployment", manifest)

    async def observed() -> Any:
        item = await world.get("Deployment", name)
        return (
            item if item.get("status", {}).get("observedGeneration") == 1 and REVISION in annotations_of(item) else None
        )

    return await until(observed, f"{name} observed")


def guarded(item: Any, *steps: Any, uid: str | None = None, generation: int | None = None) -> list[Any]:
    """Our patch: the tests on uid and generation, then the steps."""
    meta = item["metadata"]
    return [
        {"op": "test", "path": "/metadata/uid", "value": uid or meta["uid"]},
        {"op": "test", "path": "/metadata/generation", "value": generation or meta["generation"]},
        *steps,
    ]


def annotate(value: str) -> Any:
    return {"op": "add", "path": "/metadata/annotations/remediator.io~1last-action", "value": value}


async def test_is_ready(world: World) -> None:
    assert await world.cluster.is_ready()


# --- reads


async def test_an_object_that_does_not_exist_is_not_found(world: World) -> None:
    with pytest.raises(NotFound):
        await world.get("Deployment", "missing")


async def test_a_namespace_that_does_not_exist_lists_nothing(world: World) -> None:
    assert await world.cluster.list(path_of("Pod", namespace="no-such-namespace")) == []


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("set=S,tier=web", ["a", "b"]),
        ("set==S,tier!=web", ["c", "d"]),
        ("set=S,tier in (web, db)", ["a", "b", "c"]),
        ("set=S,tier notin (web,db)", ["d"]),
        ("set=S,tier", ["a", "b", "c"]),
        ("set=S,!tier", ["d"]),
    ],
)
async def test_lists_by_label_selector(world: World, selector: str, names: list[str]) -> None:
    mark = secrets.token_hex(3)
    for name, tier in (("a", "web"), ("b", "web"), ("c", "db"), ("d", None)):
        made = config_map(world.namespace, f"{name}-{mark}", {"k": "v"})
        made["metadata"]["labels"] = {"set": mark, **({"tier": tier} if tier else {})}
        await world.create("ConfigMap", made)
    found = await world.cluster.list(world.path("ConfigMap"), label_selector=selector.replace("S", mark, 1))
    assert [item["metadata"]["name"][0] for item in found] == names


async def test_a_selector_that_cannot_be_parsed_is_invalid(world: World) -> None:
    with pytest.raises(Invalid):
        await world.cluster.list(world.path("Pod"), label_selector="a in (b")


async def test_pages_hold_every_item_once(world: World) -> None:
    mark = secrets.token_hex(3)
    for number in range(5):
        made = config_map(world.namespace, f"page-{mark}-{number}", {})
        made["metadata"]["labels"] = {"set": mark}
        await world.create("ConfigMap", made)
    path, token, seen = world.path("ConfigMap"), "", []
    for _ in range(3):
        query = f"?labelSelector=set%3D{mark}&limit=2" + (f"&continue={token}" if token else "")
        page = await raw_get(world, path + query)
        seen.append([item["metadata"]["name"][-1] for item in page["items"]])
        token = page["metadata"].get("continue", "")
    assert (seen, token) == ([["0", "1"], ["2", "3"], ["4"]], "")


async def raw_get(world: World, path_and_query: str) -> Any:
    # The protocol hides pages; the client's own reading of a path is the way to one of them.
    path, _, query = path_and_query.partition("?")
    pairs = dict(pair.split("=", 1) for pair in query.split("&"))
    pairs["labelSelector"] = pairs["labelSelector"].replace("%3D", "=")
    client: Any = world.cluster
    return await client._read(path, query=pairs, headers={"Accept": "application/json"})


async def test_a_limit_is_kept(world: World) -> None:
    for number in range(3):
        await world.create("ConfigMap", config_map(world.namespace, f"limit-{secrets.token_hex(3)}-{number}", {}))
    assert len(await world.cluster.list(world.path("ConfigMap"), limit=2)) == 2


async def test_metadata_only_holds_no_data(world: World) -> None:
    name = f"secretive-{secrets.token_hex(3)}"
    await world.create("ConfigMap", config_map(world.namespace, name, {"password": "hunter2"}))
    found = await world.cluster.list(
        world.path("ConfigMap"), field_selector=f"metadata.name={name}", metadata_only=True
    )
    assert [item["metadata"]["name"] for item in found] == [name]
    assert "hunter2" not in str(found)


# --- writes and their preconditions


async def test_a_patch_whose_tests_hold_is_applied(world: World) -> None:
    item = await bare_deployment(world)
    await world.patch(world.path("Deployment", item["metadata"]["name"]), guarded(item, annotate("act-1")))
    again = await world.get("Deployment", item["metadata"]["name"])
    assert annotations_of(again)["remediator.io/last-action"] == "act-1"


async def test_the_same_patch_sent_twice_is_applied_once(world: World) -> None:
    item = await bare_deployment(world)
    path, patch = world.path("Deployment", item["metadata"]["name"]), guarded(item, annotate("act-1"))
    await world.patch(path, patch)
    with pytest.raises(Conflict):
        await world.patch(path, patch)
    assert (await world.cluster.get(path))["metadata"]["generation"] == item["metadata"]["generation"] + 1


@pytest.mark.parametrize("wrong", [{"generation": 99}, {"uid": "00000000-0000-4000-8000-000000000000"}])
async def test_a_patch_whose_test_fails_is_a_conflict_and_changes_nothing(world: World, wrong: Any) -> None:
    item = await bare_deployment(world)
    path = world.path("Deployment", item["metadata"]["name"])
    with pytest.raises(Conflict):
        await world.patch(path, guarded(item, annotate("act-1"), **wrong))
    assert "remediator.io/last-action" not in annotations_of(await world.cluster.get(path))


async def test_an_old_resource_version_is_a_conflict(world: World) -> None:
    item = await bare_deployment(world)
    path = world.path("Deployment", item["metadata"]["name"])
    await world.patch(path, guarded(item, annotate("act-1")))
    stale = {"metadata": {"resourceVersion": item["metadata"]["resourceVersion"], "labels": {"x": "y"}}}
    with pytest.raises(Conflict):
        await world.patch(path, stale, content_type=MERGE_PATCH)


async def test_a_dry_run_answers_and_writes_nothing(world: World) -> None:
    item = await bare_deployment(world)
    path = world.path("Deployment", item["metadata"]["name"])
    answer = await world.patch(path, guarded(item, annotate("act-1")), dry_run=True)
    assert annotations_of(answer)["remediator.io/last-action"] == "act-1"
    assert await world.cluster.get(path) == item


async def test_a_dry_run_tests_the_preconditions_too(world: World) -> None:
    item = await bare_deployment(world)
    path = world.path("Deployment", item["metadata"]["name"])
    with pytest.raises(Conflict):
        await world.patch(path, guarded(item, annotate("act-1"), generation=99), dry_run=True)


async def test_a_dry_run_of_a_creation_creates_nothing(world: World) -> None:
    name = f"dry-{secrets.token_hex(3)}"
    answer = await world.create("ConfigMap", config_map(world.namespace, name, {}), dry_run=True)
    assert answer["metadata"]["name"] == name
    with pytest.raises(NotFound):
        await world.get("ConfigMap", name)


@pytest.mark.parametrize(
    ("patch", "subresource", "bump"),
    [
        ({"metadata": {"annotations": {"a": "2"}}}, None, 1),
        ({"metadata": {"labels": {"a": "2"}}}, None, 0),
        ({"spec": {"minReadySeconds": 1}}, None, 1),
        ({"status": {"conditions": [{"type": "Reviewed", "status": "True"}]}}, "status", 0),
        ({"metadata": {"annotations": {"a": "1"}}}, None, 0),
    ],
    ids=["annotation", "label", "spec", "status", "nothing-changes"],
)
async def test_generation_follows_spec_and_annotations_only(
    world: World, patch: Any, subresource: str | None, bump: int
) -> None:
    item = await bare_deployment(world)
    path = world.path("Deployment", item["metadata"]["name"], subresource)
    answer = await world.patch(path, patch, content_type=MERGE_PATCH)
    assert answer["metadata"]["generation"] == item["metadata"]["generation"] + bump


IMAGE = "/spec/template/spec/containers/0/image"


@pytest.mark.parametrize(
    ("step", "cause"),
    [
        ({"op": "replace", "path": IMAGE, "value": ""}, "spec.template.spec.containers[0].image: Required value"),
        (
            {"op": "replace", "path": "/spec/replicas", "value": -1},
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            {"op": "replace", "path": "/spec/template/metadata/labels", "value": {"app": "other"}},
            'spec.template.metadata.labels: Invalid value: {"app":"other"}:'
            " `selector` does not match template `labels`",
        ),
    ],
    ids=["empty image", "negative replicas", "labels beside the selector"],
)
async def test_what_validation_refuses_is_invalid_with_causes(world: World, step: Any, cause: str) -> None:
    item = await bare_deployment(world)
    with pytest.raises(Invalid) as refused:
        await world.patch(world.path("Deployment", item["metadata"]["name"]), guarded(item, step), dry_run=True)
    assert cause in refused.value.causes


async def test_an_unknown_patch_type_is_invalid(world: World) -> None:
    item = await bare_deployment(world)
    with pytest.raises(Invalid, match="415"):
        await world.patch(world.path("Deployment", item["metadata"]["name"]), {}, content_type="application/json")


async def test_replicas_are_scaled_under_a_test_of_the_old_number(world: World) -> None:
    item = await bare_deployment(world)
    path = world.path("Deployment", item["metadata"]["name"], "scale")

    def steps(old: int, new: int) -> Any:
        where = "/spec/replicas"
        return [{"op": "test", "path": where, "value": old}, {"op": "replace", "path": where, "value": new}]

    with pytest.raises(Conflict):
        await world.patch(path, steps(3, 1))
    # A Scale leaves zero replicas out, so the first number to test for is one.
    await world.patch(path, [{"op": "add", "path": "/spec/replicas", "value": 1}])
    assert (await world.patch(path, steps(1, 2)))["spec"]["replicas"] == 2


async def test_a_scale_tells_the_uid_of_what_it_scales(world: World) -> None:
    """So that another object of that name is not scaled in place of the one that was meant."""
    item = await world.deploy(replicas=1)
    path = world.path("Deployment", item["metadata"]["name"], "scale")
    step = {"op": "replace", "path": "/spec/replicas", "value": 2}

    with pytest.raises(Conflict):
        await world.patch(path, [{"op": "test", "path": "/metadata/uid", "value": "another"}, step])
    reply = await world.patch(path, [{"op": "test", "path": "/metadata/uid", "value": item["metadata"]["uid"]}, step])

    assert reply["spec"]["replicas"] == 2


async def test_a_mark_is_put_where_no_annotation_was_and_nowhere_else(world: World) -> None:
    """A test on null holds for what is not there; an autoscaler often has no annotations and has no generation."""
    spec = {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "maxReplicas": 3}
    manifest = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"}}
    made = await world.create("HorizontalPodAutoscaler", {**manifest, "spec": {"minReplicas": 1, **spec}})
    path = world.path("HorizontalPodAutoscaler", "web")
    steps = [
        {"op": "test", "path": "/spec/maxReplicas", "value": 3},
        {"op": "replace", "path": "/spec/maxReplicas", "value": 4},
        {"op": "test", "path": "/metadata/annotations", "value": None},
        {"op": "add", "path": "/metadata/annotations", "value": {}},
        {"op": "add", "path": "/metadata/annotations/remediator.io~1last-action", "value": "a"},
    ]

    marked = await world.patch(path, steps)

    assert "annotations" not in made["metadata"]
    assert marked["metadata"]["annotations"] == {"remediator.io/last-action": "a"}
    assert marked["spec"]["maxReplicas"] == 4
    with pytest.raises(Conflict):
        await world.patch(path, [{**steps[0], "value": 4}, *steps[1:]])


async def test_a_user_without_rights_is_forbidden(world: World) -> None:
    with pytest.raises(Forbidden):
        await world.powerless.get(world.path("Deployment", "any"))
    request = Request("PATCH", world.path("Deployment", "any"), "application/json-patch+json", [])
    with pytest.raises(Forbidden):
        await world.powerless.send(request, dry_run=True)


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


async def test_a_dry_deletion_with_options_deletes_nothing(world: World) -> None:
    """The options are in the body, and the query of a deletion with a body is not looked at."""
    pod = await world.pod_that(GOOD, lambda pod: True)
    path, uid = world.path("Pod", pod["metadata"]["name"]), pod["metadata"]["uid"]
    right, wrong = ({"preconditions": {"uid": one}} for one in (uid, "00000000-0000-4000-8000-000000000000"))

    await world.cluster.send(Request("DELETE", path, "application/json", right), dry_run=True)
    with pytest.raises(Conflict):
        await world.cluster.send(Request("DELETE", path, "application/json", wrong), dry_run=True)

    kept = (await world.get("Pod", pod["metadata"]["name"]))["metadata"]
    assert (kept["uid"], kept.get("deletionTimestamp")) == (uid, None)


LIMIT = "/spec/containers/0/resources/limits/memory"
BURSTABLE = {"requests": {"memory": "64Mi"}, "limits": {"memory": "100Mi"}}
GUARANTEED = {"limits": {"cpu": "100m", "memory": "100Mi"}}


async def a_pod_with(world: World, resources: Any) -> Any:
    name = f"pod-{secrets.token_hex(3)}"
    container = {"name": "app", "image": GOOD, "resources": resources}
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [container]}}
    await world.create("Pod", manifest)

    async def runs() -> Any:
        pod = await world.get("Pod", name)
        return pod if pod["status"].get("containerStatuses") else None

    pod = await until(runs, f"{name} runs")
    if "resources" in pod["status"]["containerStatuses"][0]:
        return pod
    # KWOK does not report the resources in force, and the API server takes that for a node that cannot resize.
    in_force = pod["spec"]["containers"][0]["resources"]
    step = {"op": "add", "path": "/status/containerStatuses/0/resources", "value": in_force}
    return await world.patch(world.path("Pod", name, "status"), [step])


def raised(before: str, after: str, path: str = LIMIT) -> list[Any]:
    return [{"op": "test", "path": path, "value": before}, {"op": "replace", "path": path, "value": after}]


async def test_a_limit_is_raised_in_place_under_a_test_of_the_old_one(world: World) -> None:
    """The reply is the pod, the same one; a dry run and a failed test leave it as it is."""
    pod = await a_pod_with(world, BURSTABLE)
    path = world.path("Pod", pod["metadata"]["name"], "resize")
    dry = await world.patch(path, raised("100Mi", "150Mi"), dry_run=True)
    with pytest.raises(Conflict):
        await world.patch(path, raised("90Mi", "150Mi"))
    assert dry["spec"]["containers"][0]["resources"]["limits"] == {"memory": "150Mi"}
    now = await world.get("Pod", pod["metadata"]["name"])
    assert now["spec"]["containers"][0]["resources"] == BURSTABLE

    reply = await world.patch(path, raised("100Mi", "150Mi"))

    after = await world.get("Pod", pod["metadata"]["name"])
    assert reply["metadata"]["uid"] == after["metadata"]["uid"] == pod["metadata"]["uid"]
    assert after["spec"]["containers"][0]["resources"]["limits"] == {"memory": "150Mi"}
    assert after["metadata"]["generation"] == pod["metadata"]["generation"] + 1


async def test_a_resize_that_would_change_the_quality_of_service_is_invalid(world: World) -> None:
    """A Guaranteed pod takes its request with its limit."""
    pod = await a_pod_with(world, GUARANTEED)
    path = world.path("Pod", pod["metadata"]["name"], "resize")
    both = raised("100Mi", "150Mi") + raised("100Mi", "150Mi", LIMIT.replace("limits", "requests"))
    assert pod["status"]["qosClass"] == "Guaranteed"

    with pytest.raises(Invalid):
        await world.patch(path, raised("100Mi", "150Mi"))
    assert (await world.patch(path, both))["status"]["qosClass"] == "Guaranteed"


async def test_a_resize_changes_nothing_but_resources(world: World) -> None:
    pod = await a_pod_with(world, BURSTABLE)
    path = world.path("Pod", pod["metadata"]["name"], "resize")

    reply = await world.patch(path, [{"op": "replace", "path": "/spec/containers/0/image", "value": CRASH}])

    assert reply["spec"]["containers"][0]["image"] == GOOD


async def test_evicting_a_pod_under_another_uid_is_a_conflict(world: World) -> None:
    pod = await world.pod_that(GOOD, lambda pod: True)
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod["metadata"]["name"], "namespace": world.namespace},
        "deleteOptions": {"preconditions": {"uid": "00000000-0000-4000-8000-000000000000"}},
    }
    path = world.path("Pod", pod["metadata"]["name"], "eviction")
    with pytest.raises(Conflict):
        await world.cluster.send(Request("POST", path, "application/json", body), dry_run=False)


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


async def test_zero_replicas_are_left_out_of_a_scale(world: World) -> None:
    item = await bare_deployment(world)
    path = world.path("Deployment", item["metadata"]["name"], "scale")
    with pytest.raises(Conflict):
        await world.patch(path, [{"op": "test", "path": "/spec/replicas", "value": 0}])
    absent = {"op": "test", "path": "/spec/replicas", "value": None}
    reply = await world.patch(path, [absent, {"op": "add", "path": "/spec/replicas", "value": 1}])
    assert reply["spec"]["replicas"] == 1


async def test_an_object_says_who_wrote_which_part_of_it(world: World) -> None:
    """From this it is known that a ConfigMap changed after a rollout, and who set replicas back."""
    item = await bare_deployment(world)
    path = world.path("Deployment", item["metadata"]["name"])
    request = Request("PATCH", path, "application/merge-patch+json", {"spec": {"minReadySeconds": 7}})
    by_someone = Request(request.method, path, request.content_type, request.body, {"fieldManager": "someone"})
    await world.cluster.send(by_someone, dry_run=False)
    after = await world.cluster.get(path)
    writers = {
        entry["manager"]
        for entry in after["metadata"]["managedFields"]
        if "f:minReadySeconds" in (entry.get("fieldsV1") or {}).get("f:spec", {})
    }
    assert writers == {"someone"}
    entry = next(one for one in after["metadata"]["managedFields"] if one["manager"] == "someone")
    assert (entry["operation"], bool(entry["time"])) == ("Update", True)


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
