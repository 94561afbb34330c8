"""Looks of the deployment watch at a cluster in memory, with the real store, on a clock that the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from remediator.clock import rfc3339
from remediator.kube.base import Forbidden
from remediator.kube.rollout import meaningful_hash
from remediator.model import State
from remediator.prometheus.base import PrometheusUnavailable, Sample
from remediator.store.base import Change, Record
from remediator.store.database import Database
from remediator.store.opening import open_database
from remediator.store.rollouts_base import Rollout, RolloutState
from remediator.watch.watcher import MAX_NAMESPACES, Pace, Watcher
from tests.clocks import FakeClock
from tests.fakes import FakeCluster
from tests.workloads import TARGET, alert, deployment, replica_set, template

POLL = 30.0
RESTARTED = "kubectl.kubernetes.io/restartedAt"
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


class SlowCluster(FakeCluster):
    """Answers a list as it was when it began, and may take its time over it."""

    clock: FakeClock | None = None
    seconds = 0.0

    def slow_down(self, clock: FakeClock, *, seconds: float) -> None:
        """Of the next list only."""
        self.clock, self.seconds = clock, seconds

    async def list(self, path: str, **options: Any) -> Sequence[Any]:
        found = await super().list(path, **options)
        if self.clock is not None:
            self.clock.jump(seconds=self.seconds)
            self.clock = None
        return found


class Shop:
    """`shop/checkout` as the watch sees it."""

    def __init__(self, database: Database, clock: FakeClock) -> None:
        self.clock = clock
        self.database = database
        self.cluster = SlowCluster(name="test")
        self.metrics = Numbers()
        self.counts: Mapping[str, int] = {}
        self.rounds: list[bool] = []
        self.watcher = self._watcher()

    def _watcher(self, clock: FakeClock | None = None, poll: float = POLL) -> Watcher:
        return Watcher(
            self.database.rollouts,
            cluster=self.cluster,
            metrics=self.metrics,
            clock=clock or self.clock,
            protected_namespaces=frozenset({"kube-system"}),
            pace=Pace(poll),
            count=self._count,
            went=self.rounds.append,
        )

    def _count(self, counts: Mapping[str, int]) -> None:
        self.counts = counts

    def restart(self, clock: FakeClock | None = None, *, poll: float = POLL) -> None:
        """The process begins anew on the same database."""
        self.watcher = self._watcher(clock, poll)

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

    def forget_conditions(self) -> None:
        """As the controller leaves a Deployment without a progress deadline."""
        self.cluster.peek("Deployment", "shop", "checkout")["status"]["conditions"] = []

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


@pytest.mark.parametrize("pause_minutes", [0.5, 60])
async def test_an_end_that_nobody_saw_and_the_api_does_not_tell_is_not_recent(shop: Shop, pause_minutes: float) -> None:
    """After a gap the end may be as old as the start."""
    shop.release(OLD, 2)
    await shop.look()
    shop.release(NEW, 3, complete=False)
    await shop.look()
    shop.release(NEW, 3)
    shop.forget_conditions()
    await shop.look(after=pause_minutes * 60)

    new = (await shop.rollouts())[0]
    assert new.state is RolloutState.WATCHED
    assert new.completed_at == (shop.clock.now() if pause_minutes < 1 else new.started_at)


async def test_an_end_before_the_first_look_is_not_recent_either(shop: Shop) -> None:
    shop.release(NEW, 3)
    shop.forget_conditions()
    await shop.look(after=3600)

    (new,) = await shop.rollouts()
    assert (new.completed_at, new.first_seen_at) == (new.started_at, shop.clock.now())


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
    shop.clock.jump(hours=23, minutes=45)
    await shop.looks(minutes=13)
    before = (await shop.rollouts())[0].state
    await shop.looks(minutes=5)

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


async def open_incident(shop: Shop, **about: Any) -> None:
    """As the pipeline does, with the first step that knows the target."""
    now = shop.clock.now()
    await shop.database.accept([alert(starts_at=now, **about)], at=now)
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
    shop.release(NEW, 3)
    await shop.look()
    shop.metrics.asked_at.clear()
    await shop.look()

    new = (await shop.rollouts())[0]
    assert new.baseline is not None
    assert set(new.baseline) == {"restarts_per_hour", "error_ratio", "latency_p99_seconds", "memory_bytes"}
    assert set(shop.metrics.asked_at) == {new.started_at}


async def test_a_baseline_that_prometheus_cannot_say_now_is_asked_for_later(shop: Shop) -> None:
    shop.metrics.value = None
    shop.release(NEW, 3)
    await shop.looks(minutes=1)
    unknown = (await shop.rollouts())[0].baseline
    shop.metrics.value = 2.0
    await shop.looks(minutes=6)

    assert unknown is None
    baseline = (await shop.rollouts())[0].baseline
    assert baseline is not None
    assert set(baseline.values()) == {2.0}


async def test_the_present_rollout_of_an_object_is_what_decisions_take(shop: Shop) -> None:
    """Not the one before it, and not that of another object of this name."""
    shop.release(OLD, 2)
    await shop.look()
    shop.release(NEW, 3)
    await shop.look()

    found = await shop.database.rollouts.present_of(TARGET)
    assert found is not None
    assert (found.template_hash, found.is_exact) == (meaningful_hash(NEW), True)
    assert await shop.database.rollouts.present_of(replace(TARGET, uid="d-2")) is None


async def test_without_the_right_to_list_it_asks_again_later(shop: Shop) -> None:
    """Rights are given without our being told, and a token that was being rotated reads as forbidden too."""
    shop.release(OLD, 2)
    shop.cluster.errors[DEPLOYMENTS] = Forbidden("deployments is forbidden")
    seen: list[tuple[str, float]] = []
    clock = ScriptedClock(shop, seen)
    shop.restart(clock)
    with suppress(asyncio.CancelledError):
        await shop.watcher.run()

    (refused, pause), (fine, usual) = seen
    assert "not permitted to list deployments" in refused
    assert (pause, fine, usual) == (300.0, "", POLL)
    assert shop.rounds == [False, True], "another replica is to have the duty when it goes on like this"


class ScriptedClock(FakeClock):
    """Notes the problem at each pause; after the first the rights are there, after the second it is over."""

    def __init__(self, shop: Shop, seen: list[tuple[str, float]]) -> None:
        super().__init__(shop.clock.now())
        self.shop = shop
        self.seen = seen

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        self.seen.append((self.shop.watcher.problem, seconds))
        if len(self.seen) == 2:
            raise asyncio.CancelledError
        self.shop.cluster.errors.clear()


def test_one_that_is_switched_off_says_so(shop: Shop) -> None:
    shop.restart(poll=0)

    assert shop.watcher.problem == "switched off: rollout_poll_seconds is 0"


async def test_a_clock_that_was_set_back_is_a_gap(shop: Shop) -> None:
    """What the look before says of the time is then not to be trusted."""
    shop.release(OLD, 2)
    await shop.look()
    shop.clock.jump(hours=-3)
    shop.release(NEW, 3)
    await shop.look()

    new = (await shop.rollouts())[0]
    assert (new.is_exact, new.template_hash) == (False, meaningful_hash(NEW))


async def test_a_change_while_the_list_was_read_is_not_dated_after_it(shop: Shop) -> None:
    """The next look finds it, and must not think that it began after this one."""
    shop.release(OLD, 2)
    await shop.look()
    began = shop.clock.now()
    shop.cluster.slow_down(shop.clock, seconds=20)
    await shop.look(after=0)
    shop.release(NEW, 3, complete=False)
    shop.cluster.peek("ReplicaSet", "shop", "checkout-3")["metadata"]["creationTimestamp"] = rfc3339(began)
    await shop.look()

    assert (await shop.rollouts())[0].started_at == began


async def test_the_same_revision_read_differently_is_no_rollout(shop: Shop) -> None:
    """A new API server shows a new default, in the ReplicaSets too."""
    shop.release(NEW, 3)
    await shop.looks(minutes=15)
    other = template("shop/checkout:1.5")
    other["spec"]["shiny"] = "Default"
    item = shop.cluster.peek("Deployment", "shop", "checkout")
    item["spec"]["template"], item["metadata"]["generation"] = other, 4
    item["status"]["observedGeneration"] = 4
    shop.cluster.peek("ReplicaSet", "shop", "checkout-3")["spec"]["template"] = other
    await shop.look()

    (one,) = await shop.rollouts()
    assert one.template_hash == meaningful_hash(other)
    assert {line.template_hash for line in await shop.database.template_events(TARGET)} == {
        meaningful_hash(NEW),
        meaningful_hash(other),
    }, "it is as good under its new hash"


@pytest.mark.parametrize("pause", [POLL, 7200.0], ids=["between two looks", "in a gap"])
async def test_away_and_back_in_between_is_a_rollout_of_the_same_template(shop: Shop, pause: float) -> None:
    shop.release(OLD, 2)
    await shop.look()
    shop.release(NEW, 3)
    shop.release(OLD, 4)
    shop.cluster.remove("ReplicaSet", "shop", "checkout-2")  # it is number 4 now
    await shop.look(after=pause)

    again, first = await shop.rollouts()
    assert (again.template_hash, again.revision, again.ended_at) == (first.template_hash, 4, None)
    assert again.is_exact is (pause == POLL)


async def test_two_restarts_are_no_rollout(shop: Shop) -> None:
    shop.release(OLD, 2)
    await shop.look()
    for number in (3, 4):
        shop.release(template("shop/checkout:1.4", annotations={RESTARTED: str(number)}), number)
    await shop.look()

    (one,) = await shop.rollouts()
    assert one.revision == 4


async def test_an_alert_that_joins_an_open_incident_speaks_against_the_release_of_its_time(shop: Shop) -> None:
    """A release that was to mend what the one before broke, and does not."""
    shop.release(OLD, 2)
    await shop.look()
    await open_incident(shop)
    await shop.look()
    shop.release(NEW, 3)
    await shop.look()
    before = (await shop.rollouts())[0].incident_id
    await open_incident(shop, fingerprint="ffff")
    await shop.look()

    new, old = await shop.rollouts()
    assert before is None
    assert (new.state, new.incident_id) == (RolloutState.INCIDENT, old.incident_id)


async def test_a_gap_at_the_end_of_the_day_is_no_proof_of_stability(shop: Shop) -> None:
    """What fired meanwhile is not known; it has ten minutes to arrive."""
    shop.release(NEW, 3)
    await shop.looks(minutes=15)
    shop.clock.jump(hours=30)
    await shop.looks(minutes=2)
    early = (await shop.rollouts())[0].state
    await shop.looks(minutes=10)

    assert (early, (await shop.rollouts())[0].state) == (RolloutState.WATCHED, RolloutState.STABLE)


async def test_replica_sets_of_many_namespaces_are_read_over_several_looks(shop: Shop) -> None:
    for number in range(MAX_NAMESPACES + 5):
        item = deployment(OLD)
        item["metadata"] |= {"namespace": f"n{number:03}", "uid": f"u{number}"}
        one = replica_set(3, OLD, created=shop.clock.now()) | {"kind": "ReplicaSet"}
        one["metadata"]["namespace"] = f"n{number:03}"
        one["metadata"]["ownerReferences"][0]["uid"] = f"u{number}"
        shop.cluster.add(item, one)

    await shop.look()
    first = len(await shop.database.rollouts.present(limit=100))
    await shop.look()

    assert (first, len(await shop.database.rollouts.present(limit=100))) == (MAX_NAMESPACES, MAX_NAMESPACES + 5)


async def test_protected_namespaces_are_not_watched(shop: Shop) -> None:
    item = deployment(OLD)
    item["metadata"] |= {"namespace": "kube-system", "name": "dns"}
    shop.cluster.add(item)
    await shop.look()

    assert await shop.database.rollouts.present(limit=10) == []
