"""A whole diagnosis: how often it asks, how long it takes, how much it keeps, and what it must never let through."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest

from remediator.diagnose import COLLECTORS
from remediator.diagnose.allowance import Allowance, CallsUsedUp
from remediator.diagnose.base import LARGE_CHARS, Dependency, Scene, apart
from remediator.diagnose.diagnose import (
    COLLECTOR_TIMEOUT_SECONDS,
    MAX_API_CALLS,
    MAX_BYTES,
    Diagnosis,
    diagnose,
    within_bytes,
)
from remediator.diagnose.patterns import LogPattern
from remediator.errors import PermanentError
from remediator.kube.base import Forbidden, NotFound, Unreachable
from remediator.model import Cause, Finding, Json, Request
from remediator.prometheus.base import PrometheusUnavailable, Sample
from tests.fakes import FakeCluster, ScriptedMetrics
from tests.jumping import run_jumping
from tests.unit.diagnose.scenes import container, event, node, pod, scene

SECRET = "hunter2hunter2"
LEAK = f"password={SECRET}"


def crowd(size: int = 50) -> list[Json]:
    """Pods that fail in several containers, each on a node of its own."""
    return [
        pod(f"p{number:02}", *(container(name) for name in ("app", "proxy", "agent")), spec={"nodeName": f"n{number}"})
        for number in range(size)
    ]


DEPENDENCIES = tuple(Dependency(f"d{number}", "Service", None, f"svc{number}") for number in range(10))
QUERIES = {f"q{number}": f"up{{n={number}}}" for number in range(10)}


def busy(cluster: FakeCluster, metrics: Any = None) -> Scene:
    for number in range(10):
        meta = {"name": f"svc{number}", "namespace": "shop"}
        cluster.add({"kind": "Service", "metadata": meta, "spec": {"selector": {"a": "b"}}})
    return scene(*crowd(), cluster=cluster, metrics=metrics, dependencies=DEPENDENCIES, queries=QUERIES)


async def test_fifty_failing_pods_cost_a_known_number_of_calls() -> None:
    cluster, metrics = FakeCluster(), ScriptedMetrics()

    found = await diagnose(list(COLLECTORS), busy(cluster, metrics))

    size = len(json.dumps(found.as_json()))
    print(f"50 pods: {len(cluster.calls)} API calls, {len(metrics.asked)} queries, {size} bytes of findings")
    assert len(cluster.calls) <= 60
    assert len(metrics.asked) <= 25
    assert size < MAX_BYTES
    assert found.cause is Cause.DEPENDENCY_DOWN


async def test_no_two_collectors_ask_the_same_thing() -> None:
    cluster = _Remembering()

    await diagnose(list(COLLECTORS), busy(cluster))

    assert len(cluster.asked) == len(set(cluster.asked))


class _Remembering(FakeCluster):
    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Any] = []

    async def list(self, path: str, **how: Any) -> Any:
        self.asked.append((path, *sorted(how.items())))
        return await super().list(path, **how)


class _Hanging(FakeCluster):
    """No answer from what the path holds."""

    def __init__(self, part: str, *objects: Json) -> None:
        super().__init__(*objects)
        self.part = part

    async def list(self, path: str, **how: Any) -> Any:
        if self.part in path:
            await asyncio.Event().wait()
        return await super().list(path, **how)


def test_reads_that_hang_end_within_the_time_of_a_collector_and_the_others_count() -> None:
    hanging = _Hanging("/events", node())
    work = diagnose(list(COLLECTORS), scene(*crowd(), cluster=hanging))

    found, seconds = run_jumping(work)

    print(f"50 pods, events hang: {seconds:.1f} s")
    assert isinstance(found, Diagnosis)
    assert found.cause is Cause.CODE_ERROR
    gone = [one for one in found.findings if one.kind == "unavailable" and "no answer within" in one.summary]
    assert {one.facts["collector"] for one in gone} >= {"events"}
    assert seconds <= COLLECTOR_TIMEOUT_SECONDS + 1


class _Never(ScriptedMetrics):
    async def query(self, expression: str, *, at: Any = None) -> Any:
        await asyncio.Event().wait()


def test_a_prometheus_that_hangs_costs_no_finding_of_the_api() -> None:
    found, seconds = run_jumping(diagnose(list(COLLECTORS), scene(*crowd(), metrics=_Never())))

    assert found.cause is Cause.CODE_ERROR
    assert {"rollout", "autoscaling", "disruption-budgets", "headroom"} <= {one.kind for one in found.findings}
    assert seconds <= COLLECTOR_TIMEOUT_SECONDS + 1


@pytest.mark.parametrize("error", [Forbidden("is forbidden"), Unreachable("away"), NotFound("404")])
async def test_a_cluster_that_answers_nothing_leaves_a_diagnosis_with_words(error: Exception) -> None:
    class Refusing(FakeCluster):
        async def get(self, path: str) -> Any:
            raise error

        async def list(self, path: str, **_: Any) -> Any:
            raise error

        async def logs(self, **_: Any) -> Any:
            raise error

    metrics = ScriptedMetrics({"": PrometheusUnavailable("down")})

    found = await diagnose(list(COLLECTORS), scene(*crowd(2), cluster=Refusing(), metrics=metrics))

    assert found.cause is Cause.CODE_ERROR
    assert all(one.facts.get("collector", "rollout") for one in found.findings if one.kind == "unavailable")


async def test_objects_of_an_impossible_shape_are_said_and_the_others_count() -> None:
    odd = {
        "kind": "VerticalPodAutoscaler",
        "metadata": {"name": "odd", "namespace": "shop"},
        "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout"}},
        "status": {"recommendation": {"containerRecommendations": [{"target": {"memory": "lots"}}]}},
    }

    found = await diagnose(["autoscaling", "scheduling"], scene(*crowd(1), cluster=FakeCluster(odd)))

    [gone] = [one for one in found.findings if one.kind == "unavailable"]
    assert gone.facts["collector"] == "autoscaling"
    assert "not as its API describes it" in gone.summary
    assert found.cause is Cause.CODE_ERROR


async def test_nothing_that_anyone_wrote_into_the_cluster_carries_a_secret_out() -> None:
    """Messages of every kind of object, logs, events, annotations and the texts of errors."""
    state = {"waiting": {"reason": "CrashLoopBackOff", "message": LEAK}}
    ended = {"terminated": {"exitCode": 1, "reason": "Error", "message": LEAK}}
    failing = pod("a", container(state=state, lastState=ended))
    waiting = pod("b", spec={"nodeName": None, "schedulerName": LEAK}, phase="Pending", conditions=[])
    unplaced = pod(
        "c",
        spec={"nodeName": None},
        conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": LEAK}],
    )
    tainted = node()
    tainted["spec"] = {"taints": [{"key": "k", "value": LEAK, "effect": "NoSchedule"}]}
    outside = {
        "kind": "Service",
        "metadata": {"name": "db", "namespace": "shop"},
        "spec": {"type": "ExternalName", "externalName": f"https://user:{SECRET}@db.example.com"},
    }
    cluster = FakeCluster(tainted, outside, event("a", "Failed", LEAK))
    cluster.log_texts |= {("shop", "a", "app", previous): f"{LEAK}\n" for previous in (True, False)}
    for kind in ("networkpolicies", "horizontalpodautoscalers", "resourcequotas", "poddisruptionbudgets"):
        group = {"networkpolicies": "networking.k8s.io/v1", "horizontalpodautoscalers": "autoscaling/v2"}
        root = f"/apis/{group.get(kind, 'policy/v1')}" if kind != "resourcequotas" else "/api/v1"
        cluster.errors[f"{root}/namespaces/shop/{kind}"] = Forbidden(f"{LEAK} is forbidden")
    metrics = ScriptedMetrics({"": PrometheusUnavailable(LEAK)})

    found = await diagnose(
        list(COLLECTORS),
        scene(
            failing,
            waiting,
            unplaced,
            cluster=cluster,
            metrics=metrics,
            labels={"service": LEAK},
            dependencies=(Dependency("db", "Service", None, "db"),),
            queries={"one": "up"},
        ),
    )

    assert len({one.kind for one in found.findings}) > 8
    assert [one for one in found.findings if SECRET in json.dumps([one.summary, dict(one.facts)])] == []


class TestAllowance:
    async def test_the_same_read_is_made_once_for_all(self) -> None:
        cluster = FakeCluster(node())
        allowance = Allowance(cluster, max_calls=5)

        first, second = await asyncio.gather(*(allowance.get("/api/v1/nodes/node-1") for _ in range(2)))

        assert first == second
        assert (len(cluster.calls), allowance.used) == (1, 1)

    async def test_a_refusal_is_remembered_too(self) -> None:
        cluster = FakeCluster()
        allowance = Allowance(cluster, max_calls=5)

        for _ in range(2):
            with pytest.raises(NotFound):
                await allowance.get("/api/v1/nodes/node-1")

        assert allowance.used == 1

    async def test_beyond_its_number_nothing_is_asked(self) -> None:
        cluster = FakeCluster(node())
        allowance = Allowance(cluster, max_calls=1)
        await allowance.list("/api/v1/nodes")

        with pytest.raises(CallsUsedUp, match="all 1 API calls"):
            await allowance.list("/api/v1/pods")

        assert len(cluster.calls) == 1

    async def test_who_waits_for_an_asker_that_gives_up_asks_again(self) -> None:
        gate = asyncio.Event()

        class Slow(FakeCluster):
            async def get(self, path: str) -> Any:
                self.calls.append(path)
                if len(self.calls) == 1:
                    await gate.wait()
                return {"kind": "Node"}

        cluster = Slow()
        allowance = Allowance(cluster, max_calls=5)
        first = asyncio.ensure_future(allowance.get("/x"))
        await asyncio.sleep(0)
        second = asyncio.ensure_future(allowance.get("/x"))
        await asyncio.sleep(0)

        first.cancel()

        assert await second == {"kind": "Node"}
        assert len(cluster.calls) == 2

    async def test_a_diagnosis_changes_nothing(self) -> None:
        cluster = FakeCluster()
        request = Request("PATCH", "/api/v1/x", "application/json", {})

        with pytest.raises(PermanentError, match="only reads"):
            await Allowance(cluster, max_calls=5).send(request, dry_run=True)

        assert cluster.sent == []


async def test_a_diagnosis_that_has_used_its_calls_says_so_and_goes_on() -> None:
    names = ("a", "b", "c", "d", "e", "f", "g", "h", "i", "j")
    many = tuple(Dependency(f"{name}{n}", "Service", f"space{n}", name) for n in range(1) for name in names)
    assert len(many) * 2 < MAX_API_CALLS
    small = Allowance(FakeCluster(), max_calls=3)

    found = await diagnose(list(COLLECTORS), scene(*crowd(3), cluster=small, dependencies=many))  # type: ignore[arg-type]

    texts = [one.summary for one in found.findings if one.kind == "unavailable"]
    assert any("all 3 API calls of this diagnosis are used" in text for text in texts)
    assert found.cause is Cause.CODE_ERROR


class Searched:
    """An expression that is nowhere, and knows in which threads it was looked for."""

    def __init__(self) -> None:
        self.threads: set[int] = set()

    def matches(self, _: str) -> bool:
        self.threads.add(threading.get_ident())
        return False


@pytest.mark.parametrize(("chars", "is_apart"), [(LARGE_CHARS, False), (LARGE_CHARS + 1, True)])
async def test_long_logs_are_searched_where_they_hold_nothing_up(chars: int, is_apart: bool) -> None:
    searched = Searched()
    cluster = FakeCluster()
    cluster.log_texts["shop", "p00", "app", True] = "x" * chars
    patterns = [LogPattern("any", Cause.DEPENDENCY_DOWN, searched)]

    await diagnose(["logs"], scene(pod("p00", container("app")), cluster=cluster), patterns=patterns)

    assert {one != threading.get_ident() for one in searched.threads} == {is_apart}


async def test_what_is_long_is_read_apart() -> None:
    assert await apart(LARGE_CHARS, threading.get_ident) == threading.get_ident()
    assert await apart(LARGE_CHARS + 1, threading.get_ident) != threading.get_ident()


def test_findings_beyond_the_bytes_are_counted_and_left_out() -> None:
    findings = [Finding("log", "x", {"text": "é" * 300}) for _ in range(5)] + [Finding("small", "y")]

    kept = within_bytes(findings, max_bytes=2048)

    assert [one.kind for one in kept] == ["log", "log", "log", "small", "unavailable"]
    assert kept[-1].facts["left_out"] == 2


def test_what_prometheus_says_of_a_container_is_json() -> None:
    """Numbers only; NaN and infinity would end up in a database column that refuses them."""
    sample = Sample({"pod": "p00", "container": "app", "ago": "0"}, 2.0**20)

    found, _ = run_jumping(diagnose(list(COLLECTORS), scene(*crowd(2), metrics=ScriptedMetrics({"": [sample]}))))

    assert json.dumps(found.as_json(), allow_nan=False)
