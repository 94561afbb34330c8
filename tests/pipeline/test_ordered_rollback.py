"""The whole way for a StatefulSet: the template is restored, then its broken pod goes; whatever dies in between.

The two requests are told by different things (a mark, a pod that is gone), and neither is ever done twice.
"""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest

from remediator.clock import rfc3339
from remediator.kube.base import Conflict, DisruptionBudget, NotFound, ReplyLost, path_of
from remediator.kube.rollout import is_same_template
from remediator.model import Json, Request, State
from remediator.rules.ruleset import rule_set
from remediator.simulate.answers import Refused
from remediator.simulate.patching import patched
from remediator.store.opening import open_in_memory
from tests.clocks import FakeClock
from tests.fakes import FakeCluster
from tests.pipeline.test_crashes import Countdown, live_through
from tests.pipeline.world import LEASE, FakeMetrics, World, rule
from tests.workloads import NOW, ROLLOUT_AT, alert, template

GOOD, BAD = template("db:1.4"), template("db:1.5")
STATEFUL_SET = path_of("StatefulSet", namespace="shop", name="db")
EVICTION = path_of("Pod", namespace="shop", name="db-2", subresource="eviction")


class Db(FakeCluster):
    """`shop/db` of three; db-2 has the bad release and crashes. `listens` says whether the controller is awake."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(name="test")
        self._clock = clock
        self.heals = True
        self.add(
            {"kind": "Namespace", "metadata": {"name": "shop"}},
            {
                "kind": "Node",
                "metadata": {"name": "n-1"},
                "status": {"conditions": [{"type": "Ready", "status": "True"}]},
            },
            _stateful_set(),
            _revision(1, GOOD, "db-good", created=NOW - timedelta(days=9)),
            _revision(2, BAD, "db-bad", created=ROLLOUT_AT),
        )
        self.replies["PATCH", STATEFUL_SET] = self._patch
        self.replies["POST", EVICTION] = self.evict
        for number in range(3):
            is_old = number < 2
            self._add_pod(number, "db-good" if is_old else "db-bad", ready=is_old, since=ROLLOUT_AT)
        self.made = 0

    @property
    def live(self) -> Json:
        return self.peek("StatefulSet", "shop", "db")

    @property
    def image(self) -> str:
        return str(self.live["spec"]["template"]["spec"]["containers"][0]["image"])

    def writes(self) -> list[str]:
        """`PATCH db`, `POST eviction`: real ones, whether done or not."""
        return [f"{request.method} {request.path.split('/')[-1]}" for request, dry_run in self.sent if not dry_run]

    def evict(self, request: Request, dry_run: bool) -> Json:
        """The pod goes; the controller makes another one of the template that it has."""
        pod = self.peek("Pod", "shop", "db-2")
        if pod["metadata"]["uid"] != request.body["deleteOptions"]["preconditions"]["uid"]:
            raise Conflict("the UID in the precondition does not match")
        if not dry_run:
            self.made += 1
            is_good = self.image == "db:1.4"
            ready = is_good and self.heals
            self._add_pod(2, "db-good" if is_good else "db-bad", ready=ready, since=self._clock.now())
        return {"kind": "Status", "status": "Success", "code": 201}

    def _patch(self, request: Request, dry_run: bool) -> Json:
        try:
            after = patched(copy.deepcopy(self.live), request.body, request.content_type)
        except Refused as error:
            raise Conflict(str(error)) from error
        if dry_run:
            return after
        after["metadata"]["generation"] += 1
        after["status"]["observedGeneration"] = after["metadata"]["generation"]
        name = "db-good" if is_same_template(after["spec"]["template"], GOOD) else "db-bad"
        revision = self.peek("ControllerRevision", "shop", name)
        revision["revision"] += 2
        after["status"]["updateRevision"] = name
        self.add(after)
        return copy.deepcopy(after)

    def _add_pod(self, number: int, of: str, *, ready: bool, since: datetime) -> None:
        serial = getattr(self, "made", 0)
        self.add(_pod(f"db-{number}", f"uid-{number}-{serial}", of, ready=ready, since=since))


def _stateful_set() -> Json:
    return {
        "kind": "StatefulSet",
        "apiVersion": "apps/v1",
        "metadata": {"name": "db", "namespace": "shop", "uid": "s-1", "generation": 4, "annotations": {}},
        "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "db"}}, "template": BAD, "serviceName": "db"},
        "status": {"observedGeneration": 4, "replicas": 3, "currentRevision": "db-good", "updateRevision": "db-bad"},
    }


def _owned_by_db() -> list[Json]:
    return [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": "s-1", "controller": True}]


def _revision(number: int, held: Json, name: str, *, created: datetime) -> Json:
    return {
        "kind": "ControllerRevision",
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": name,
            "labels": {"app": "db"},
            "creationTimestamp": rfc3339(created),
            "ownerReferences": _owned_by_db(),
        },
        "data": {"spec": {"template": {**copy.deepcopy(held), "$patch": "replace"}}},
        "revision": number,
    }


def _pod(name: str, uid: str, of: str, *, ready: bool, since: datetime) -> Json:
    state: Json = {"running": {}} if ready else {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
    status: Json = {"name": "app", "ready": ready, "restartCount": 0 if ready else 5, "state": state}
    if not ready:
        status["lastState"] = {"terminated": {"exitCode": 1, "reason": "Error"}}
    return {
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": uid,
            "labels": {"app": "db", "controller-revision-hash": of},
            "creationTimestamp": rfc3339(since),
            "ownerReferences": _owned_by_db(),
        },
        "spec": {"nodeName": "n-1", "containers": [{"name": "app"}]},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": str(ready), "lastTransitionTime": rfc3339(since)}],
            "containerStatuses": [status],
        },
    }


RULES = rule_set(
    [
        rule(
            diagnose=["node"],
            respond=[{"when": {"cause": "code-error"}, "do": "rollback", "with": {"kinds": ["StatefulSet"]}}],
            verify={"expect": ["alert-clear"], "within": "2m", "stable_for": "5s", "otherwise": "revert"},
        )
    ]
)
ALERT = alert(labels={"alertname": "KubePodCrashLooping", "namespace": "shop", "pod": "db-2"})


@asynccontextmanager
async def world() -> AsyncIterator[tuple[World, Db]]:
    clock = FakeClock()
    db = Db(clock)
    database = await open_in_memory(clock=clock)
    try:
        one = World(clock, db, FakeMetrics(db, clock), database, rules=RULES)  # type: ignore[arg-type]  # it is a cluster
        await one.receive(ALERT)
        yield one, db
    finally:
        await database.close()


async def test_the_template_is_restored_and_then_the_broken_pod_goes() -> None:
    async with world() as (one, db):
        state = await one.run()

        assert state is State.VERIFIED, await one.kinds()
    assert (db.image, db.made) == ("db:1.4", 1)
    assert db.writes() == ["PATCH db", "POST eviction"]


async def test_a_controller_that_has_not_seen_the_patch_gets_no_eviction() -> None:
    """It would make the pod of the bad template again. What was done is undone when it does not help."""
    async with world() as (one, db):
        patch = db.replies["PATCH", STATEFUL_SET]

        def asleep(request: Request, dry_run: bool) -> Json:
            assert callable(patch)
            answer = patch(request, dry_run)
            if not dry_run:
                db.live["status"]["observedGeneration"] = 4
            return answer

        db.replies["PATCH", STATEFUL_SET] = asleep
        state = await one.run()

    assert state is State.REVERTED
    assert db.writes() == ["PATCH db", "PATCH db"]
    assert (db.image, db.made) == ("db:1.5", 0)


async def test_an_owner_who_says_no_in_between_is_heard_before_the_next_request() -> None:
    """And so nothing is undone either: people see to it."""
    async with world() as (one, db):
        patch = db.replies["PATCH", STATEFUL_SET]

        def then_off(request: Request, dry_run: bool) -> Json:
            assert callable(patch)
            answer = patch(request, dry_run)
            if not dry_run:
                db.live["metadata"].setdefault("annotations", {})["remediator.io/mode"] = "off"
            return answer

        db.replies["PATCH", STATEFUL_SET] = then_off
        state = await one.run()

    assert state is State.ESCALATED
    assert db.writes() == ["PATCH db"]


async def test_a_budget_that_closes_in_between_leaves_the_pod_and_the_patch_is_undone() -> None:
    async with world() as (one, db):

        def closed(request: Request, dry_run: bool) -> Json:
            if dry_run:
                return db.evict(request, dry_run)
            raise DisruptionBudget("0 allowed")

        db.replies["POST", EVICTION] = closed
        state = await one.run()

    assert state is State.REVERTED
    assert (db.image, db.made) == ("db:1.5", 0)


async def test_an_eviction_whose_reply_is_lost_is_told_by_the_pod() -> None:
    """Another pod has its name already: that one is not evicted."""
    async with world() as (one, db):

        def lost(request: Request, dry_run: bool) -> Json:
            answer = db.evict(request, dry_run)
            if not dry_run:
                raise ReplyLost("no answer")
            return answer

        db.replies["POST", EVICTION] = lost
        state = await one.run()

    assert state is State.VERIFIED
    assert db.made == 1


async def test_a_pod_that_went_by_itself_is_as_good_as_evicted() -> None:
    async with world() as (one, db):

        def gone(request: Request, dry_run: bool) -> Json:
            if dry_run:
                return db.evict(request, dry_run)
            db.evict(request, dry_run)
            raise NotFound("pods db-2 not found")

        db.replies["POST", EVICTION] = gone
        state = await one.run()

    assert state is State.VERIFIED


@pytest.mark.parametrize("after", [False, True], ids=["before the call", "after the call"])
async def test_a_crash_at_any_call_repeats_neither_request(after: bool) -> None:
    died = 0
    for at in range(1, 300):
        async with world() as (one, db):
            if not await live_through(one, Countdown(at, after=after)):
                break
            died += 1
            one.clock.at += LEASE
            state = await one.run()

            seen: Any = (at, state, await one.kinds())
            assert state is State.VERIFIED, seen
            assert (db.image, db.made, db.live["metadata"]["generation"]) == ("db:1.4", 1, 5), seen
    else:
        raise AssertionError("it never ends")
    assert died > 30, "the wrapper did not see the calls"
