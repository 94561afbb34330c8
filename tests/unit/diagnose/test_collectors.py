"""The collectors: what they read of a cluster, within which bounds, and what becomes of one that fails."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from remediator.clock import rfc3339
from remediator.diagnose import COLLECTORS
from remediator.diagnose.base import Scene
from remediator.diagnose.diagnose import COLLECTOR_TIMEOUT_SECONDS, Diagnosis, diagnose
from remediator.diagnose.logs import LIMIT_BYTES, MAX_TOTAL_BYTES
from remediator.kube.base import Forbidden, Logs, Unreachable
from remediator.kube.rollout import REVISION
from remediator.model import Cause, Finding, Json, Target
from remediator.prometheus.base import PrometheusUnavailable, Sample
from tests.fakes import FakeCluster
from tests.jumping import run_jumping
from tests.unit.checks.worlds import FakeMetrics
from tests.workloads import NOW, ROLLOUT_AT, TARGET, alert, deployment, replica_set, template, workload

NEW, OLD = "rs-3", "rs-2"
NODE = "/api/v1/nodes/node-1"
EVENTS = "/api/v1/namespaces/shop/events"
LOG = "/api/v1/namespaces/shop/pods/{}/log"
CRASHED = {"terminated": {"exitCode": 1, "reason": "Error"}}
BACKING_OFF = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}


def container(name: str = "app", **status: Any) -> Json:
    """A container status: in its crash loop, unless told otherwise."""
    facts = {"name": name, "ready": False, "restartCount": 5, "state": BACKING_OFF, "lastState": CRASHED}
    return facts | status


def running(name: str = "app", *, minutes: float = 60, **status: Any) -> Json:
    state = {"running": {"startedAt": rfc3339(NOW - timedelta(minutes=minutes))}}
    return {"name": name, "ready": True, "restartCount": 0, "state": state, "lastState": {}} | status


def pod(name: str, *containers: Json, owner: str = NEW, init: tuple[Json, ...] = (), **status: Any) -> Json:
    ready = bool(containers) and all(one["ready"] for one in (*init, *containers))
    return {
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": f"uid-{name}",
            "ownerReferences": [{"kind": "ReplicaSet", "name": owner, "uid": owner, "controller": True}],
        },
        "spec": {"nodeName": "node-1"},
        "status": {
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
            "containerStatuses": list(containers),
            "initContainerStatuses": list(init),
        }
        | status,
    }


def node(**conditions: str) -> Json:
    both = {"Ready": "True", **conditions}
    return {
        "kind": "Node",
        "metadata": {"name": "node-1"},
        "status": {"conditions": [{"type": kind, "status": status} for kind, status in both.items()]},
    }


def event(about: str, reason: str, message: str, *, number: int = 1, **stamps: Any) -> Json:
    stamps = stamps or {"lastTimestamp": rfc3339(NOW - timedelta(minutes=number))}
    return {
        "kind": "CoreEvent",
        "metadata": {"name": f"e-{about}-{number}", "namespace": "shop", "creationTimestamp": rfc3339(NOW)},
        "involvedObject": {"kind": "Pod", "name": about, "uid": f"uid-{about}"},
        "reason": reason,
        "type": "Warning",
        "message": message,
        **stamps,
    }


def scene(*pods: Json, cluster: FakeCluster | None = None, metrics: Any = None, **picture: Any) -> Scene:
    world = cluster if cluster is not None else FakeCluster(node())
    return Scene(TARGET, alert(), workload(pods=pods, **picture), world, metrics, NOW)


async def collect(name: str, of: Scene) -> list[Finding]:
    return list(await COLLECTORS[name].collect(of))


async def cause_of(*pods: Json, names: tuple[str, ...] = ("containers",), **more: Any) -> Cause:
    return (await diagnose(names, scene(*pods, **more))).cause


MISSING = {"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "db" not found'}}
CREATING = {"waiting": {"reason": "ContainerCreating"}}
PULLING = {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}}
HOOK = {"waiting": {"reason": "PostStartHookError", "message": "exit 1"}}
LOST = {"terminated": {"exitCode": 137, "reason": "ContainerStatusUnknown"}}

PODS: list[tuple[str, Cause, list[Json]]] = [
    ("the main container", Cause.CODE_ERROR, [pod("a", container())]),
    ("an init container", Cause.CODE_ERROR, [pod("a", init=(container("migrate"),))]),
    ("a sidecar", Cause.CODE_ERROR, [pod("a", running(), container("proxy"))]),
    ("the image of an init container", Cause.IMAGE_ERROR, [pod("a", init=(container(state=PULLING, lastState={}),))]),
    ("a Secret that is missing", Cause.MISSING_CONFIG, [pod("a", container(state=MISSING, lastState={}))]),
    ("a hook that fails", Cause.CANNOT_START, [pod("a", container(state=HOOK, lastState={}))]),
    ("a pod evicted", Cause.NODE_FAULT, [pod("a", reason="Evicted")]),
    ("a kubelet that lost the container", Cause.NODE_FAULT, [pod("a", container(state=LOST, lastState={}))]),
    (
        "an evicted pod left over beside a crash",
        Cause.CODE_ERROR,
        [pod("a", container(state=LOST, lastState={}), reason="Evicted"), pod("b", container())],
    ),
    # Nothing here may be taken for a fault of the release.
    ("only pods of the former revision", Cause.UNKNOWN, [pod("a", container(), owner=OLD)]),
    ("images of the former revision", Cause.UNKNOWN, [pod("a", container(state=PULLING), owner=OLD)]),
    ("an eviction of the former revision", Cause.UNKNOWN, [pod("a", reason="Evicted", owner=OLD)]),
    ("being created", Cause.UNKNOWN, [pod("a", container(state=CREATING, restartCount=0, lastState={}))]),
    (
        "crashes of last week, running well since",
        Cause.UNKNOWN,
        [pod("a", running(restartCount=7, lastState=CRASHED)), pod("b", running())],
    ),
    ("an init container that did its work", Cause.UNKNOWN, [pod("a", running(), init=(running("migrate"),))]),
]


@pytest.mark.parametrize(("cause", "pods"), [row[1:] for row in PODS], ids=[row[0] for row in PODS])
async def test_what_the_pods_say_of_themselves(cause: Cause, pods: list[Json]) -> None:
    assert await cause_of(*pods) is cause


async def test_a_container_caught_between_two_crashes_is_still_crashing() -> None:
    """Without a readiness probe it is Ready for the seconds that it runs."""
    caught = running(minutes=0.2, restartCount=5, lastState=CRASHED)

    assert await cause_of(pod("a", caught)) is Cause.CODE_ERROR


async def test_an_unobserved_deployment_has_no_present_pods() -> None:
    not_seen = deployment(template("shop/checkout:1.6"))

    assert await cause_of(pod("a", container()), object=not_seen) is Cause.UNKNOWN


async def test_the_pods_of_a_stateful_set_are_its_own() -> None:
    item = {"kind": "StatefulSet", "metadata": {"name": "db", "namespace": "shop", "uid": "s-1"}, "spec": {}}
    picture = workload(object=item, replica_sets=(), pods=(pod("db-0", container(), owner="s-1"),))
    target = Target("test", "StatefulSet", "shop", "db", "s-1")

    found = await diagnose(list(COLLECTORS), Scene(target, alert(), picture, FakeCluster(node()), None, NOW))

    assert found.cause is Cause.CODE_ERROR
    readiness = next(one for one in found.findings if one.kind == "readiness")
    assert readiness.facts == {"not_ready": 1, "pods": 1, "old_ready": 0}


async def test_every_collector_gets_along_with_a_node() -> None:
    item = {"kind": "Node", "metadata": {"name": "node-1", "uid": "n-1"}, "spec": {}, "status": {}}
    picture = workload(object=item, replica_sets=(), namespace={}, pods=())
    target = Target("test", "Node", "", "node-1", "n-1")

    found = await diagnose(list(COLLECTORS), Scene(target, alert(), picture, FakeCluster(item), None, NOW))

    assert found.cause is Cause.UNKNOWN


async def test_new_pods_crash_and_old_ones_are_well() -> None:
    pods = (pod("a", container()), pod("b", running(), owner=OLD), pod("c", running(), owner=OLD))

    readiness = (await collect("containers", scene(*pods)))[0]

    assert readiness.facts == {"not_ready": 1, "pods": 1, "old_ready": 2}


async def test_secrets_in_messages_are_taken_out_before_they_are_cut() -> None:
    long = "x" * 280 + " password=hunter2hunter2hunter2hunter2"
    state = {"waiting": {"reason": "CrashLoopBackOff", "message": long}}
    cluster = FakeCluster(node(), event("a", "BackOff", long))

    findings = await collect("containers", scene(pod("a", container(state=state)))) + await collect(
        "events", scene(pod("a", container()), cluster=cluster)
    )

    assert "hunter2" not in str(findings)


class TestLogs:
    def cluster(self, text: str, *pods: str, container: str = "app") -> FakeCluster:
        one = FakeCluster(node())
        for name in pods:
            one.log_texts |= {("shop", name, container, previous): text for previous in (True, False)}
        return one

    async def test_this_run_and_the_one_before_of_the_two_worst_pods(self) -> None:
        pods = [pod(name, container(restartCount=count)) for name, count in (("a", 2), ("b", 9), ("c", 5))]
        cluster = self.cluster("boom\n", "a", "b", "c")

        found = await collect("logs", scene(*pods, cluster=cluster))

        read = [(one.facts["pod"], one.facts["previous"]) for one in found]
        assert read == [("b", True), ("b", False), ("c", True), ("c", False)]

    async def test_an_init_container_that_fails_is_read(self) -> None:
        cluster = self.cluster("no such table\n", "a", container="migrate")

        found = await collect("logs", scene(pod("a", init=(container("migrate"),)), cluster=cluster))

        assert [one.facts["container"] for one in found] == ["migrate", "migrate"]

    async def test_healthy_pods_and_containers_are_not_read(self) -> None:
        cluster = self.cluster("boom\n", "a", "b")

        await collect("logs", scene(pod("a", running()), pod("b", running("proxy"), container()), cluster=cluster))

        assert {call for call in cluster.calls if call.startswith("LOGS")} == {"LOGS shop/b/app"}

    async def test_the_budget_holds_for_all_together(self) -> None:
        names = [f"c{number}" for number in range(12)]
        cluster = _Chatty(node())

        found = await collect("logs", scene(pod("a", *(container(name) for name in names)), cluster=cluster))

        assert sum(len(one.facts["text"]) for one in found) <= MAX_TOTAL_BYTES
        assert max(cluster.limits) == LIMIT_BYTES

    async def test_one_log_that_cannot_be_read_costs_no_other(self) -> None:
        cluster = self.cluster("boom\n", "a", "b")
        cluster.errors[LOG.format("a")] = Unreachable("kubelet away")
        pods = (pod("a", container(restartCount=9)), pod("b", container()))

        found = await collect("logs", scene(*pods, cluster=cluster))

        assert [one.kind for one in found] == ["unavailable", "unavailable", "log", "log"]

    async def test_secrets_do_not_come_through(self) -> None:
        cluster = self.cluster("connecting with password=hunter2\n", "a")

        found = await collect("logs", scene(pod("a", container()), cluster=cluster))

        assert "hunter2" not in str(found)

    async def test_a_sidecar_s_complaint_about_the_crashed_application_is_not_its_cause(self) -> None:
        """The proxy cannot connect because the application is down, not the other way round."""
        cluster = self.cluster("TypeError: boom\n", "a")
        proxy = {("shop", "a", "proxy", previous): "upstream connection refused\n" for previous in (True, False)}
        cluster.log_texts |= proxy
        waiting = running("proxy", ready=False)

        assert await cause_of(pod("a", container(), waiting), names=("logs",), cluster=cluster) is Cause.CODE_ERROR

    async def test_the_application_s_own_complaint_is(self) -> None:
        cluster = self.cluster("dial tcp: connection refused\n", "a")

        assert await cause_of(pod("a", container()), names=("logs",), cluster=cluster) is Cause.DEPENDENCY_DOWN


class _Chatty(FakeCluster):
    """Every log is as long as it may be."""

    def __init__(self, *objects: Json) -> None:
        super().__init__(*objects)
        self.limits: list[int] = []

    async def logs(self, *, limit_bytes: int, **_: Any) -> Logs:
        self.limits.append(limit_bytes)
        return Logs("x" * limit_bytes, complete_tail=False)


class TestEvents:
    async def test_they_are_asked_for_by_uid_and_put_in_order(self) -> None:
        scheduler = event("a", "FailedScheduling", "0/3 nodes", number=7, lastTimestamp=None, eventTime=rfc3339(NOW))
        cluster = FakeCluster(
            event("a", "BackOff", "late", number=1),
            event("a", "Pulled", "early", number=9),
            scheduler,
            event("other", "BackOff", "not ours"),
        )

        found = await collect("events", scene(pod("a", container()), cluster=cluster))

        assert [one.facts["reason"] for one in found] == ["Pulled", "BackOff", "FailedScheduling"]

    async def test_a_probe_that_kills_is_not_a_code_error(self) -> None:
        killed = container(lastState={"terminated": {"exitCode": 137, "reason": "Error"}})
        text = "Container app failed liveness probe, will be restarted"

        mine = FakeCluster(event("a", "Killing", text))
        assert await cause_of(pod("a", killed), names=("events",), cluster=mine) is Cause.PROBE_FAILING

    async def test_another_pod_s_probe_says_nothing_of_this_one(self) -> None:
        killed = container(lastState={"terminated": {"exitCode": 137, "reason": "Error"}})
        slow = pod("b", running(ready=False))
        cluster = FakeCluster(event("b", "Unhealthy", "Startup probe failed: timeout"))

        assert await cause_of(pod("a", killed), slow, names=("events",), cluster=cluster) is Cause.CODE_ERROR

    async def test_a_hook_that_fails_is_named_by_its_event(self) -> None:
        cluster = FakeCluster(event("a", "FailedPostStartHook", "exit 1"))

        assert await cause_of(pod("a", container()), names=("events",), cluster=cluster) is Cause.CANNOT_START


class TestRollout:
    async def test_what_was_deployed_when_and_what_it_changed(self) -> None:
        item = deployment(template())
        item["metadata"]["annotations"]["kubernetes.io/change-cause"] = "kubectl set env PASSWORD=hunter2"

        rollout, difference = await collect("rollout", scene(object=item))

        assert rollout.facts["revision"] == 3
        assert rollout.facts["started_at"] == rfc3339(ROLLOUT_AT)
        assert "hunter2" not in str(rollout)
        assert difference.facts["paths"] == ["/spec/containers/0/image"]
        assert difference.facts["before_images"] == {"app": "shop/checkout:1.4"}

    async def test_prometheus_says_how_long_a_former_revision_was_available(self) -> None:
        found = await collect("rollout", scene(metrics=_Counted(15.0)))

        assert found[-1].kind == "revision-was-available"
        assert found[-1].facts == {"replica_set": "checkout-2", "seconds": 900.0}

    async def test_at_most_three_former_revisions_are_asked_about(self) -> None:
        sets = [replica_set(n, template(f"shop/checkout:1.{n}"), created=NOW) for n in range(1, 8)]
        sets.append(replica_set(9, template("shop/checkout:1.5"), created=NOW))
        sets[4]["spec"]["template"]["spec"]["containers"][0]["image"] = "shop/checkout:x"
        sets[0]["metadata"]["annotations"][REVISION] = "not a number"
        metrics = FakeMetrics()

        await collect("rollout", scene(replica_sets=tuple(sets), metrics=metrics))

        assert len(metrics.asked) == 3

    async def test_a_prometheus_that_is_away_is_said_and_costs_nothing_else(self) -> None:
        found = await collect("rollout", scene(metrics=FakeMetrics(failure=PrometheusUnavailable("down"))))

        assert [one.kind for one in found] == ["rollout", "rollout-diff", "unavailable"]


class _Counted(FakeMetrics):
    def __init__(self, minutes: float) -> None:
        super().__init__()
        self.minutes = minutes

    async def query(self, expression: str, *, at: Any = None) -> list[Sample]:
        return [Sample({}, self.minutes)]


def using(*names: str) -> Json:
    one = template()
    one["spec"]["containers"][0]["envFrom"] = [{"configMapRef": {"name": name}} for name in names]
    return deployment(one)


class TestConfig:
    async def test_what_is_missing_and_what_changed_lately(self) -> None:
        known = {"fresh": NOW - timedelta(minutes=5), "old": NOW - timedelta(days=5)}

        found = await collect("config", scene(object=using("fresh", "old", "gone"), config_maps=known))

        assert [(one.kind, one.facts.get("missing")) for one in found] == [
            ("config-changed", None),
            ("config-missing", "ConfigMap gone"),
        ]

    async def test_what_may_not_be_listed_is_unknown_and_not_missing(self) -> None:
        [found] = await collect("config", scene(object=using("a"), config_maps=None))

        assert found.kind == "unavailable"


NODES: list[tuple[str, Json, list[str]]] = [
    ("well", node(), []),
    ("not ready", node(Ready="Unknown"), ["node-fault"]),
    ("under pressure", node(MemoryPressure="True"), ["node-fault"]),
]


@pytest.mark.parametrize(("item", "kinds"), [row[1:] for row in NODES], ids=[row[0] for row in NODES])
async def test_the_nodes_of_failing_pods_are_looked_at(item: Json, kinds: list[str]) -> None:
    found = await collect("node", scene(pod("a", container()), cluster=FakeCluster(item)))

    assert [one.kind for one in found] == kinds


@pytest.mark.parametrize("error", [Forbidden("nodes is forbidden"), Unreachable("away")])
async def test_a_node_that_cannot_be_read_is_unavailable_and_well_ones_are_told(error: Exception) -> None:
    cluster = FakeCluster()
    cluster.errors[NODE] = error

    [found] = await collect("node", scene(pod("a", container()), cluster=cluster))

    assert found.kind == "unavailable"


async def test_a_whole_diagnosis_is_bounded() -> None:
    """However many pods fail: four lists of Events, four logs, a read for each of a few nodes."""
    pods = [pod(f"p{number}", container()) for number in range(100)]
    for number, one in enumerate(pods):
        one["spec"]["nodeName"] = f"node-{number}"
    cluster = FakeCluster()

    found = await diagnose(list(COLLECTORS), scene(*pods, cluster=cluster))

    assert len(cluster.calls) <= 4 + 4 + 5
    assert len({one.facts["pod"] for one in found.findings if one.kind == "container-waiting"}) <= 10


async def test_what_is_forbidden_is_said_and_the_diagnosis_goes_on() -> None:
    cluster = FakeCluster()
    cluster.errors |= {EVENTS: Forbidden("events is forbidden"), LOG.format("a"): Forbidden("pods/log is forbidden")}

    found = await diagnose(["logs", "events", "node"], scene(pod("a", container()), cluster=cluster))

    assert found.cause is Cause.CODE_ERROR
    missing = {one.facts.get("collector") for one in found.findings if one.kind == "unavailable"}
    assert missing == {"logs", "events", "node"}


class _Hanging(FakeCluster):
    async def list(self, path: str, **_: Any) -> Any:
        await asyncio.Event().wait()


def test_a_collector_that_hangs_is_given_up_and_the_others_count() -> None:
    hanging = _Hanging(node())
    work = diagnose(["events", "node"], scene(pod("a", container()), cluster=hanging))

    found, seconds = run_jumping(work)

    assert isinstance(found, Diagnosis)
    assert found.cause is Cause.CODE_ERROR
    [gone] = [one for one in found.findings if one.kind == "unavailable"]
    assert "events: no answer within 20 s" in gone.summary
    assert seconds == pytest.approx(COLLECTOR_TIMEOUT_SECONDS, abs=1)


async def test_a_diagnosis_is_json_with_its_evidence() -> None:
    found = await diagnose([], scene(pod("a", container())))

    told = found.as_json()
    assert told["cause"] == "code-error"
    assert told["evidence"] == ["a/app: exit 1 Error"]
    assert replace(found, findings=()).as_json()["findings"] == []
