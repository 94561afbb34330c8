"""Looks of the deployment watch at a cluster in memory, with the real store, on a clock that the test moves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from remediator.clock import rfc3339
from remediator.kube.base import Forbidden
from remediator.kube.rollout import meaningful_hash
from remediator.model import State
from remediator.prometheus.base import PrometheusUnavailable, Sample
from remediator.store.base import Change, Record
from remediator.store.database import Database, open_database
from remediator.store.rollouts_base import Rollout, RolloutState
from remediator.watch.watcher import Pace, Watcher
from tests.clocks import FakeClock
from tests.fakes import FakeCluster
from tests.workloads import TARGET, alert, deployment, replica_set, template

POLL = 30.0
DEPLOYMENTS = "/apis/apps/v1/deployments"
OLD, NEW = template("shop/checkout:1.4"), template("shop/checkout:1.5")


@dataclass
class Numbers:
    """A Prometheus that answers every query with one number, or not at all."""

    value: float | None = 1.5
    asked_at: list[datetime | None] = field(default_factory=list)

    async def query(self, expression: str, *, at: datetime | None = None) -> Sequence[Sample]:
        self.asked_at.append(at)
        if self.value is None:
            raise PrometheusUnavailable("away")
        return [Sample({}, self.value)]

    async def alerting_rules(self, alertname: str) -> Sequence[Any]:
        return []

    async def is_ready(self) -> bool:
        return True

    async def close(self) -> None: ...


class Shop:
    """`shop/checkout` as the watch sees it."""

    def __init__(self, database: Database, clock: FakeClock) -> None:
        self.clock = clock
        self.database = database
        self.cluster = FakeCluster(name="test")
        self.metrics = Numbers()
        self.counts: Mapping[str, int] = {}
        self.watcher = self._watcher()

    def _watcher(self) -> Watcher:
        return Watcher(
            self.database.rollouts,
            cluster=self.cluster,
            metrics=self.metrics,
            clock=self.clock,
            protected_namespaces=frozenset({"kube-system"}),
            pace=Pace(POLL),
            count=self._count,
        )

    def _count(self, counts: Mapping[str, int]) -> None:
        self.counts = counts

    def restart(self) -> None:
        """The process begins anew on the same database."""
        self.watcher = self._watcher()

    def release(self, pod_template: Any, number: int, *, complete: bool = True, uid: str = TARGET.uid) -> None:
        """This template is rolled out now, and complete or not."""
        item = deployment(pod_template, revision=number)
        item["metadata"] |= {"uid": uid, "generation": number}
        ready = 2 if complete else 0
        item["status"] |= {"observedGeneration": number, "availableReplicas": ready}
        item["status"] |= {"replicas": 2, "updatedReplicas": 2}
        item["status"]["conditions"][0] |= {"lastUpdateTime": rfc3339(self.clock.now())}
        if not complete:
            item["status"]["conditions"][0]["reason"] = "ReplicaSetUpdated"
        one = replica_set(number, pod_template, created=self.clock.now()) | {"kind": "ReplicaSet"}
        one["metadata"]["labels"] = {"app": "checkout"}
        one["metadata"]["ownerReferences"][0] |= {"apiVersion": "apps/v1", "uid": uid}
        self.cluster.add(item, one)

    async def look(self, *, after: float = POLL) -> None:
        self.clock.jump(seconds=after)
        await self.watcher.look()

    async def looks(self, *, minutes: float) -> None:
        for _ in range(int(minutes * 60 / POLL)):
            await self.look()

    async def rollouts(self) -> Sequence[Rollout]:
        return await self.database.rollouts.history("shop", "checkout", limit=10)

    async def records(self) -> list[str]:
        return [one.kind for one in await self.database.records(after=0, limit=1000)]


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    clock = FakeClock()
    database = await open_database("sqlite:///:memory:", clock=clock)
    yield Shop(database, clock)
    await database.close()


async def test_what_was_there_before_the_first_look_has_no_exact_start(shop: Shop) -> None:
    shop.release(OLD, 2)
    await shop.look()

    (one,) = await shop.rollouts()
    assert (one.state, one.is_exact, one.revision) == (RolloutState.WATCHED, False, 2)
    assert one.template_hash == meaningful_hash(OLD)
    assert one.images == {"app": "shop/checkout:1.4"}


async def test_a_change_between_two_looks_is_a_rollout_with_a_start(shop: Shop) -> None:
    shop.release(OLD, 2)
    await shop.look()
    began = shop.clock.now()
    shop.release(NEW, 3, complete=False)
    await shop.look()

    new, old = await shop.rollouts()
    assert (old.state, old.ended_at) == (RolloutState.REPLACED, shop.clock.now())
    assert (new.state, new.is_exact, new.started_at) == (RolloutState.ROLLING_OUT, True, began)
    assert shop.counts == {"rolling-out": 1, "watched": 0, "stable": 0, "incident": 0}


async def test_it_is_watched_for_two_hours_from_its_completion(shop: Shop) -> None:
    shop.release(OLD, 2)
    await shop.look()
    shop.release(NEW, 3, complete=False)
    await shop.looks(minutes=5)
    shop.release(NEW, 3)
    completed = shop.clock.now()
    await shop.look()

    new = (await shop.rollouts())[0]
    assert (new.state, new.completed_at) == (RolloutState.WATCHED, completed)
    assert new.watched_until == completed + timedelta(hours=2)


async def test_ten_minutes_of_unbroken_availability_prove_a_template_once(shop: Shop) -> None:
    shop.release(NEW, 3)
    await shop.looks(minutes=9)
    before = await shop.database.template_events(TARGET)
    await shop.looks(minutes=30)

    assert before == []
    assert [(e.event, e.template_hash) for e in await shop.database.template_events(TARGET)] == [
        ("seen-good", meaningful_hash(NEW))
    ]
    assert (await shop.records()).count("rollout.proven-good") == 1


@pytest.mark.parametrize("broken_by", ["unready", "gap"])
async def test_a_break_begins_the_ten_minutes_anew(shop: Shop, broken_by: str) -> None:
    """Also one in which nobody looked: then nobody knows."""
    shop.release(NEW, 3)
    await shop.looks(minutes=8)
    if broken_by == "unready":
        shop.release(NEW, 3, complete=False)
        await shop.look()
        shop.release(NEW, 3)
    else:
        shop.restart()
        shop.clock.jump(minutes=5)
    await shop.looks(minutes=8)

    assert await shop.database.template_events(TARGET) == []


async def test_a_day_without_an_incident_makes_it_stable(shop: Shop) -> None:
    shop.release(NEW, 3)
    await shop.look()
    shop.clock.jump(hours=23, minutes=50)
    await shop.look()
    before = (await shop.rollouts())[0].state
    await shop.looks(minutes=15)

    assert before is RolloutState.WATCHED
    assert (await shop.rollouts())[0].state is RolloutState.STABLE
    assert (await shop.records()).count("rollout.stable") == 1


async def test_an_incident_of_its_target_speaks_against_it_for_good(shop: Shop) -> None:
    shop.release(NEW, 3)
    await shop.look()
    await open_incident(shop)
    await shop.look()
    shop.clock.jump(hours=30)
    await shop.looks(minutes=1)

    one = (await shop.rollouts())[0]
    assert (one.state, one.incident_id is not None) == (RolloutState.INCIDENT, True)
    assert "rollout.stable" not in await shop.records()


async def open_incident(shop: Shop) -> None:
    """As the pipeline does, with the first step that knows the target."""
    now = shop.clock.now()
    await shop.database.accept([alert(starts_at=now)], at=now)
    (one,) = await shop.database.claim(owner="test", at=now, lease=timedelta(minutes=1), limit=1)
    await shop.database.advance(
        one, to=State.DIAGNOSING, record=Record("step", {}), at=now, change=Change(target=TARGET)
    )


async def test_what_went_away_has_ended(shop: Shop) -> None:
    shop.release(OLD, 2)
    await shop.look()
    shop.cluster.remove("Deployment", "shop", "checkout")
    await shop.look()

    (one,) = await shop.rollouts()
    assert one.state is RolloutState.REPLACED


async def test_another_object_of_that_name_is_another_rollout(shop: Shop) -> None:
    shop.release(OLD, 2)
    await shop.look()
    shop.release(OLD, 1, uid="d-2")
    await shop.look()

    assert [one.target.uid for one in await shop.rollouts()] == ["d-2", TARGET.uid]


async def test_a_restart_goes_on_where_it_was(shop: Shop) -> None:
    shop.release(NEW, 3)
    await shop.looks(minutes=6)
    shop.restart()
    await shop.looks(minutes=6)

    assert len(await shop.rollouts()) == 1
    assert "rollout.proven-good" in await shop.records(), "a short restart is no gap"


async def test_the_baseline_is_of_the_time_before_the_rollout(shop: Shop) -> None:
    shop.release(OLD, 2)
    await shop.look()
    shop.metrics.asked_at.clear()
    shop.release(NEW, 3)
    await shop.look()

    new = (await shop.rollouts())[0]
    assert new.baseline is not None
    assert set(new.baseline) == {"restarts_per_hour", "error_ratio", "latency_p99_seconds", "memory_bytes"}
    assert set(shop.metrics.asked_at) == {new.started_at}


async def test_a_baseline_that_prometheus_cannot_say_now_is_asked_for_later(shop: Shop) -> None:
    shop.metrics.value = None
    shop.release(NEW, 3)
    await shop.look()
    unknown = (await shop.rollouts())[0].baseline
    shop.metrics.value = 2.0
    await shop.looks(minutes=6)

    assert unknown is None
    baseline = (await shop.rollouts())[0].baseline
    assert baseline is not None
    assert set(baseline.values()) == {2.0}


async def test_how_long_ago_a_seen_rollout_was_deployed(shop: Shop) -> None:
    """The signal that the rollback and `deployed_within` prefer to the API's bounds."""
    shop.release(OLD, 2)
    await shop.look()
    shop.release(NEW, 3)
    await shop.look()
    shop.clock.jump(minutes=40)
    rollouts, now = shop.database.rollouts, shop.clock.now()

    ago = await rollouts.deployed_ago_of(TARGET, meaningful_hash(NEW), now)
    assert ago is not None
    assert timedelta(minutes=40) <= ago <= timedelta(minutes=41)
    assert await rollouts.deployed_ago_of(TARGET, meaningful_hash(OLD), now) is None, "it is no longer the present one"


async def test_a_rollout_that_nobody_saw_begin_has_no_such_time(shop: Shop) -> None:
    shop.release(OLD, 2)
    await shop.look()

    assert await shop.database.rollouts.deployed_ago_of(TARGET, meaningful_hash(OLD), shop.clock.now()) is None


async def test_without_the_right_to_list_it_ends_and_says_so(shop: Shop) -> None:
    shop.cluster.errors[DEPLOYMENTS] = Forbidden("deployments is forbidden")
    await shop.watcher.run()

    assert "not permitted to list deployments" in shop.watcher.problem


async def test_protected_namespaces_are_not_watched(shop: Shop) -> None:
    item = deployment(OLD)
    item["metadata"] |= {"namespace": "kube-system", "name": "dns"}
    shop.cluster.add(item)
    await shop.look()

    assert await shop.database.rollouts.present(limit=10) == []
