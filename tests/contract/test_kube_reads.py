"""What the service reads, of the embedded cluster and of a real Kubernetes 1.36, through our client."""

import secrets
from typing import Any

import pytest

from remediator.kube.base import Invalid, NotFound, path_of
from remediator.model import Request
from remediator.simulate.workloads import config_map
from tests.contract.kube_scenarios import World, bare_deployment


async def test_is_ready(world: World) -> None:
    assert await world.cluster.is_ready()


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
