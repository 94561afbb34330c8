"""`dependencies`: what the rule says its targets need."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.diagnose.base import Dependency
from remediator.kube.base import Unreachable
from remediator.model import Json
from tests.fakes import FakeCluster
from tests.unit.diagnose.scenes import collect, scene

DATABASE = Dependency("database", "StatefulSet", "data", "postgres", contact="dba")
API = Dependency("api", "Deployment", None, "api")
GATE = Dependency("gateway", "Service", None, "gateway")


def workload(kind: str, namespace: str, name: str, *, replicas: int = 3, ready: int, available: str = "") -> Json:
    conditions = [{"type": "Available", "status": available}] if available else []
    return {
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"replicas": replicas},
        "status": {"readyReplicas": ready, "conditions": conditions},
    }


def service(**spec: Any) -> Json:
    return {"kind": "Service", "metadata": {"name": "gateway", "namespace": "shop"}, "spec": spec}


def endpoints(*ready: bool) -> Json:
    return {
        "kind": "EndpointSlice",
        "metadata": {"name": "g", "namespace": "shop", "labels": {"kubernetes.io/service-name": "gateway"}},
        "endpoints": [{"conditions": {"ready": one}} for one in ready],
    }


CASES: list[tuple[str, Dependency, list[Json], bool | None, str]] = [
    ("all ready", DATABASE, [workload("StatefulSet", "data", "postgres", ready=3)], True, "3 of 3"),
    ("most ready", DATABASE, [workload("StatefulSet", "data", "postgres", ready=2)], True, "2 of 3"),
    ("a third ready", DATABASE, [workload("StatefulSet", "data", "postgres", ready=1)], False, "1 of 3"),
    ("scaled to zero", DATABASE, [workload("StatefulSet", "data", "postgres", replicas=0, ready=0)], False, "zero"),
    ("gone", DATABASE, [], False, "does not exist"),
    ("a Deployment", API, [workload("Deployment", "shop", "api", ready=0)], False, "0 of 3"),
    (
        "a Deployment that says it is available",
        API,
        [workload("Deployment", "shop", "api", replicas=4, ready=2, available="True")],
        True,
        "2 of 4",
    ),
    ("endpoints", GATE, [service(), endpoints(True, False)], True, "1 of 2 endpoints"),
    ("no ready endpoints", GATE, [service(), endpoints(False)], False, "0 of 1"),
    ("no endpoints", GATE, [service()], False, "0 of 0"),
    ("a name outside", GATE, [service(type="ExternalName", externalName="db.example.com")], None, "db.example.com"),
    ("another kind", Dependency("x", "Kafka", None, "x"), [], None, "not a kind"),
    ("a name that is no name", Dependency("x", "Service", None, "../../x"), [], None, "not the name"),
]


@pytest.mark.parametrize(("one", "objects", "healthy", "words"), [row[1:] for row in CASES], ids=[r[0] for r in CASES])
async def test_the_health_of_a_dependency(
    one: Dependency, objects: list[Json], healthy: bool | None, words: str
) -> None:
    [found] = await collect("dependencies", scene(cluster=FakeCluster(*objects), dependencies=(one,)))

    assert (found.kind, found.facts["healthy"]) == ("dependency", healthy)
    assert words in found.facts["detail"]


async def test_whose_it_is_stands_in_the_finding() -> None:
    [found] = await collect("dependencies", scene(cluster=FakeCluster(), dependencies=(DATABASE,)))

    assert {key: found.facts[key] for key in ("name", "kind", "namespace", "object", "contact")} == {
        "name": "database",
        "kind": "StatefulSet",
        "namespace": "data",
        "object": "postgres",
        "contact": "dba",
    }


async def test_what_cannot_be_read_is_neither_healthy_nor_unhealthy() -> None:
    cluster = FakeCluster(workload("Deployment", "shop", "api", ready=3))
    cluster.errors["/apis/apps/v1/namespaces/data/statefulsets/postgres"] = Unreachable("away")

    found = await collect("dependencies", scene(cluster=cluster, dependencies=(DATABASE, API)))

    assert [one.facts["healthy"] for one in found] == [None, True]
    assert "away" in found[0].facts["detail"]
