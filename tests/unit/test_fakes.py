"""The fake cluster answers as an API server would where other tests rely on it."""

from __future__ import annotations

import pytest

from remediator.kube.base import Conflict, NotFound, path_of, selector_text
from remediator.model import Json, Request
from tests.fakes import FakeCluster, matches_fields, matches_labels


def item(name: str, *, namespace: str = "shop", **labels: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"nodeName": "n1"},
    }


@pytest.mark.parametrize(
    ("selector", "is_match"),
    [
        ("", True),
        ("app=web", True),
        ("app==web,tier=front", True),
        ("app=web,tier=back", False),
        ("app!=db,other!=x", True),
        ("app in (db, web),tier", True),
        ("app notin (web)", False),
        ("other notin (x)", True),
        ("!other", True),
        ("!app", False),
        (selector_text({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "db"]}]}), True),
    ],
)
def test_label_selectors_select_as_in_kubernetes(selector: str, is_match: bool) -> None:
    assert matches_labels(selector, {"app": "web", "tier": "front"}) is is_match


@pytest.mark.parametrize(
    ("selector", "is_match"),
    [("metadata.name=a", True), ("metadata.name=a,spec.nodeName!=n1", False), ("status.phase=Running", False)],
)
def test_field_selectors_read_paths(selector: str, is_match: bool) -> None:
    assert matches_fields(selector, item("a")) is is_match


async def test_list_is_of_one_namespace_or_of_all_and_carries_no_kinds() -> None:
    cluster = FakeCluster(item("b"), item("a", app="x"), item("c", namespace="other"))
    of_one = await cluster.list(path_of("Pod", namespace="shop"))
    assert [one["metadata"]["name"] for one in of_one] == ["a", "b"]
    assert "kind" not in of_one[0]
    assert len(await cluster.list(path_of("Pod", namespace=None))) == 3
    assert len(await cluster.list(path_of("Pod", namespace=None), label_selector="app=x")) == 1
    assert len(await cluster.list(path_of("Pod", namespace=None), limit=2)) == 2


async def test_metadata_only_list_carries_no_spec() -> None:
    (found,) = await FakeCluster(item("a")).list(path_of("Pod", namespace="shop"), metadata_only=True)
    assert set(found) == {"metadata"}


async def test_what_is_read_is_a_copy() -> None:
    cluster = FakeCluster(item("a"))
    path = path_of("Pod", namespace="shop", name="a")
    (await cluster.get(path))["metadata"]["name"] = "changed"
    assert (await cluster.get(path))["metadata"]["name"] == "a"


async def test_missing_object_and_settable_error_are_raised() -> None:
    cluster, path = FakeCluster(), path_of("Pod", namespace="shop", name="a")
    with pytest.raises(NotFound):
        await cluster.get(path)
    cluster.errors[path] = Conflict("no")
    with pytest.raises(Conflict):
        await cluster.get(path)


async def test_writes_are_recorded_and_answered_as_told() -> None:
    cluster, path = FakeCluster(item("a")), path_of("Pod", namespace="shop", name="a")
    request = Request(method="PATCH", path=path, content_type="application/json-patch+json", body=[])
    assert (await cluster.send(request, dry_run=True))["metadata"]["name"] == "a"
    cluster.replies["PATCH", path] = lambda sent, dry_run: {"dry": dry_run, "path": sent.path}
    assert await cluster.send(request, dry_run=False) == {"dry": False, "path": path}
    cluster.replies["PATCH", path] = Conflict("changed")
    with pytest.raises(Conflict):
        await cluster.send(request, dry_run=False)
    assert cluster.sent == [(request, True), (request, False), (request, False)]


async def test_log_is_the_tail_within_its_limits() -> None:
    cluster = FakeCluster()
    cluster.log_texts["shop", "a", "api", True] = "one\ntwo\nthree\n"
    limits = {"tail_lines": 2, "limit_bytes": 5}
    found = await cluster.logs(namespace="shop", pod="a", container="api", previous=True, **limits)
    assert (found.text, found.complete_tail) == ("two\nt", False)
    with pytest.raises(NotFound):
        await cluster.logs(namespace="shop", pod="a", container="api", previous=False, **limits)
