"""A plan of several requests, each after its own intent, and what is lent is given back: the row "make room"."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from remediator.clock import rfc3339
from remediator.kube.base import Conflict, Forbidden, NotFound, path_of
from remediator.model import AlertStatus, Json, Request, State
from remediator.prometheus.base import Sample
from remediator.rules.ruleset import rule_set
from remediator.simulate.answers import Refused
from remediator.simulate.patching import patched
from remediator.store.base import KillSwitch
from remediator.store.opening import open_in_memory
from tests.clocks import FakeClock
from tests.fakes import FakeCluster
from tests.pipeline.test_crashes import Countdown, live_through
from tests.pipeline.world import LEASE, FakeMetrics, Shop, World, node, rule
from tests.workloads import NOW, alert, deployment, replica_set, template

VICTIMS = ("reports", "index")
NO_NODE = "0/3 nodes are available: 3 Insufficient cpu."


def deployment_path(name: str) -> str:
    return path_of("Deployment", namespace="batch", name=name)


class Full(FakeCluster):
    """`shop/checkout` waits for two cores; `batch/reports` and `batch/index` hold one each. `fits` says whether room
    is all it takes."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(name="test")
        self._clock = clock
        self.fits = True
        one = template("shop/checkout:1.5")
        owner = replica_set(3, one, created=NOW - timedelta(days=1)) | {"kind": "ReplicaSet", "apiVersion": "apps/v1"}
        owner["metadata"]["labels"] = {"app": "checkout"}
        target = deployment(one, replicas=1)
        target["status"] |= {"replicas": 1, "updatedReplicas": 1, "availableReplicas": 0}
        self.add(*({"kind": "Namespace", "metadata": {"name": name}} for name in ("shop", "batch")))
        self.add(*(node(f"node-{number}") for number in (1, 2, 3)))
        self.add(target, owner, _pod("checkout-3-a", "shop", owner, cpu="2", ready=False, since=clock))
        for name in VICTIMS:
            self._add_victim(name)

    def replicas(self) -> dict[str, int]:
        return {name: self.peek("Deployment", "batch", name)["spec"]["replicas"] for name in VICTIMS}

    def writes(self) -> list[str]:
        """The real writes, as `reports 0`, whether done or not."""
        return [
            f"{request.path.split('/')[-2]} {request.body[-1]['value']}"
            for request, dry_run in self.sent
            if not dry_run and request.path.endswith("/scale")
        ]

    def _add_victim(self, name: str) -> None:
        item = deployment(template())
        item["metadata"] |= {"name": name, "namespace": "batch", "uid": f"d-{name}"}
        item["spec"] |= {"replicas": 1, "selector": {"matchLabels": {"app": name}}}
        owner = replica_set(1, template(), created=NOW - timedelta(days=9)) | {"kind": "ReplicaSet"}
        owner["apiVersion"] = "apps/v1"
        owner["metadata"] |= {"name": f"{name}-1", "namespace": "batch", "uid": f"rs-{name}", "labels": {"app": name}}
        owner["metadata"]["ownerReferences"][0] |= {"name": name, "uid": f"d-{name}", "apiVersion": "apps/v1"}
        self.add(item, owner, _pod(f"{name}-a", "batch", owner, cpu="1", ready=True, since=self._clock))
        self.replies["PATCH", f"{deployment_path(name)}/scale"] = self._scale

    def _scale(self, request: Request, dry_run: bool) -> Json:
        item = self.peek("Deployment", "batch", request.path.split("/")[-2])
        before = item["spec"]["replicas"]
        # As the API server does it, zero is left out.
        scale = {"kind": "Scale", "metadata": item["metadata"], "spec": {"replicas": before} if before else {}}
        try:
            scale = patched(copy.deepcopy(scale), request.body, request.content_type)
        except Refused as error:
            raise Conflict(str(error)) from error
        after = scale["spec"].pop("replicas")
        if not dry_run:
            item["metadata"]["generation"] += 1
            item["spec"]["replicas"] = after
            self._settle()
        return {**scale, "spec": {"replicas": after} if after else {}}

    def _settle(self) -> None:
        """The scheduler places the waiting pod once both made room; nothing takes its place away again."""
        if sum(self.replicas().values()) == 0 and self.fits:
            owner = self.peek("ReplicaSet", "shop", "checkout-3")
            self.add(_pod("checkout-3-a", "shop", owner, cpu="2", ready=True, since=self._clock))
            self.peek("Deployment", "shop", "checkout")["status"]["availableReplicas"] = 1


def _pod(name: str, namespace: str, owner: Json, *, cpu: str, ready: bool, since: FakeClock) -> Json:
    conditions = [{"type": "Ready", "status": str(ready), "lastTransitionTime": rfc3339(since.now())}]
    if not ready:
        conditions.append(
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": NO_NODE}
        )
    reference = {key: owner["metadata"][key] for key in ("name", "uid")}
    return {
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-{name}",
            "labels": owner["metadata"]["labels"],
            "creationTimestamp": rfc3339(NOW - timedelta(minutes=9)),
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "controller": True, **reference}],
        },
        "spec": {
            "containers": [{"name": "app", "resources": {"requests": {"cpu": cpu}}}],
            **({"nodeName": "node-1"} if ready else {}),
        },
        "status": {"phase": "Running" if ready else "Pending", "conditions": conditions},
    }


RULES = rule_set(
    [
        rule(
            name="all-pending",
            match=['alertname="AllPending"'],
            diagnose=["scheduling"],
            respond=[
                {
                    "do": "shed",
                    "with": {"workloads": [f"batch/deployment/{name}" for name in VICTIMS], "restore_after": "15m"},
                }
            ],
            verify={"expect": ["pods-ready"], "within": "2m", "stable_for": "5s", "otherwise": "revert"},
        )
    ]
)
ALERT = alert(labels={"alertname": "AllPending", "namespace": "shop", "deployment": "checkout"})
FIRING = Sample({"namespace": "shop", "deployment": "checkout"}, 1.0)


@asynccontextmanager
async def full(**changes: Any) -> AsyncIterator[tuple[World, Full]]:
    clock = FakeClock()
    cluster = Full(clock)
    database = await open_in_memory(clock=clock)
    try:
        shop = Shop(clock)
        metrics = FakeMetrics(shop, clock, extra=[FIRING])
        one = World(clock, shop, metrics, database, rules=RULES, cluster=cluster, **changes)
        await one.receive(ALERT)
        yield one, cluster
    finally:
        await database.close()


async def test_room_is_made_and_given_back_when_all_is_well() -> None:
    async with full() as (one, cluster):
        assert await one.run(until=lambda state: state is State.TEMPORARY) is State.TEMPORARY
        lent = cluster.replicas()
        state = await one.run()

    assert lent == {"reports": 0, "index": 0}
    assert state is State.VERIFIED
    assert cluster.replicas() == {"reports": 1, "index": 1}
    assert cluster.writes() == ["reports 0", "index 0", "index 1", "reports 1"]


async def test_each_request_follows_its_own_intent() -> None:
    async with full() as (one, _):
        await one.run()
        kinds = [kind for kind in await one.kinds() if not kind.startswith(("step.", "decision."))]

    assert kinds == [
        "action.intent",
        "action.intent",
        "action.applied",
        "outcome.temporary",
        "restore.intent",
        "restore.intent",
        "outcome.verified",
    ]


async def test_what_did_not_help_is_given_back_at_once() -> None:
    async with full() as (one, cluster):
        cluster.fits = False
        state = await one.run()

    assert state is State.REVERTED
    assert cluster.writes() == ["reports 0", "index 0", "index 1", "reports 1"]


async def test_a_second_step_that_is_refused_leaves_only_the_first_to_be_undone() -> None:
    async with full() as (one, cluster):
        scale = cluster.replies["PATCH", f"{deployment_path('index')}/scale"]

        def refuse(request: Request, dry_run: bool) -> Json:
            if not dry_run:
                raise Forbidden("no")
            assert callable(scale)
            return scale(request, dry_run)

        cluster.replies["PATCH", f"{deployment_path('index')}/scale"] = refuse
        state = await one.run()

    assert state is State.REVERTED
    assert cluster.replicas() == {"reports": 1, "index": 1}
    assert cluster.writes() == ["reports 0", "index 0", "reports 1"]


async def test_what_somebody_changed_meanwhile_is_theirs() -> None:
    async with full() as (one, cluster):
        await one.run(until=lambda state: state is State.TEMPORARY)
        cluster.peek("Deployment", "batch", "index")["spec"]["replicas"] = 4
        state = await one.run()

    assert cluster.replicas() == {"reports": 1, "index": 4}
    assert state is State.VERIFIED


async def test_what_was_deleted_meanwhile_has_nothing_to_be_given() -> None:
    def gone(request: Request, dry_run: bool) -> Json:
        raise NotFound("no such Deployment")

    async with full() as (one, cluster):
        await one.run(until=lambda state: state is State.TEMPORARY)
        cluster.replies["PATCH", f"{deployment_path('index')}/scale"] = gone
        state = await one.run()

    assert cluster.replicas()["reports"] == 1
    assert state is State.VERIFIED


async def test_nothing_is_given_back_while_the_target_is_not_well() -> None:
    """The negative control: it was the target's health that let it be given back."""
    async with full() as (one, cluster):
        await one.run(until=lambda state: state is State.TEMPORARY)
        owner = cluster.peek("ReplicaSet", "shop", "checkout-3")
        cluster.add(_pod("checkout-3-a", "shop", owner, cpu="2", ready=False, since=one.clock))
        state = await one.run(minutes=25 * 60)

    assert state is State.ESCALATED
    assert cluster.replicas() == {"reports": 0, "index": 0}


async def test_the_kill_switch_between_two_requests_stops_the_second() -> None:
    async with full() as (one, cluster):
        pulled = KillSwitch(True, "stop", "sre", NOW, None)
        one.store = _PullAfterFirst(one.database, cluster, pulled)  # type: ignore[assignment]  # it forwards all else
        await one.run()

    assert cluster.writes() == ["reports 0"]


async def test_a_plan_that_has_begun_is_brought_to_its_end_though_the_alert_resolves() -> None:
    async with full() as (one, cluster):
        one.store = _ResolveAfterFirst(one.database, cluster, one)  # type: ignore[assignment]  # it forwards all else
        await one.run(until=lambda state: state is State.TEMPORARY)

    assert cluster.writes() == ["reports 0", "index 0"]


class _ResolveAfterFirst:
    """The store; the alert is reported as resolved as soon as something was written."""

    def __init__(self, inner: Any, cluster: Full, one: World) -> None:
        self._inner, self._cluster, self._one = inner, cluster, one

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def advance(self, *args: Any, **kwargs: Any) -> Any:
        if self._cluster.writes():
            ended = replace(ALERT, status=AlertStatus.RESOLVED, ends_at=self._one.clock.now())
            await self._inner.accept([ended], at=self._one.clock.now())
        return await self._inner.advance(*args, **kwargs)


class _PullAfterFirst:
    """The store, with the kill switch engaged as soon as something was written."""

    def __init__(self, inner: Any, cluster: Full, pulled: KillSwitch) -> None:
        self._inner, self._cluster, self._pulled = inner, cluster, pulled

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def kill_switch(self) -> KillSwitch:
        return self._pulled if self._cluster.writes() else await self._inner.kill_switch()


@pytest.mark.parametrize("after", [False, True], ids=["before the call", "after the call"])
async def test_a_crash_at_any_call_repeats_no_request(after: bool) -> None:
    died = 0
    for at in range(1, 400):
        async with full() as (one, cluster):
            if not await _dies(one, cluster, Countdown(at, after=after)):
                break
            died += 1
            one.clock.at += LEASE
            state = await one.run()

            assert state is State.VERIFIED, (at, state, await one.kinds())
            assert cluster.replicas() == {"reports": 1, "index": 1}, at
            generations = [cluster.peek("Deployment", "batch", name)["metadata"]["generation"] for name in VICTIMS]
            assert generations == [9, 9], f"call {at}: changed more than there and back"
    else:
        raise AssertionError("it never ends")
    assert died > 45, "the wrapper did not see the calls"


async def _dies(one: World, cluster: Full, countdown: Countdown) -> bool:
    one.store = None
    return await live_through(one, countdown, cluster=cluster)
