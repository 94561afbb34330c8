"""`resources`: what it asks Prometheus and the API, and what it makes of the answers."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from remediator.diagnose.resources.expressions import (
    NotComputable,
    former_pods_of,
    memory,
    over_time,
    pods_of,
    room_on_nodes,
)
from remediator.diagnose.resources.trend import OFFSETS
from remediator.kube.base import Forbidden, path_of
from remediator.model import Finding, Json
from remediator.prometheus.base import PrometheusUnavailable, Sample
from tests.fakes import FakeCluster, ScriptedMetrics
from tests.unit.diagnose.scenes import CRASHED, collect, pod, running, scene
from tests.workloads import NOW, replica_set, template, workload

MIB = 2**20
SPEC = {
    "containers": [
        {
            "name": "app",
            "resources": {"requests": {"cpu": "500m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "100Mi"}},
        }
    ]
}


def in_pod(name: str, value: float, container: str = "app", **labels: str) -> Sample:
    return Sample({"pod": name, "container": container, **labels}, value)


def asked_of(metrics: ScriptedMetrics | None, *pods: Json, cluster: FakeCluster | None = None) -> Any:
    return collect("resources", scene(*pods, metrics=metrics, cluster=cluster or FakeCluster()))


def kind(findings: list[Finding], name: str) -> list[Finding]:
    return [one for one in findings if one.kind == name]


def history(*series: tuple[str, float], ago: str = "0") -> list[Sample]:
    return [in_pod(name, value * MIB, ago=ago) for name, value in series]


async def test_memory_is_told_for_each_container_fullest_first() -> None:
    metrics = ScriptedMetrics({"working_set": history(("a", 50), ("b", 95), ("gone", 99))})

    found = await asked_of(metrics, pod("a", running(), spec=SPEC), pod("b", running(), spec=SPEC))

    memory = kind(found, "memory")
    assert [one.facts["pod"] for one in memory] == ["b", "a"]
    assert memory[0].facts == {
        "pod": "b",
        "container": "app",
        "working_set_bytes": 95 * MIB,
        "limit_bytes": 100 * MIB,
        "ratio": 0.95,
    }


async def test_without_a_limit_there_is_no_ratio() -> None:
    metrics = ScriptedMetrics({"working_set": history(("a", 50))})

    found = await asked_of(metrics, pod("a", running()))

    [memory] = kind(found, "memory")
    assert (memory.facts["limit_bytes"], memory.facts["ratio"]) == (None, None)


async def test_a_limit_resized_in_place_counts_and_not_the_template_s() -> None:
    resized = running(resources={"limits": {"memory": "200Mi"}})
    metrics = ScriptedMetrics({"working_set": history(("a", 50))})

    [memory] = kind(await asked_of(metrics, pod("a", resized, spec=SPEC)), "memory")

    assert memory.facts["ratio"] == 0.25


async def test_the_trend_is_read_from_one_query_of_all_hours() -> None:
    rising = [
        in_pod("a", (90 - minutes / 10) * MIB, ago=str(minutes * 60)) for minutes in (0, 5, 10, 15, 20, 30, 45, 60, 120)
    ]
    steady = [Sample({"pod": "a", "ago": one.labels["ago"]}, 5.0) for one in rising]
    metrics = ScriptedMetrics({"[6h] offset": [], "working_set": rising, "network_receive": steady})

    found = await asked_of(metrics, pod("a", running(minutes=600), spec=SPEC))

    [trend] = kind(found, "memory-trend")
    assert (trend.facts["shape"], trend.facts["worst_pod"]) == ("leak", "a")
    assert sum("working_set" in text for text in metrics.asked) == 2  # the course, and the peak before the rollout


async def test_memory_far_above_the_former_release_began_with_the_rollout() -> None:
    metrics = ScriptedMetrics(
        {"[6h] offset 600s": [Sample({"container": "app"}, 40.0 * MIB)], "working_set": history(("a", 95))}
    )

    found = await asked_of(metrics, pod("a", running(minutes=9), spec=SPEC))

    [trend] = kind(found, "memory-trend")
    assert trend.facts["shape"] == "began-with-rollout"


async def test_a_young_pod_has_no_trend_yet() -> None:
    metrics = ScriptedMetrics({"[6h]": [], "working_set": history(("a", 95))})

    found = await asked_of(metrics, pod("a", running(minutes=5, lastState=CRASHED), spec=SPEC))

    assert [one.facts["shape"] for one in kind(found, "memory-trend")] == ["unknown"]


SATURATION: list[tuple[str, float, float | None, Any, tuple[float | None, bool | None]]] = [
    ("at its limit", 0.95, None, SPEC, (0.95, True)),
    ("idle", 0.2, None, SPEC, (0.2, False)),
    ("idle on average, throttled in bursts", 0.2, 0.4, SPEC, (0.2, True)),
    (
        "without a limit, beyond its request",
        0.6,
        None,
        {"containers": [{"name": "app", "resources": {"requests": {"cpu": "500m"}}}]},
        (1.2, True),
    ),
    ("with neither", 0.6, None, {"containers": [{"name": "app"}]}, (None, None)),
]


@pytest.mark.parametrize(
    ("cores", "throttled", "spec", "expected"), [row[1:] for row in SATURATION], ids=[row[0] for row in SATURATION]
)
async def test_cpu_saturation(
    cores: float, throttled: float | None, spec: Any, expected: tuple[float | None, bool | None]
) -> None:
    metrics = ScriptedMetrics(
        {
            "throttled": [Sample({}, throttled)] if throttled is not None else [],
            "max by (pod, container) (rate(container_cpu": [in_pod("a", cores)],
        }
    )

    [found] = kind(await asked_of(metrics, pod("a", running(), spec=spec)), "saturation")

    assert (found.facts["cpu_ratio"], found.facts["is_saturated"]) == expected


def quota(left: int) -> Json:
    return {
        "kind": "ResourceQuota",
        "metadata": {"name": "compute", "namespace": "shop"},
        "spec": {"hard": {"pods": "10"}},
        "status": {"used": {"pods": str(10 - left)}},
    }


def nodes(value: float) -> list[Sample]:
    return [Sample({"resource": "all"}, value), Sample({"resource": "cpu"}, value)]


HEADROOM: list[tuple[str, list[Json], Any, tuple[int | None, int | None, str]]] = [
    ("the quota is tighter", [quota(2)], nodes(5), (2, 5, "quota compute: pods")),
    ("the nodes are", [quota(9)], nodes(5), (9, 5, "nodes: cpu")),
    ("no quota", [], nodes(5), (10_000, 5, "nodes: cpu")),
    ("no kube-state-metrics", [quota(2)], [], (2, None, "quota compute: pods")),
    ("Prometheus is away", [quota(2)], PrometheusUnavailable("down"), (2, None, "quota compute: pods")),
]


@pytest.mark.parametrize(("quotas", "room", "expected"), [row[1:] for row in HEADROOM], ids=[r[0] for r in HEADROOM])
async def test_headroom(quotas: list[Json], room: Any, expected: tuple[int | None, int | None, str]) -> None:
    metrics = ScriptedMetrics({"kube_node_status_allocatable": room})

    [found] = kind(await asked_of(metrics, pod("a", running(), spec=SPEC), cluster=FakeCluster(*quotas)), "headroom")

    assert (found.facts["quota_pods"], found.facts["node_pods"], found.facts["tightest"]) == expected


async def test_headroom_without_a_pod_to_measure_by_is_unknown() -> None:
    [found] = kind(await asked_of(ScriptedMetrics({"kube_node": nodes(5)}), cluster=FakeCluster(quota(2))), "headroom")

    assert (found.facts["quota_pods"], found.facts["node_pods"], found.facts["tightest"]) == (None, None, "unknown")


async def test_quotas_that_may_not_be_read_are_unknown() -> None:
    cluster = FakeCluster()
    cluster.errors[path_of("ResourceQuota", namespace="shop")] = Forbidden("is forbidden")

    found = await asked_of(None, pod("a", running(), spec=SPEC), cluster=cluster)

    [headroom] = kind(found, "headroom")
    assert headroom.facts["quota_pods"] is None
    assert any("quotas" in one.summary for one in kind(found, "unavailable"))


async def test_without_prometheus_usage_is_unavailable_and_quotas_count() -> None:
    found = await asked_of(None, pod("a", running(), spec=SPEC), cluster=FakeCluster(quota(2)))

    assert [one.facts["what"] for one in kind(found, "unavailable")] == ["memory", "CPU"]
    assert kind(found, "headroom")[0].facts["quota_pods"] == 2


BOUND: list[tuple[str, Json, bool]] = [
    ("nothing", {}, False),
    ("preferences", {"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [1]}}}, False),
    ("spread where possible", {"topologySpreadConstraints": [{"whenUnsatisfiable": "ScheduleAnyway"}]}, False),
    ("labels of nodes", {"nodeSelector": {"disk": "ssd"}}, True),
    (
        "node affinity",
        {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}}},
        True,
    ),
    (
        "one to a node",
        {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{}]}}},
        True,
    ),
    ("spread", {"topologySpreadConstraints": [{"whenUnsatisfiable": "DoNotSchedule"}]}, True),
    ("ports of the node", {"containers": [{"name": "app", "ports": [{"hostPort": 80}]}]}, True),
    ("volumes", {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "d"}}]}, True),
]


@pytest.mark.parametrize(("spec", "is_bound"), [row[1:] for row in BOUND], ids=[row[0] for row in BOUND])
def test_pods_that_are_bound_to_nodes_have_no_room_that_metrics_could_tell(spec: Json, is_bound: bool) -> None:
    expression = room_on_nodes({"spec": {**SPEC, **spec}})

    assert isinstance(expression, NotComputable) is is_bound


def test_the_pods_that_there_are_as_a_regular_expression() -> None:
    owner = {"kind": "ReplicaSet", "name": "checkout-3", "uid": "rs-3", "controller": True}
    one = pod("checkout-3-abcde", running(), meta={"name": "checkout-3-abcde", "ownerReferences": [owner]})

    assert pods_of(workload(pods=(one,))) == "checkout-3-[a-z0-9]{5}"
    assert pods_of(workload(pods=())) is None


def test_and_those_of_former_revisions() -> None:
    assert former_pods_of(workload()) == "checkout-2-[a-z0-9]{5}|checkout-3-[a-z0-9]{5}"
    assert former_pods_of(workload(replica_sets=())) is None


def test_the_pods_of_a_stateful_set_are_numbered() -> None:
    owner = {"kind": "StatefulSet", "name": "my.db", "uid": "s", "controller": True}
    one = pod("my.db-0", running(), meta={"name": "my.db-0", "ownerReferences": [owner]})

    assert pods_of(workload(replica_sets=(), pods=(one,))) == r"my\.db-[0-9]+"


def test_a_name_is_cut_as_the_api_server_cuts_it() -> None:
    long = replica_set(3, template(), created=NOW)
    long["metadata"]["name"] = "x" * 70

    assert former_pods_of(workload(replica_sets=(long,))) == "x" * 58 + "[a-z0-9]{5}"


def test_a_query_of_all_moments_goes_into_a_url() -> None:
    """Proxies in front of Prometheus commonly take eight KiB."""
    pods = pods_of(workload(pods=(pod("a", running(), owner="a-rather-long-name-of-a-deployment-7c9d8b5f6d"),)))
    assert pods is not None

    expression = over_time(memory("a-rather-long-namespace", pods), OFFSETS)

    assert len(quote(expression)) < 8192
