"""What the service writes and on what conditions, to the embedded cluster and a real Kubernetes 1.36."""

import secrets
from typing import Any

import pytest

from remediator.kube.base import Conflict, Forbidden, Invalid, NotFound, annotations_of
from remediator.model import Request
from remediator.simulate.workloads import config_map
from tests.contract.kube_scenarios import CRASH, GOOD, MERGE_PATCH, World, annotate, bare_deployment, guarded, until


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


async def test_zero_replicas_are_left_out_of_a_scale(world: World) -> None:
    item = await bare_deployment(world)
    path = world.path("Deployment", item["metadata"]["name"], "scale")
    with pytest.raises(Conflict):
        await world.patch(path, [{"op": "test", "path": "/spec/replicas", "value": 0}])
    absent = {"op": "test", "path": "/spec/replicas", "value": None}
    reply = await world.patch(path, [absent, {"op": "add", "path": "/spec/replicas", "value": 1}])
    assert reply["spec"]["replicas"] == 1


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
