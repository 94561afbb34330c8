"""`network`: can traffic reach the pods, and if not, why."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.kube.base import Forbidden, path_of
from remediator.model import Json
from tests.fakes import FakeCluster
from tests.unit.diagnose.scenes import collect, container, pod, running, scene

SPEC = {"containers": [{"name": "app", "ports": [{"name": "http", "containerPort": 8080}]}]}


def made(kind: str, name: str, **rest: Any) -> Json:
    labels = rest.pop("labels", {})
    return {"kind": kind, "metadata": {"name": name, "namespace": "shop", "labels": labels}, **rest}


def service(name: str = "checkout", *, target: Any = 8080, app: str = "checkout", **spec: Any) -> Json:
    ports = [{"name": "web", "port": 80, "targetPort": target, "protocol": "TCP"}]
    return made("Service", name, spec={"selector": {"app": app}, "ports": ports, **spec})


def endpoints(of: str, *ready: bool | None, ports: tuple[str, ...] = ("web",), family: str = "IPv4") -> Json:
    """The slice of one address family; None: the condition is absent."""
    items = [
        {
            "addresses": [f"10.0.0.{number}"],
            "conditions": {} if one is None else {"ready": one},
            "targetRef": {"kind": "Pod", "uid": f"uid-{number}"},
        }
        for number, one in enumerate(ready)
    ]
    return made(
        "EndpointSlice",
        f"{of}-{family.lower()}",
        labels={"kubernetes.io/service-name": of},
        addressType=family,
        endpoints=items,
        ports=[{"name": name, "port": 8080, "protocol": "TCP"} for name in ports],
    )


def policy(name: str, spec: Json, *, app: str = "checkout") -> Json:
    return made("NetworkPolicy", name, spec={"podSelector": {"matchLabels": {"app": app}}, **spec})


async def problem(*objects: Json, pods: tuple[Json, ...] | None = None, **alert_labels: str) -> tuple[int, int, str]:
    chosen = (pod("a", running(), spec=SPEC),) if pods is None else pods
    found = await collect("network", scene(*chosen, cluster=FakeCluster(*objects), labels=alert_labels))
    [one] = found
    assert one.kind == "endpoints"
    return one.facts["ready"], one.facts["not_ready"], one.facts["problem"]


CASES: list[tuple[str, list[Json], tuple[int, int, str]]] = [
    ("all is well", [service(), endpoints("checkout", True, True)], (2, 0, "")),
    ("an absent condition means ready", [service(), endpoints("checkout", None)], (1, 0, "")),
    ("some are not ready", [service(), endpoints("checkout", True, False)], (1, 1, "")),
    (
        "a pod with two address families counts once",
        [service(), endpoints("checkout", True), endpoints("checkout", True, family="IPv6")],
        (1, 0, ""),
    ),
    ("no pod is ready", [service(), endpoints("checkout", False)], (0, 1, "pods-not-ready")),
    ("a named port", [service(target="http"), endpoints("checkout", True)], (1, 0, "")),
    (
        "a named port that no container has",
        [service(target="grpc"), endpoints("checkout", True, ports=())],
        (1, 0, "port-mismatch"),
    ),
    (
        "a number that no container declares",
        [service(target=9090), endpoints("checkout", True)],
        (1, 0, "port-mismatch"),
    ),
    ("no Service at all", [], (0, 0, "no-service")),
    ("a Service of others", [service("cart", app="cart")], (0, 0, "no-service")),
    (
        "the Service of our name selects nothing",
        [service(app="chekcout")],
        (0, 0, "selector-matches-nothing"),
    ),
    (
        "the Service of our name serves others",
        [service(app="other"), endpoints("checkout", True)],
        (1, 0, ""),
    ),
    ("a name outside", [service(type="ExternalName", selector=None)], (0, 0, "")),
    (
        "a policy that lets nothing in",
        [service(), endpoints("checkout", True), policy("deny", {"policyTypes": ["Ingress"]})],
        (1, 0, "network-policy"),
    ),
    (
        "without types a policy is about ingress",
        [service(), endpoints("checkout", True), policy("deny", {})],
        (1, 0, "network-policy"),
    ),
    (
        "a policy about egress only",
        [service(), endpoints("checkout", True), policy("out", {"policyTypes": ["Egress"]})],
        (1, 0, ""),
    ),
    (
        "a policy on other pods",
        [service(), endpoints("checkout", True), policy("deny", {}, app="cart")],
        (1, 0, ""),
    ),
    (
        "a second policy that lets in",
        [service(), endpoints("checkout", True), policy("deny", {}), policy("allow", {"ingress": [{}]})],
        (1, 0, ""),
    ),
    (
        "only another port is let in",
        [service(), endpoints("checkout", True), policy("metrics", {"ingress": [{"ports": [{"port": 9090}]}]})],
        (1, 0, "network-policy"),
    ),
    (
        "the port is in the range that is let in",
        [
            service(),
            endpoints("checkout", True),
            policy("range", {"ingress": [{"ports": [{"port": 8000, "endPort": 9000}]}]}),
        ],
        (1, 0, ""),
    ),
    (
        "the port is let in by its name",
        [service(), endpoints("checkout", True), policy("name", {"ingress": [{"ports": [{"port": "http"}]}]})],
        (1, 0, ""),
    ),
]


@pytest.mark.parametrize(("objects", "expected"), [row[1:] for row in CASES], ids=[row[0] for row in CASES])
async def test_whether_traffic_can_reach_the_pods(objects: list[Json], expected: tuple[int, int, str]) -> None:
    assert await problem(*objects) == expected


async def test_a_workload_without_pods_has_no_endpoints() -> None:
    assert await problem(service(), pods=()) == (0, 0, "no-pods")


async def test_pods_that_declare_no_port_are_not_blamed_for_it() -> None:
    bare = pod("a", running())

    assert await problem(service(target=9090), endpoints("checkout", True), pods=(bare,)) == (1, 0, "")


async def test_a_sidecar_s_port_counts() -> None:
    sidecar = {"name": "proxy", "restartPolicy": "Always", "ports": [{"containerPort": 15006}]}
    one = pod("a", running(), spec={**SPEC, "initContainers": [sidecar]})

    assert await problem(service(target=15006), endpoints("checkout", True), pods=(one,)) == (1, 0, "")


async def test_the_service_that_the_alert_names_is_looked_at_although_it_selects_others() -> None:
    wrong = service("front", app="chekcout")

    assert await problem(wrong, service="front") == (0, 0, "selector-matches-nothing")


async def test_three_lists_are_enough_for_many_services() -> None:
    names = [f"s{number}" for number in range(8)]
    objects = [item for name in names for item in (service(name), endpoints(name, True))]
    cluster = FakeCluster(*objects)

    found = await collect("network", scene(pod("a", running(), spec=SPEC), cluster=cluster))

    assert [one.facts["service"] for one in found] == names
    assert len(cluster.calls) == 3


async def test_policies_that_may_not_be_read_are_said_and_not_taken_for_none() -> None:
    cluster = FakeCluster(service(), endpoints("checkout", True))
    cluster.errors[path_of("NetworkPolicy", namespace="shop")] = Forbidden("is forbidden")

    found = await collect("network", scene(pod("a", container(), spec=SPEC), cluster=cluster))

    assert [one.kind for one in found] == ["unavailable", "endpoints"]
    assert "network policies" in found[0].summary
