"""The collector of events: whose it reads, which it keeps, and how they are told."""

from __future__ import annotations

from datetime import timedelta

from remediator.clock import rfc3339
from remediator.diagnose.base import Scene
from remediator.model import Cause, Target
from tests.fakes import FakeCluster
from tests.unit.diagnose.scenes import (
    cause_of,
    collect,
    container,
    event,
    node,
    pod,
    running,
    scene,
)
from tests.workloads import NOW, alert, workload


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

        assert await cause_of(pod("a", killed), slow, names=("events",), cluster=cluster) is Cause.UNKNOWN

    async def test_a_hook_that_fails_is_named_by_its_event(self) -> None:
        cluster = FakeCluster(event("a", "FailedPostStartHook", "exit 1"))

        assert await cause_of(pod("a", container()), names=("events",), cluster=cluster) is Cause.CANNOT_START


async def test_what_the_provisioner_says_of_a_claim_is_read_for_a_pod_that_waits_for_it() -> None:
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    waiting = pod("a", spec={"nodeName": None, "volumes": volumes}, conditions=[])
    failed = event("data", "ProvisioningFailed", "no capacity")
    failed["involvedObject"] = {"kind": "PersistentVolumeClaim", "name": "data", "uid": "c"}

    [found] = await collect("events", scene(waiting, cluster=FakeCluster(failed)))

    assert (found.facts["object"], found.facts["reason"]) == ("PersistentVolumeClaim/data", "ProvisioningFailed")


async def test_events_of_a_node_are_asked_for_by_its_name() -> None:
    """The kubelet writes the name of its node where the uid belongs."""
    item = node() | {"metadata": {"name": "node-1", "uid": "n-1"}}
    said = event("node-1", "NodeNotReady", "away")
    said["involvedObject"] = {"kind": "Node", "name": "node-1", "uid": "node-1"}
    target = Target("test", "Node", "", "node-1", "n-1")
    picture = workload(object=item, replica_sets=(), namespace={}, pods=())

    found = await collect("events", Scene(target, alert(), picture, FakeCluster(item, said), None, NOW))

    assert [one.facts["reason"] for one in found] == ["NodeNotReady"]


async def test_the_newest_events_are_kept_and_old_ones_left_out() -> None:
    """The API server lists the oldest first: a limit there would keep the wrong ones."""
    many = [event("a", f"R{number}", "x", number=number) for number in range(1, 200)]

    found = await collect("events", scene(pod("a", container()), cluster=FakeCluster(*many)))

    reasons = [one.facts["reason"] for one in found]
    assert reasons[-1] == "R1"
    assert len(reasons) == 50
    assert "R100" not in reasons


async def test_events_of_an_hour_before_the_alert_are_over() -> None:
    cluster = FakeCluster(event("a", "Now", "x", number=1), event("a", "Old", "x", number=90))

    found = await collect("events", scene(pod("a", container()), cluster=cluster))

    assert [one.facts["reason"] for one in found] == ["Now"]


async def test_a_series_counts_and_tells_its_last_time() -> None:
    series = {"count": 7, "lastObservedTime": rfc3339(NOW)}
    stamps = {"lastTimestamp": None, "eventTime": rfc3339(NOW - timedelta(minutes=9)), "series": series}
    cluster = FakeCluster(event("a", "FailedScheduling", "x", **stamps))

    [found] = await collect("events", scene(pod("a", container()), cluster=cluster))

    assert (found.facts["count"], found.facts["last_seen"]) == (7, NOW.isoformat())
