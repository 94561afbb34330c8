"""The deployment watch on a real API server: what is a release and what is not, and when it began."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest

from remediator.clock import SystemClock
from remediator.kube.base import instant_of
from remediator.kube.client import KubernetesCluster
from remediator.kube.rollout import RolloutTimes
from remediator.kube.workload import read_workload, times_of
from remediator.store.database import Database
from remediator.store.opening import open_database
from remediator.store.rollouts_base import Rollout, RolloutState
from remediator.watch.watcher import Pace, Watcher
from tests.cluster.plans import BAD, GOOD, target_of
from tests.cluster.steps import App


@dataclass
class Watched:
    """One Deployment and the watch of its cluster, which looks when the test says so."""

    app: App
    cluster: KubernetesCluster
    database: Database

    async def look(self) -> Rollout:
        """The other tests' namespaces are left out: a look takes in fifty new ones at most."""
        names = {one["metadata"]["name"] for one in self.app.control_plane.get("/api/v1/namespaces")["items"]}
        watcher = Watcher(
            self.database.rollouts,
            cluster=self.cluster,
            metrics=None,
            clock=SystemClock(),
            protected_namespaces=frozenset(names - {self.app.namespace}),
            pace=Pace(60),
            count=lambda _: None,
        )
        await watcher.look()
        return (await self.rollouts())[0]

    async def rollouts(self) -> Sequence[Rollout]:
        return await self.database.rollouts.history(self.app.namespace, self.app.name, limit=10)

    async def times(self, *, is_watched: bool) -> RolloutTimes:
        target = target_of(self.app.live())
        workload = await read_workload(target, self.cluster, SystemClock())
        assert workload is not None
        seen = await self.database.rollouts.present_of(target) if is_watched else None
        return times_of(replace(workload, seen_rollout=seen))


@pytest.fixture
async def watched(app: App, cluster: KubernetesCluster) -> AsyncIterator[Watched]:
    database = await open_database("sqlite:///:memory:", clock=SystemClock())
    yield Watched(app, cluster, database)
    await database.close()


def now() -> datetime:
    return SystemClock().now()


async def test_a_bad_release_is_seen_to_begin(watched: Watched) -> None:
    watched.app.deploy(GOOD)
    first = await watched.look()
    watched.app.release(BAD)
    bad = await watched.look()

    assert (first.state, first.is_exact) == (RolloutState.WATCHED, False)
    assert (bad.state, bad.is_exact, bad.completed_at) == (RolloutState.ROLLING_OUT, True, None)
    assert bad.images == {"app": BAD}
    (made,) = [
        one["metadata"]["creationTimestamp"]
        for one in watched.app.replica_sets()
        if BAD in str(one["spec"]["template"])
    ]
    created = instant_of(made)
    assert created is not None
    assert bad.started_at <= created + timedelta(seconds=1), "the API server cuts the second off"
    assert bad.started_at >= created - timedelta(seconds=1)


async def test_a_restart_and_another_number_of_replicas_are_no_releases(watched: Watched) -> None:
    watched.app.deploy(GOOD)
    first = await watched.look()
    for words in (("rollout", "restart", "deployment/shop"), ("scale", "deployment/shop", "--replicas=3")):
        watched.app.kubectl(*words)
        watched.app.settle()
        assert (await watched.look()).id == first.id, words


async def test_the_start_of_an_undo_is_known_only_to_who_watched(watched: Watched) -> None:
    """It uses the ReplicaSet of the first release again, whose creation says nothing."""
    watched.app.deploy(GOOD)
    first = await watched.look()
    watched.app.release(BAD)
    await watched.look()
    before = now()
    watched.app.kubectl("rollout", "undo", "deployment/shop")
    watched.app.settle()
    back = await watched.look()

    assert back.id != first.id
    assert back.template_hash == first.template_hash
    assert back.is_exact
    seen, unseen = await watched.times(is_watched=True), await watched.times(is_watched=False)
    assert unseen.began_by == unseen.completed_at, "by the API alone it may have begun as late as it ended"
    assert (seen.started_at, seen.began_by) == (back.started_at, min(back.first_seen_at, unseen.began_by or now()))
    assert seen.started_at is not None
    assert unseen.started_at is not None
    assert seen.started_at >= unseen.started_at - timedelta(seconds=1)
    assert seen.began_by is not None
    assert seen.started_at <= before <= seen.began_by + timedelta(seconds=1)


async def test_a_deployment_of_that_name_that_was_made_anew_is_another_one(watched: Watched) -> None:
    watched.app.deploy(GOOD)
    first = await watched.look()
    watched.app.kubectl("delete", "deployment/shop", "--wait")
    await watched.look()
    watched.app.deploy(GOOD)
    second = await watched.look()

    assert second.target.uid != first.target.uid
    states = [one.state for one in await watched.rollouts()]
    assert states == [RolloutState.WATCHED, RolloutState.REPLACED]
    assert await watched.database.rollouts.present_of(first.target) is None
