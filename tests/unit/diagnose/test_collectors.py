"""The collectors: what they read of a cluster, within which bounds, and what becomes of one that fails."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from remediator.clock import rfc3339
from remediator.diagnose import COLLECTORS
from remediator.diagnose.base import Scene
from remediator.diagnose.diagnose import diagnose
from remediator.kube.base import Forbidden, Unreachable
from remediator.kube.rollout import REVISION
from remediator.model import Cause, Json, Target
from remediator.prometheus.base import PrometheusUnavailable, Sample
from tests.fakes import FakeCluster
from tests.unit.checks.worlds import FakeMetrics
from tests.unit.diagnose.scenes import (
    CRASHED,
    EVENTS,
    LOG,
    NODE,
    OLD,
    cause_of,
    collect,
    container,
    event,
    node,
    pod,
    running,
    scene,
)
from tests.workloads import NOW, ROLLOUT_AT, alert, deployment, replica_set, template, workload

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
    item = node() | {"metadata": {"name": "node-1", "uid": "n-1"}}
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


class TestRollout:
    async def test_what_was_deployed_when_and_what_it_changed(self) -> None:
        item = deployment(template())
        item["metadata"]["annotations"]["kubernetes.io/change-cause"] = "kubectl set env PASSWORD=hunter2"

        rollout, _, difference = await collect("rollout", scene(object=item))

        assert rollout.facts["revision"] == 3
        assert rollout.facts["started_at"] == rfc3339(ROLLOUT_AT)
        assert "hunter2" not in str(rollout)
        assert difference.facts["paths"] == ["/spec/containers/0/image"]
        assert difference.facts["before_images"] == {"app": "shop/checkout:1.4"}

    @pytest.mark.parametrize("is_running", [True, False])
    async def test_what_is_under_way_is_not_said_to_be_deployed_this_moment(self, is_running: bool) -> None:
        """It may have been stuck for an hour; what `deployed_within` reads of it stays zero."""
        item = deployment(template())
        if is_running:
            item["status"]["conditions"][0]["reason"] = "ReplicaSetUpdated"

        rollout, *_ = await collect("rollout", scene(object=item))

        begins = "rollout of revision 3 in progress: " if is_running else "revision 3 deployed 9 min ago: "
        assert rollout.summary.startswith(begins)
        assert (rollout.facts["deployed_seconds_ago"] == 0) is is_running

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

        assert [one.kind for one in found] == ["rollout", "began-with-rollout", "rollout-diff", "unavailable"]


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
            ("config", None),
        ]

    async def test_what_may_not_be_listed_is_unknown_and_not_missing(self) -> None:
        found = await collect("config", scene(object=using("a"), config_maps=None))

        assert [one.kind for one in found] == ["config", "unavailable"]


NODES: list[tuple[str, Json, list[str]]] = [
    ("well", node(), ["node"]),
    ("not ready", node(Ready="Unknown"), ["node", "node-fault"]),
    ("under pressure", node(MemoryPressure="True"), ["node", "node-fault"]),
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


async def test_what_is_forbidden_is_said_and_the_diagnosis_goes_on() -> None:
    cluster = FakeCluster()
    cluster.errors |= {EVENTS: Forbidden("events is forbidden"), LOG.format("a"): Forbidden("pods/log is forbidden")}

    found = await diagnose(["logs", "events", "node"], scene(pod("a", container()), cluster=cluster))

    assert found.cause is Cause.CODE_ERROR
    missing = {one.facts.get("collector") for one in found.findings if one.kind == "unavailable"}
    assert missing == {"logs", "events", "node"}


async def test_a_diagnosis_is_json_with_its_evidence() -> None:
    found = await diagnose([], scene(pod("a", container())))

    told = found.as_json()
    assert told["cause"] == "code-error"
    assert told["evidence"] == ["a/app: exit 1 Error"]
    assert replace(found, findings=()).as_json()["findings"] == []


async def test_the_node_that_all_failing_pods_share_is_named() -> None:
    """Well pods elsewhere make it the node's."""
    sick = [pod(name, container()) for name in ("a", "b")]
    well = pod("c", running(), spec={"nodeName": "node-2"})

    found = await collect("node", scene(*sick, well))

    assert [one.facts for one in found if one.kind == "shared-node"] == [{"node": "node-1", "pods": 2}]


@pytest.mark.parametrize("others", [[], [pod("c", running())]], ids=["no well pod", "a well pod on the same node"])
async def test_a_shared_node_proves_nothing_without_well_pods_elsewhere(others: list[Json]) -> None:
    sick = [pod(name, container()) for name in ("a", "b")]

    found = await collect("node", scene(*sick, *others))

    assert [one.kind for one in found] == ["node"]


async def test_a_node_tells_its_taints_cordon_and_kubelet() -> None:
    item = node()
    item["spec"] = {"unschedulable": True, "taints": [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]}
    item["status"]["nodeInfo"] = {"kubeletVersion": "v1.36.3"}

    [found] = await collect("node", scene(pod("a", container()), cluster=FakeCluster(item)))

    assert found.facts == {
        "node": "node-1",
        "ready": "True",
        "pressure": [],
        "cordoned": True,
        "taints": ["gpu=yes:NoSchedule"],
        "kubelet": "v1.36.3",
    }


async def test_the_digest_of_the_configuration_changes_with_a_config_map() -> None:
    known = {"a": NOW - timedelta(days=1)}
    digests = set()
    for version in ("7", "7", "8"):
        meta = {"name": "a", "namespace": "shop", "resourceVersion": version}
        cluster = FakeCluster({"kind": "ConfigMap", "metadata": meta, "data": {"password": "hunter2"}})
        [found] = await collect("config", scene(object=using("a"), config_maps=known, cluster=cluster))
        digests.add(found.facts["digest"])
        assert "hunter2" not in str(found)

    assert len(digests) == 2


async def test_secrets_are_named_and_never_asked_for() -> None:
    one = template()
    one["spec"]["containers"][0]["env"] = [
        {"name": "A", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}},
        {"name": "B", "valueFrom": {"secretKeyRef": {"name": "maybe", "key": "x", "optional": True}}},
    ]
    one["spec"]["volumes"] = [{"name": "tls", "secret": {"secretName": "tls"}}]
    cluster = FakeCluster()

    [found] = await collect("config", scene(object=deployment(one), cluster=cluster))

    assert found.facts["secrets"] == ["db", "tls"]
    assert cluster.calls == []


async def test_pods_of_a_stateful_set_in_the_middle_of_a_rollout_are_told_apart() -> None:
    item = {
        "kind": "StatefulSet",
        "metadata": {"name": "db", "namespace": "shop", "uid": "s-1"},
        "spec": {},
        "status": {"updateRevision": "db-new", "currentRevision": "db-old"},
    }
    new, old = pod("db-1", container(), owner="s-1"), pod("db-0", running(), owner="s-1")
    for one, revision in ((new, "db-new"), (old, "db-old")):
        one["metadata"]["labels"] = {"controller-revision-hash": revision}
    picture = workload(object=item, replica_sets=(), pods=(new, old))
    target = Target("test", "StatefulSet", "shop", "db", "s-1")

    found = await collect("containers", Scene(target, alert(), picture, FakeCluster(), None, NOW))

    assert found[0].facts == {"not_ready": 1, "pods": 1, "old_ready": 1}
