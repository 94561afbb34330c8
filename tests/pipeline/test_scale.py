"""The whole way of a scale: one step out, watched, given back; or undone where somebody or a quota is against it."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from remediator.clock import rfc3339
from remediator.kube.base import Conflict, ReplyLost, path_of
from remediator.model import Json, Request, State
from remediator.prometheus.base import Sample
from remediator.rules.ruleset import rule_set
from remediator.simulate.answers import Refused
from remediator.simulate.patching import patched
from remediator.store.opening import open_in_memory
from tests.clocks import FakeClock
from tests.fakes import FakeCluster
from tests.pipeline.test_crashes import Countdown, live_through
from tests.pipeline.world import LEASE, FakeMetrics, World, node, pod, rule
from tests.workloads import NOW, alert, deployment, replica_set, template

GOOD = template("shop/checkout:1.4")
SCALE = path_of("Deployment", namespace="shop", name="checkout", subresource="scale")
QUOTA = 'pods "checkout-3-c" is forbidden: exceeded quota: small, requested: pods=1, used: pods=2, limited: pods=2'


class Busy(FakeCluster):
    """`shop/checkout` with two pods, all ready. `admits` says whether a quota lets a further pod in."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(name="test")
        self._clock = clock
        self.admits = True
        item = deployment(GOOD)
        owner = replica_set(3, GOOD, created=NOW - timedelta(days=2), ready=2)
        owner |= {"kind": "ReplicaSet", "apiVersion": "apps/v1"}
        owner["metadata"]["labels"] = {"app": "checkout"}
        owner["metadata"]["ownerReferences"][0]["apiVersion"] = "apps/v1"
        self.add({"kind": "Namespace", "metadata": {"name": "shop"}}, item, owner)
        self.add(*(node(f"node-{number}") for number in (1, 2, 3)))
        self.replies["PATCH", SCALE] = self.scale
        self.settle()

    @property
    def live(self) -> Json:
        return self.peek("Deployment", "shop", "checkout")

    def writes(self) -> list[int]:
        """The numbers that were really asked for, whether set or not."""
        return [request.body[-1]["value"] for request, dry_run in self.sent if not dry_run]

    def scale(self, request: Request, dry_run: bool) -> Json:
        try:
            after = patched(copy.deepcopy(self.live), request.body, request.content_type)
        except Refused as error:
            raise Conflict(str(error)) from error
        if not dry_run:
            after["metadata"]["generation"] += 1
            after["status"]["observedGeneration"] = after["metadata"]["generation"]
            self.add(after)
            self.settle()
        return {"kind": "Scale", "metadata": after["metadata"], "spec": {"replicas": after["spec"]["replicas"]}}

    def settle(self) -> None:
        """Pods come and go as the number says, or the controller says why not."""
        wanted = self.live["spec"]["replicas"]
        owner = self.peek("ReplicaSet", "shop", "checkout-3")
        is_refused = wanted > 2 and not self.admits
        count = 2 if is_refused else wanted
        for path in [path for path in self._objects if "/pods/" in path]:
            del self._objects[path]
        for letter in "abcdefgh"[:count]:
            self.add(pod(f"checkout-3-{letter}", owner, ready=True, since=self._clock.now()))
        status = self.live["status"]
        status |= dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), count)
        status["conditions"] = [c for c in status["conditions"] if c["type"] != "ReplicaFailure"]
        if is_refused:
            failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": QUOTA}
            status["conditions"].append(failure)

    def set_by_someone(self, replicas: int) -> None:
        entry = {"manager": "argocd", "time": rfc3339(self._clock.now()), "fieldsV1": {"f:spec": {"f:replicas": {}}}}
        self.live["metadata"]["managedFields"] = [entry]
        self.live["spec"]["replicas"] = replicas
        self.settle()


RULES = rule_set(
    [
        rule(
            name="saturated",
            match=['alertname="Saturated"'],
            diagnose=["resources", "autoscaling", "scheduling"],
            respond=[{"do": "scale", "with": {"max_replicas": 6, "restore_after": "5m"}}],
            verify={"expect": ["pods-ready"], "within": "2m", "stable_for": "5s", "otherwise": "revert"},
        )
    ]
)
ALERT = alert(labels={"alertname": "Saturated", "namespace": "shop", "deployment": "checkout"})
FIRING = Sample({"namespace": "shop", "deployment": "checkout"}, 1.0)


@asynccontextmanager
async def world() -> AsyncIterator[tuple[World, Busy]]:
    clock = FakeClock()
    busy = Busy(clock)
    database = await open_in_memory(clock=clock)
    try:
        metrics = FakeMetrics(busy, clock, extra=[FIRING])  # type: ignore[arg-type]  # it is a cluster
        one = World(clock, busy, metrics, database, rules=RULES)  # type: ignore[arg-type]
        await one.receive(ALERT)
        yield one, busy
    finally:
        await database.close()


async def test_one_step_out_and_back_when_its_time_is_over() -> None:
    async with world() as (one, busy):
        assert await one.run(until=lambda state: state is State.TEMPORARY) is State.TEMPORARY
        out, began = busy.live["spec"]["replicas"], one.clock.now()
        state = await one.run()

        assert one.clock.now() - began >= timedelta(minutes=5)
    assert (out, state, busy.live["spec"]["replicas"]) == (3, State.VERIFIED, 2)
    assert busy.writes() == [3, 2]


async def test_what_a_quota_does_not_let_in_is_undone_at_once() -> None:
    """Its check fails at the first look and does not wait for `within`."""
    async with world() as (one, busy):
        busy.admits = False
        began = one.clock.now()
        state = await one.run()

        assert one.clock.now() - began < timedelta(seconds=30)
        evidence = next(r.body["evidence"] for r in await one.records() if r.kind == "outcome.failed")
    assert (state, busy.live["spec"]["replicas"]) == (State.REVERTED, 2)
    assert "exceeded quota: small" in evidence["scale-held"]["detail"]


async def test_what_somebody_sets_back_is_named_and_left_to_people() -> None:
    async with world() as (one, busy):
        await one.run(until=lambda state: state is State.VERIFYING)
        busy.set_by_someone(2)
        state = await one.run()

        evidence = next(r.body["evidence"] for r in await one.records() if r.kind == "outcome.failed")
    assert evidence["scale-held"]["detail"].endswith("was set back to 2 by argocd")
    assert (state, busy.live["spec"]["replicas"]) == (State.REVERTED, 2)


async def test_another_number_of_somebody_elses_is_never_called_verified() -> None:
    async with world() as (one, busy):
        await one.run(until=lambda state: state is State.VERIFYING)
        busy.set_by_someone(5)
        state = await one.run()

    assert (state, busy.live["spec"]["replicas"]) == (State.UNKNOWN, 5)


async def test_what_somebody_sets_after_it_helped_stays() -> None:
    async with world() as (one, busy):
        await one.run(until=lambda state: state is State.TEMPORARY)
        busy.set_by_someone(5)
        state = await one.run()

    assert (state, busy.live["spec"]["replicas"]) == (State.VERIFIED, 5)


async def test_a_disruption_budget_that_came_keeps_it_until_people_decide() -> None:
    """Nothing guards a scale-down but we."""
    async with world() as (one, busy):
        await one.run(until=lambda state: state is State.TEMPORARY)
        spec = {"minAvailable": 3, "selector": {"matchLabels": {"app": "checkout"}}}
        metadata = {"name": "three", "namespace": "shop", "uid": "b"}
        busy.add({"kind": "PodDisruptionBudget", "metadata": metadata, "spec": spec})
        state = await one.run(minutes=25 * 60)

    assert (state, busy.live["spec"]["replicas"]) == (State.ESCALATED, 3)


async def test_a_lost_reply_is_told_by_the_number() -> None:
    async with world() as (one, busy):

        def lost(request: Request, dry_run: bool) -> Json:
            answer = busy.scale(request, dry_run)
            if not dry_run:
                raise ReplyLost("no answer")
            return answer

        busy.replies["PATCH", SCALE] = lost
        state = await one.run(until=lambda state: state is State.TEMPORARY)

    assert (state, busy.writes()) == (State.TEMPORARY, [3])


@pytest.mark.parametrize("after", [False, True], ids=["before the call", "after the call"])
async def test_a_crash_at_any_call_neither_scales_nor_gives_back_twice(after: bool) -> None:
    died = 0
    for at in range(1, 300):
        async with world() as (one, busy):
            if not await live_through(one, Countdown(at, after=after)):
                break
            died += 1
            one.clock.at += LEASE
            state = await one.run()

            seen: Any = (at, state, await one.kinds())
            assert state is State.VERIFIED, seen
            assert (busy.live["spec"]["replicas"], busy.live["metadata"]["generation"]) == (2, 9), seen
    else:
        raise AssertionError("it never ends")
    assert died > 40, "the wrapper did not see the calls"
