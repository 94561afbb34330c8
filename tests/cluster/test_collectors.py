"""What collectors make of objects as a real API server, its scheduler and its controllers write them.

And that a real Prometheus understands what `resources` asks, and computes the room on nodes as it is meant.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from remediator.clock import SystemClock
from remediator.diagnose import COLLECTORS
from remediator.diagnose.base import Dependency, Scene
from remediator.diagnose.resources import expressions
from remediator.diagnose.resources.trend import OFFSETS
from remediator.kube.client import KubernetesCluster
from remediator.kube.workload import read_workload
from remediator.model import Finding, Target
from remediator.prometheus.client import PrometheusMetrics
from tests.cluster.conftest import StartPrometheus
from tests.cluster.controlplane import ControlPlane
from tests.cluster.every_kind import firing
from tests.cluster.monitoring import Exporter, prometheus_config
from tests.cluster.steps import App
from tests.cluster.waiting import wait_for, wait_for_async

BIG = {"resources": {"requests": {"cpu": "100"}}}


def app_of(control_plane: ControlPlane, namespace: str, name: str) -> App:
    return App(control_plane, namespace, name)


def manifest(app: App, *, container: dict[str, Any] | None = None, **pod: Any) -> dict[str, Any]:
    whole = app.manifest("app:ok", pod=pod, replicas=1)
    whole["spec"]["template"]["spec"]["containers"][0] |= container or {}
    return whole


async def scene(app: App, cluster: KubernetesCluster, **more: Any) -> Scene:
    target = Target(cluster.name, "Deployment", app.namespace, app.name, app.live()["metadata"]["uid"])
    workload = await read_workload(target, cluster, SystemClock())
    assert workload is not None
    return Scene(target, firing(), workload, cluster, more.pop("metrics", None), datetime.now(UTC), **more)


async def collect(name: str, app: App, cluster: KubernetesCluster, **more: Any) -> list[Finding]:
    return list(await COLLECTORS[name].collect(await scene(app, cluster, **more)))


def of_kind(findings: list[Finding], kind: str) -> Finding:
    [found] = [one for one in findings if one.kind == kind]
    return found


def is_refused(app: App) -> Callable[[], bool]:
    """Whether the scheduler has found no node for a pod of `app`.

    One that it placed is deleted, and its ReplicaSet makes another: a taint reaches the scheduler's memory some time
    after it stands in the API, and a pod made in between is placed.
    """
    pods = f"/api/v1/namespaces/{app.namespace}/pods"

    def refused() -> bool:
        found = app.control_plane.get(f"{pods}?labelSelector=app%3D{app.name}")["items"]
        living = [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]
        for pod in living:
            if pod["spec"].get("nodeName"):
                app.control_plane.kubectl("delete", "pod", pod["metadata"]["name"], "-n", app.namespace, "--wait=false")
        return any(
            (one["type"], one["status"]) == ("PodScheduled", "False")
            for pod in living
            for one in pod["status"].get("conditions", ())
        )

    return refused


UNPLACED: list[tuple[str, dict[str, Any], str]] = [
    ("capacity", {"container": BIG}, "capacity"),
    ("selector", {"nodeSelector": {"no-such": "label"}}, "affinity"),
    ("gate", {"schedulingGates": [{"name": "example.com/wait"}]}, "gate"),
    ("volume", {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "missing"}}]}, "volume"),
]


async def test_the_scheduler_s_own_words_are_sorted(
    control_plane: ControlPlane, cluster: KubernetesCluster, namespace: str
) -> None:
    """Pods of four kinds that no node takes, each told by its class."""
    apps = {name: app_of(control_plane, namespace, name) for name, _, _ in UNPLACED}
    control_plane.apply([manifest(apps[name], **changes) for name, changes, _ in UNPLACED])
    classes = {}
    for name, app in apps.items():
        wait_for(is_refused(app), timeout_seconds=20, what=f"the scheduler to refuse {name}")
        found = of_kind(await collect("scheduling", app, cluster), "scheduling")
        classes[name] = found.facts["class"]
        assert found.facts["is_current"] is True
        print(found.summary)

    assert classes == {name: kind for name, _, kind in UNPLACED}


async def test_a_taint_on_all_nodes_is_named(
    control_plane: ControlPlane, cluster: KubernetesCluster, namespace: str
) -> None:
    """With its key and value in some releases, without them in others."""
    app = app_of(control_plane, namespace, "tainted")
    nodes = [item["metadata"]["name"] for item in control_plane.get("/api/v1/nodes")["items"]]
    try:
        for node in nodes:
            control_plane.kubectl("taint", "node", node, "dedicated=gpu:NoSchedule", "--overwrite")
        control_plane.apply(manifest(app))
        wait_for(is_refused(app), timeout_seconds=20, what="the scheduler to refuse the pod")
        found = of_kind(await collect("scheduling", app, cluster), "scheduling")
    finally:
        for node in nodes:
            control_plane.kubectl("taint", "node", node, "dedicated-", check=False)

    print(found.summary)
    assert (found.facts["class"], found.facts["nodes"]) == ("taint", len(nodes))


async def test_a_quota_that_is_full_leaves_no_pod_and_is_named(app: App, cluster: KubernetesCluster) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "compute"},
        "spec": {"hard": {"pods": "1"}},
    }
    app.control_plane.apply(quota, app.namespace)
    path = f"/api/v1/namespaces/{app.namespace}/resourcequotas/compute"
    wait_for(
        lambda: "pods" in app.control_plane.get(path).get("status", {}).get("used", {}),
        timeout_seconds=20,
        what="the quota to be counted",
    )
    app.control_plane.apply(app.manifest("app:ok"))

    async def refused() -> list[Finding]:
        return [one for one in await collect("scheduling", app, cluster) if one.kind == "quota-exceeded"]

    [found] = await wait_for_async(refused, timeout_seconds=20, what="the quota to refuse a pod")

    assert found.facts["quota"] == "compute"
    assert "exceeded quota: compute, requested: pods=1" in found.facts["message"]

    async def counted() -> bool:
        room = of_kind(await collect("resources", app, cluster), "headroom")
        return bool(room.facts["quota_pods"] == 0)

    await wait_for_async(counted, timeout_seconds=20, what="no room by the quota")


async def test_an_autoscaler_and_a_budget_as_their_controllers_write_them(app: App, cluster: KubernetesCluster) -> None:
    app.deploy("app:ok")
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": app.name}
    app.control_plane.apply(
        [
            {
                "apiVersion": "autoscaling/v2",
                "kind": "HorizontalPodAutoscaler",
                "metadata": {"name": "shop"},
                "spec": {"minReplicas": 1, "maxReplicas": 2, "scaleTargetRef": reference},
            },
            {
                "apiVersion": "policy/v1",
                "kind": "PodDisruptionBudget",
                "metadata": {"name": "shop"},
                "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": app.name}}},
            },
        ],
        app.namespace,
    )

    async def settled() -> list[Finding]:
        found = await collect("autoscaling", app, cluster)
        [scaler] = of_kind(found, "autoscaling").facts["autoscalers"]
        [budget] = of_kind(found, "disruption-budgets").facts["budgets"]
        return found if scaler["is_active"] is not None and budget["healthy"] == 2 else []

    found = await wait_for_async(settled, timeout_seconds=40, what="both controllers to have looked")

    [scaler] = of_kind(found, "autoscaling").facts["autoscalers"]
    keys = ("generation", "min", "max", "current", "at_max", "is_active", "is_limited", "owner")
    assert {key: scaler[key] for key in keys} == {
        "generation": None,  # an autoscaler has none: a write to it needs another lock
        "min": 1,
        "max": 2,
        "current": 2,
        "at_max": True,
        "is_active": False,
        "is_limited": False,
        "owner": None,
    }
    assert of_kind(found, "disruption-budgets").facts["budgets"] == [
        {"name": "shop", "allowed": 1, "healthy": 2, "desired": 1, "unhealthy_policy": None}
    ]
    assert [one for one in found if one.kind == "unavailable"] == []


async def test_endpoints_of_services_that_are_right_and_wrong(app: App, cluster: KubernetesCluster) -> None:
    """The EndpointSlice of a named port that no container has carries no port at all."""
    whole = app.manifest("app:ok")
    whole["spec"]["template"]["spec"]["containers"][0]["ports"] = [{"name": "http", "containerPort": 8080}]
    app.control_plane.apply(whole)
    app.settle()
    selector = {"app": app.name}

    def service(name: str, target: Any, **spec: Any) -> dict[str, Any]:
        ports = [{"name": "web", "port": 80, "targetPort": target}]
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"selector": selector, "ports": ports, **spec},
        }

    services = [service("right", "http"), service("named", "grpc"), service("numbered", 9090)]
    app.control_plane.apply(services, app.namespace)

    async def problems() -> dict[str, str]:
        found = [one for one in await collect("network", app, cluster) if one.kind == "endpoints"]
        assert all(one.facts["ready"] == 2 for one in found), found
        return {one.facts["service"]: one.facts["problem"] for one in found}

    expected = {"right": "", "named": "port-mismatch", "numbered": "port-mismatch"}

    async def as_expected() -> bool:
        assert await problems() == expected
        return True

    await wait_for_async(as_expected, timeout_seconds=20, what="the endpoints of all three")

    [right] = await collect("dependencies", app, cluster, dependencies=(Dependency("x", "Service", None, "right"),))
    assert (right.facts["healthy"], right.facts["detail"]) == (True, "2 of 2 endpoints ready")

    deny = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "deny"},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
    }
    app.control_plane.apply(deny, app.namespace)
    assert (await problems())["right"] == "network-policy"


async def test_events_of_the_scheduler_without_times_stand_in_their_order(app: App, cluster: KubernetesCluster) -> None:
    app.control_plane.apply(manifest(app, container=BIG))
    wait_for(is_refused(app), timeout_seconds=20, what="the scheduler to refuse the pod")

    async def told() -> list[Finding]:
        found = await collect("events", app, cluster)
        return found if any(one.facts["reason"] == "FailedScheduling" for one in found) else []

    found = await wait_for_async(told, timeout_seconds=20, what="the scheduler's Event")

    seen = [one.facts["last_seen"] for one in found]
    assert seen == sorted(seen)
    recent = datetime.now(UTC) - timedelta(minutes=2)
    assert all(datetime.fromisoformat(text) > recent for text in seen)


# What kube-state-metrics and cAdvisor would say of two nodes and one pod on the first.
POD = {"namespace": "shop", "pod": "checkout-1-abcde"}
SAMPLES: list[tuple[str, dict[str, str], float]] = [
    *(
        ("kube_node_status_allocatable", {"node": node, "resource": resource}, value)
        for node in ("n1", "n2", "cordoned", "tainted", "away")
        for resource, value in (("cpu", 4.0), ("memory", 8 * 2.0**30), ("pods", 10.0))
    ),
    *(
        ("kube_node_status_condition", {"node": node, "condition": "Ready", "status": "true"}, float(node != "away"))
        for node in ("n1", "n2", "cordoned", "tainted", "away")
    ),
    ("kube_node_spec_unschedulable", {"node": "n1"}, 0.0),
    ("kube_node_spec_unschedulable", {"node": "cordoned"}, 1.0),
    ("kube_node_spec_taint", {"node": "tainted", "key": "gpu", "value": "yes", "effect": "NoSchedule"}, 1.0),
    ("kube_node_spec_taint", {"node": "n2", "key": "soft", "value": "", "effect": "PreferNoSchedule"}, 1.0),
    ("kube_pod_container_resource_requests", {**POD, "container": "app", "node": "n1", "resource": "cpu"}, 3.0),
    ("kube_pod_info", {**POD, "node": "n1"}, 1.0),
    ("kube_pod_status_phase", {**POD, "phase": "Running"}, 1.0),
    ("kube_pod_status_phase", {**POD, "phase": "Succeeded"}, 0.0),
    (
        "kube_pod_container_resource_requests",
        {**POD, "pod": "done", "container": "app", "node": "n2", "resource": "cpu"},
        4.0,
    ),
    ("kube_pod_info", {**POD, "pod": "done", "node": "n2"}, 1.0),
    ("kube_pod_status_phase", {**POD, "pod": "done", "phase": "Succeeded"}, 1.0),
    ("container_memory_working_set_bytes", {**POD, "container": "app", "id": "/a"}, 50.0),
    ("container_memory_working_set_bytes", {**POD, "container": "app", "id": "/b"}, 70.0),
    ("container_memory_working_set_bytes", {**POD, "container": ""}, 500.0),
    ("container_memory_working_set_bytes", {**POD, "pod": "checkout-12-abcde", "container": "app"}, 9.0),
]


def room_for(**pod: Any) -> str:
    requests = {"requests": {"cpu": "500m", "memory": "1Gi"}}
    expression = expressions.room_on_nodes({"spec": {"containers": [{"name": "app", "resources": requests}], **pod}})
    assert isinstance(expression, str)
    return expression


@pytest.fixture
async def metrics(exporter: Exporter, start_prometheus: StartPrometheus) -> Any:
    for name, labels, value in SAMPLES:
        exporter.set(name, labels, value)
    prometheus = start_prometheus(prometheus_config(targets=[exporter.target]))
    client = PrometheusMetrics(prometheus.url, SystemClock())
    wait_for(lambda: prometheus.query("kube_pod_info"), timeout_seconds=20, what="the first scrape")
    yield client
    await client.close()


async def by_resource(metrics: PrometheusMetrics, expression: str) -> dict[str, float]:
    return {sample.labels["resource"]: sample.value for sample in await metrics.query(expression)}


async def test_a_real_prometheus_computes_what_is_meant(metrics: PrometheusMetrics) -> None:
    """Room on nodes: one core is left on n1 and all four on n2, where the pod is finished; the others do not count."""
    assert await by_resource(metrics, room_for()) == {"all": 10, "cpu": 10, "memory": 16, "pods": 19}

    tolerant = [{"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoSchedule"}]
    assert (await by_resource(metrics, room_for(tolerations=tolerant)))["all"] == 18
    exists = [{"operator": "Exists"}]
    assert (await by_resource(metrics, room_for(tolerations=exists)))["all"] == 18

    none_ready = room_for().replace('condition="Ready"', 'condition="Shiny"')
    assert await by_resource(metrics, none_ready) == {"all": 0}
    no_exporter = room_for().replace("kube_node_status_allocatable", "kube_of_nobody")
    assert await by_resource(metrics, no_exporter) == {}

    pods = "checkout-1-[a-z0-9]{5}"
    [now] = await metrics.query(expressions.over_time(expressions.memory("shop", pods), OFFSETS))
    assert (now.labels, now.value) == ({"pod": POD["pod"], "container": "app", "ago": "0"}, 70.0)

    async def peak() -> list[float]:
        found = await metrics.query(expressions.memory_peak_before("shop", pods, 1))
        return [sample.value for sample in found]

    assert await wait_for_async(peak, timeout_seconds=10, what="memory a second ago") == [70.0]


async def test_a_real_prometheus_understands_what_is_asked(metrics: PrometheusMetrics) -> None:
    """An empty answer is fine here; a refused expression raises."""
    for expression in (
        expressions.over_time(expressions.traffic('a"b\\', "x"), OFFSETS),
        expressions.over_time(expressions.cpu_of_pods("shop", "x"), OFFSETS),
        expressions.cpu("shop", r"my\.db-[0-9]+"),
        expressions.throttled("shop", "x"),
        room_for(),
        room_for(tolerations=[{"key": "a"}, {"operator": "Exists", "key": "b"}, {"operator": "Lt", "key": "c"}]),
    ):
        await metrics.query(expression)
