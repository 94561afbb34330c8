"""Over HTTP with plain aiohttp: what the contract, which goes through our client, cannot see."""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from remediator.simulate.workloads import config_map, deployment, disruption_budget
from tests.unit.simulate.worlds import StillWorld

DEPLOYMENTS = "/apis/apps/v1/namespaces/shop/deployments"
JSON_PATCH = {"Content-Type": "application/json-patch+json"}
MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}


@pytest.fixture
async def world() -> AsyncIterator[StillWorld]:
    made = StillWorld()
    made.cluster.apply(deployment("shop", "web", image="web:1", replicas=2, annotations={"a": "1"}))
    made.run(5)
    async with made.cluster:
        yield made


async def ask(world: StillWorld, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body)
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, world.cluster.url + path, data=data, headers=headers) as response,
    ):
        text = await response.text()
        return response.status, json.loads(text) if response.content_type == "application/json" else text


async def test_every_request_is_logged(world: StillWorld) -> None:
    await ask(world, "GET", DEPLOYMENTS + "?limit=1", **{"User-Agent": "remediator/1"})
    await ask(world, "PATCH", DEPLOYMENTS + "/web", {"metadata": {"labels": {"x": "y"}}}, **MERGE_PATCH)
    read, write = world.cluster.requests
    assert (read.method, read.path, read.query, read.user_agent) == ("GET", DEPLOYMENTS, {"limit": "1"}, "remediator/1")
    assert (write.status, write.body, write.at) == (200, {"metadata": {"labels": {"x": "y"}}}, world.clock.now())


async def test_dry_runs_refusals_and_reviews_are_no_writes(world: StillWorld) -> None:
    label = {"metadata": {"labels": {"x": "y"}}}
    await ask(world, "PATCH", DEPLOYMENTS + "/web?dryRun=All", label, **MERGE_PATCH)
    await ask(world, "PATCH", DEPLOYMENTS + "/none", label, **MERGE_PATCH)
    await ask(world, "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {"spec": {}})
    assert world.cluster.writes == []
    await ask(world, "PATCH", DEPLOYMENTS + "/web", label, **MERGE_PATCH)
    assert [call.path for call in world.cluster.writes] == [DEPLOYMENTS + "/web"]


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "code", "reason", "message"),
    [
        ("GET", DEPLOYMENTS + "/none", None, {}, 404, "NotFound", 'deployments.apps "none" not found'),
        (
            "PATCH",
            DEPLOYMENTS + "/web",
            [{"op": "test", "path": "/metadata/generation", "value": 77}],
            JSON_PATCH,
            422,
            "Invalid",
            "the server rejected our request due to an error in our request",
        ),
        (
            "PATCH",
            DEPLOYMENTS + "/web",
            {"metadata": {"resourceVersion": "1"}},
            MERGE_PATCH,
            409,
            "Conflict",
            'Operation cannot be fulfilled on deployments.apps "web": the object has been modified; please apply your'
            " changes to the latest version and try again",
        ),
        (
            "PATCH",
            DEPLOYMENTS + "/web?dryRun=Foo",
            {},
            MERGE_PATCH,
            422,
            "Invalid",
            'PatchOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: ["Foo"]: supported values: "All"',
        ),
        ("PATCH", DEPLOYMENTS + "/web", {}, {}, 415, "UnsupportedMediaType", "415: Unsupported Media Type"),
        (
            "POST",
            DEPLOYMENTS,
            deployment("shop", "web", image="web:1"),
            {},
            409,
            "AlreadyExists",
            'deployments.apps "web" already exists',
        ),
        (
            "POST",
            "/api/v1/namespaces/none/configmaps",
            config_map("none", "a", {}),
            {},
            404,
            "NotFound",
            'namespaces "none" not found',
        ),
        (
            "POST",
            "/api/v1/namespaces/shop/configmaps",
            config_map("other", "a", {}),
            {},
            400,
            "BadRequest",
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
        (
            "GET",
            "/api/v1/pods?fieldSelector=spec.foo=bar",
            None,
            {},
            400,
            "BadRequest",
            "field label not supported: spec.foo",
        ),
        (
            "PUT",
            DEPLOYMENTS,
            {},
            {},
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        ),
    ],
)
async def test_refusals_read_as_a_real_server_wrote_them(
    world: StillWorld, method: str, path: str, body: Any, headers: Any, code: int, reason: str, message: str
) -> None:
    status, answer = await ask(world, method, path, body, **({"Content-Type": "application/json"} | headers))
    assert (status, answer["code"], answer["reason"], answer["message"]) == (code, code, reason, message)


async def test_a_denied_verb_is_forbidden_and_the_review_says_so_before(world: StillWorld) -> None:
    world.cluster.deny("patch", "deployments")
    attributes = {"namespace": "shop", "verb": "patch", "group": "apps", "resource": "deployments"}
    review = {"spec": {"resourceAttributes": attributes}}
    _, asked = await ask(world, "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
    assert asked["status"] == {"allowed": False}
    status, answer = await ask(world, "PATCH", DEPLOYMENTS + "/web", {}, **MERGE_PATCH)
    assert status == 403
    assert answer["message"] == (
        'deployments.apps "web" is forbidden: User "remediator" cannot patch resource "deployments"'
        ' in API group "apps" in the namespace "shop"'
    )
    world.cluster.permit("patch", "deployments")
    assert (await ask(world, "PATCH", DEPLOYMENTS + "/web", {}, **MERGE_PATCH))[0] == 200


async def test_metadata_only_has_to_be_asked_for_in_the_right_form(world: StillWorld) -> None:
    accept = "application/json;as={};g=meta.k8s.io;v=v1"
    one, many = accept.format("PartialObjectMetadata"), accept.format("PartialObjectMetadataList")
    status, item = await ask(world, "GET", DEPLOYMENTS + "/web", Accept=one)
    assert (status, set(item)) == (200, {"kind", "apiVersion", "metadata"})
    assert (await ask(world, "GET", DEPLOYMENTS, Accept=one))[0] == 406
    assert (await ask(world, "GET", DEPLOYMENTS, Accept=many))[1]["kind"] == "PartialObjectMetadataList"


async def test_the_answer_to_a_write_shows_the_object_before_the_controllers_saw_it(world: StillWorld) -> None:
    steps = [{"op": "replace", "path": "/spec/replicas", "value": 3}]
    _, answer = await ask(world, "PATCH", DEPLOYMENTS + "/web", steps, **JSON_PATCH)
    assert (answer["metadata"]["generation"], answer["status"]["observedGeneration"]) == (2, 1)
    assert world.deployment()["status"]["observedGeneration"] == 2


async def evict(world: StillWorld, *, uid: str | None = None, query: str = "") -> tuple[int, Any]:
    name = world.pods()[0]["metadata"]["name"]
    options = {"preconditions": {"uid": uid}} if uid else {}
    path = f"/api/v1/namespaces/shop/pods/{name}/eviction{query}"
    return await ask(world, "POST", path, {"deleteOptions": options}, **{"Content-Type": "application/json"})


async def test_an_eviction_replaces_the_pod(world: StillWorld) -> None:
    before = {pod["metadata"]["name"] for pod in world.pods()}
    assert (await evict(world))[0] == 201
    world.run(5)
    after = {pod["metadata"]["name"] for pod in world.pods()}
    assert (len(before & after), len(after)) == (1, 2)


async def test_a_dry_eviction_evicts_nothing(world: StillWorld) -> None:
    assert (await evict(world, query="?dryRun=All"))[0] == 201
    assert not any("deletionTimestamp" in pod["metadata"] for pod in world.pods())


async def test_a_disruption_budget_forbids_an_eviction(world: StillWorld) -> None:
    world.cluster.apply(disruption_budget("shop", "web", app="web", min_available=2))
    status, answer = await evict(world)
    assert (status, answer["details"]["causes"][0]["reason"]) == (429, "DisruptionBudget")
    assert world.cluster.get("PodDisruptionBudget", "shop", "web")["status"]["disruptionsAllowed"] == 0


async def test_two_budgets_on_one_pod_are_an_error(world: StillWorld) -> None:
    for name in ("one", "two"):
        world.cluster.apply(disruption_budget("shop", name, app="web"))
    assert (await evict(world))[0] == 500


@pytest.mark.parametrize("path", ["/readyz", "/livez"])
async def test_health(world: StillWorld, path: str) -> None:
    assert await ask(world, "GET", path) == (200, "ok")


async def test_an_unknown_group_is_a_plain_404(world: StillWorld) -> None:
    assert await ask(world, "GET", "/apis/nope.io/v1/things") == (404, "404 page not found\n")


async def test_applying_keeps_what_the_manifest_does_not_name(world: StillWorld) -> None:
    world.cluster.apply(deployment("shop", "web", image="web:1", replicas=2, annotations={"b": "2"}))
    annotations = world.deployment()["metadata"]["annotations"]
    assert (annotations["a"], annotations["b"]) == ("1", "2")
    assert annotations["deployment.kubernetes.io/revision"] == "1"
