"""What a write needs, as RBAC names it, and the API server's word on whether this account may."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.errors import RemediatorError
from remediator.kube.access_review import REVIEW_PATH, Access, access_of, permitted
from remediator.kube.base import Forbidden, Unreachable
from remediator.model import Request
from remediator.simulate.apiserver import EmbeddedCluster
from remediator.simulate.inprocess import client_of
from tests.clocks import FakeClock
from tests.fakes import FakeCluster

APPS, CORE = "/apis/apps/v1/namespaces/shop", "/api/v1/namespaces/shop"
NEEDS = [
    ("PATCH", f"{APPS}/deployments/checkout", Access("patch", "apps", "deployments", "shop", "checkout")),
    ("PATCH", f"{APPS}/deployments/a/scale", Access("patch", "apps", "deployments/scale", "shop", "a")),
    ("POST", f"{CORE}/pods/web-1/eviction", Access("create", "", "pods/eviction", "shop", "web-1")),
    ("DELETE", f"{CORE}/pods/web-1", Access("delete", "", "pods", "shop", "web-1")),
    ("POST", f"{CORE}/configmaps", Access("create", "", "configmaps", "shop", "")),
    ("PATCH", "/api/v1/namespaces/shop", Access("patch", "", "namespaces", "", "shop")),
    ("PATCH", "/api/v1/nodes/n1", Access("patch", "", "nodes", "", "n1")),
]


@pytest.mark.parametrize(("method", "path", "needed"), NEEDS)
def test_what_a_request_needs(method: str, path: str, needed: Access) -> None:
    assert access_of(Request(method, path, "application/json", {})) == needed


@pytest.mark.parametrize("path", ["/", "/apis", "/version", "/api/v1"])
def test_what_is_no_object_needs_nothing_that_has_a_name(path: str) -> None:
    with pytest.raises(ValueError, match="no object of the API"):
        access_of(Request("PATCH", path, "application/json", {}))


async def test_the_api_server_is_asked_without_a_write() -> None:
    cluster = EmbeddedCluster(FakeClock())
    client = client_of(cluster, FakeClock(), name="test")
    scale = NEEDS[1][2]
    assert (await permitted(scale, client)).is_allowed is True
    cluster.deny("patch", "deployments/scale")
    assert (await permitted(scale, client)).is_allowed is False
    assert (await permitted(NEEDS[0][2], client)).is_allowed is True
    assert {(one.path, one.query.get("dryRun")) for one in cluster.requests} == {(REVIEW_PATH, "All")}
    assert cluster.writes == []


@pytest.mark.parametrize("error", [Forbidden("no reviews here"), Unreachable("nobody answers")])
async def test_where_it_cannot_be_asked_that_is_said(error: RemediatorError) -> None:
    cluster = FakeCluster()
    cluster.replies["POST", REVIEW_PATH] = error
    answer = await permitted(NEEDS[0][2], cluster)
    assert answer.is_allowed is None
    assert str(error) in answer.reason


@pytest.mark.parametrize("answer", [{}, {"status": {}}, {"status": {"allowed": "yes"}}, [], None])
async def test_an_answer_that_says_nothing_is_none(answer: Any) -> None:
    cluster = FakeCluster()
    cluster.replies["POST", REVIEW_PATH] = lambda request, dry_run: answer
    assert (await permitted(NEEDS[0][2], cluster)).is_allowed is None
