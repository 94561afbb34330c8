"""The loop of the deployment watch: list Deployments, decide what it means, keep it, measure what is new.

`app.py` runs one for the cluster. It polls: what one poll misses the next one finds, and a watch that was cut off would
have to be followed by a list anyway.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from remediator.clock import Clock, rfc3339
from remediator.errors import RemediatorError, TransientError, cut
from remediator.kube.base import Cluster, Forbidden, controller_of, path_of
from remediator.kube.permissions import to
from remediator.model import Json, Target
from remediator.prometheus.base import Metrics
from remediator.prometheus.measures import measure
from remediator.store.base import Record, StoreUnavailable
from remediator.store.rollouts_base import Known, Look, Rollout, RolloutState, RolloutStore
from remediator.watch.decide import Glance, Step, begin, follow, glance_at, gone, is_doubtful, is_new
from remediator.watch.picture import NO_HISTORY, NOT_AS_SPECIFIED, History, Picture, history_of, picture_of

PERMISSIONS = (to("Deployment", "list"), to("ReplicaSet", "list"))
"""Of all namespaces."""

MAX_DEPLOYMENTS = 5000
"""Most Deployments that are looked at; what is beyond is not watched, and the log says so."""

NOT_YET = "not looked at yet"

MAX_NAMESPACES = 50
"""Namespaces whose ReplicaSets are listed in one look, one after the other: all of a large cluster at once would not
fit in memory. A known Deployment's change needs them only for a closer bound; what is seen for the first time waits."""

MAX_MISSED_LOOKS = 3
"""A pause of more than this many polls is a gap in which nobody knows what happened."""

LEAST_GAP = timedelta(minutes=1)
"""A shorter pause is no gap, however often is polled."""

FORBIDDEN_PAUSE_SECONDS = 300.0
"""Pause after the API server did not permit a look: rights are given without our being told."""

MAX_BASELINES = 5
"""Baselines taken after one look, so that a first look at a large cluster does not storm Prometheus."""

MEASURE_AGAIN_AFTER = timedelta(minutes=5)
"""Pause after Prometheus could not say: the time before a rollout can still be asked for later."""

BASELINE_WITHIN = timedelta(hours=24)
"""A rollout longer ago than this gets no baseline: nobody compares with it any more."""


@dataclass(frozen=True, slots=True)
class Pace:
    """`poll_seconds` is the pause between two looks, by the clock."""

    poll_seconds: float

    @property
    def max_gap(self) -> timedelta:
        return max(LEAST_GAP, timedelta(seconds=self.poll_seconds * MAX_MISSED_LOOKS))


class Watcher:
    """Looks until cancelled. `problem` is why there is no good last look, empty when there is."""

    def __init__(
        self,
        store: RolloutStore,
        *,
        cluster: Cluster,
        metrics: Metrics | None,
        clock: Clock,
        protected_namespaces: frozenset[str],
        pace: Pace,
        count: Callable[[Mapping[str, int]], None],
        is_ours: Callable[[], bool] = lambda: True,
        went: Callable[[bool], None] = lambda _: None,
    ) -> None:
        """`count` is told after each look how many present rollouts are in each state, none while it is not our duty
        (`is_ours`) to look; `went` hears whether a look could be had."""
        self._is_ours = is_ours
        self._went = went
        self._store = store
        self._cluster = cluster
        self._metrics = metrics
        self._clock = clock
        self._protected = protected_namespaces
        self._pace = pace
        self._count = count
        self._hashes: dict[tuple[str, int], str] = {}
        """(uid, generation) -> template hash, of the last look only."""
        self._log = structlog.get_logger("remediator.watch")
        self._is_cut_off = False
        self._odd: frozenset[str] = frozenset()
        """Objects that could not be understood in the last look."""
        self._measure_from = clock.now()
        self.problem = NOT_YET if pace.poll_seconds > 0 else "switched off: rollout_poll_seconds is 0"

    async def run(self) -> None:
        """Look every `poll_seconds`, less often while the API server does not permit it."""
        while True:
            pause = self._pace.poll_seconds
            try:
                await self._look_if_ours()
            except StoreUnavailable as error:
                self._failed(cut(str(error)))
            except Forbidden as error:
                self._went(False)
                pause = max(pause, FORBIDDEN_PAUSE_SECONDS)
                self._failed(f"not permitted to list deployments or replicasets in all namespaces: {cut(str(error))}")
            except RemediatorError as error:
                self._went(False)
                self._failed(cut(str(error)))
            else:
                self._went(True)
                if self.problem not in ("", NOT_YET):
                    self._log.info("rollouts are watched again")
                self.problem = ""
            await self._clock.sleep(pause)

    def _failed(self, problem: str) -> None:
        if self.problem in ("", NOT_YET):
            self._log.warning("rollouts are not watched now, trying again", problem=problem)
        self.problem = problem

    async def _look_if_ours(self) -> None:
        if self._is_ours():
            await self.look()
        else:
            self._count({})  # whoever looks counts them

    async def look(self) -> None:
        """One look. Raises the errors of the cluster and of the store; then nothing of it is kept: also when another
        replica kept one meanwhile."""
        known = await self._store.known(self._cluster.name)
        began_at = self._clock.now()
        listed = await self._cluster.list(path_of("Deployment", namespace=None), limit=MAX_DEPLOYMENTS)
        now = self._clock.now()
        glance = glance_at(now, known.looked_at, max_gap=self._pace.max_gap)
        seen, odd = await self._pictures(listed)
        pictures = [picture for picture, _ in seen]
        present = {rollout.target.key: rollout for rollout in known.rollouts}
        doubtful = [
            (present.get(picture.target.key), item)
            for picture, item in seen
            if is_doubtful(present.get(picture.target.key), picture)
        ]
        histories, odd_sets = await self._histories(doubtful)
        self._say_odd({**odd, **odd_sets})
        steps = [self._step(picture, known, present.get(picture.target.key), histories, glance) for picture in pictures]
        self._say_cut_off(len(listed))
        # What is cut off ends too: it is not looked at any more, so that a later change of it would have no start.
        # What is not understood does not: it is there.
        there = {picture.target.key for picture in pictures} | odd.keys()
        steps += [gone(rollout, glance) for key, rollout in present.items() if key not in there]
        look = _look_of(steps, known, cluster=self._cluster.name, began_at=began_at, glance=glance)
        await self._store.keep(look)
        changed = {change.id for change in look.changes}
        left = [*look.changes, *(rollout for rollout in known.rollouts if rollout.id not in changed)]
        states = Counter(rollout.state for rollout in left)
        self._count({state.value: states[state] for state in RolloutState if state is not RolloutState.REPLACED})
        await self._take_baselines(left)

    async def _pictures(self, listed: Sequence[Json]) -> tuple[Sequence[tuple[Picture, Json]], Mapping[str, str]]:
        """Each Deployment that is ours to watch, with its picture; and of those that are not understood, key -> why."""
        before, self._hashes = self._hashes, {}
        found, odd = [], {}
        for number, item in enumerate(listed):
            try:
                if item["metadata"]["namespace"] in self._protected:
                    continue
                key = (str(item["metadata"]["uid"]), int(item["metadata"].get("generation") or 0))
                picture = picture_of(item, cluster=self._cluster.name, template_hash=before.get(key))
            except NOT_AS_SPECIFIED as error:
                odd[self._key_of("Deployment", item)] = type(error).__name__
                continue
            self._hashes[key] = picture.template_hash
            found.append((picture, item))
            if number % 100 == 99:
                await asyncio.sleep(0)  # hashing thousands of templates must not keep a webhook waiting
        return found, odd

    def _key_of(self, kind: str, item: Json) -> str:
        """As `Target.key`, as far as it says a name."""
        metadata = item.get("metadata") if isinstance(item, dict) else None
        named = metadata if isinstance(metadata, dict) else {}
        return Target(self._cluster.name, kind, str(named.get("namespace")), str(named.get("name")), "").key

    def _say_odd(self, odd: Mapping[str, str]) -> None:
        """One that cannot be understood must not keep the others from being watched; it is named once."""
        for key, why in odd.items():
            if key not in self._odd:
                self._log.warning("not as the API has them: left out of the watch", object=key, problem=why)
        self._odd = frozenset(odd)

    async def _histories(
        self, doubtful: Sequence[tuple[Rollout | None, Json]]
    ) -> tuple[Mapping[str, History], Mapping[str, str]]:
        """Uid -> what its ReplicaSets tell, of as many of these as may be looked up now, known ones first; and what
        of them is not understood -> why. A Deployment without is followed all the same."""
        by_namespace: dict[str, list[Json]] = {}
        for _, item in sorted(doubtful, key=lambda pair: pair[0] is None):
            by_namespace.setdefault(item["metadata"]["namespace"], []).append(item)
        found: dict[str, History] = {}
        odd: dict[str, str] = {}
        for namespace in list(by_namespace)[:MAX_NAMESPACES]:
            owned: dict[str, list[Json]] = {}
            for one in await self._cluster.list(path_of("ReplicaSet", namespace=namespace)):
                try:
                    if (owner := controller_of(one)) is not None:
                        owned.setdefault(owner["uid"], []).append(one)
                except NOT_AS_SPECIFIED as error:
                    odd[self._key_of("ReplicaSet", one)] = type(error).__name__
            for item in by_namespace[namespace]:
                uid = item["metadata"]["uid"]
                try:
                    found[uid] = history_of(item, owned.get(uid, ()))
                except NOT_AS_SPECIFIED as error:
                    odd[f"{self._key_of('Deployment', item)}, its ReplicaSets"] = type(error).__name__
                await asyncio.sleep(0)  # as above
        return found, odd

    def _step(
        self,
        picture: Picture,
        known: Known,
        rollout: Rollout | None,
        histories: Mapping[str, History],
        glance: Glance,
    ) -> Step:
        history = histories.get(picture.target.uid, NO_HISTORY)
        if rollout is None or is_new(rollout, picture, history):
            return begin(rollout, picture, glance, started_at=history.started_at)
        incident = known.incidents.get(rollout.id) if rollout.id is not None else None
        return follow(rollout, picture, glance, incident=incident)

    def _say_cut_off(self, count: int) -> None:
        is_cut_off = count >= MAX_DEPLOYMENTS
        if is_cut_off and not self._is_cut_off:
            self._log.warning("only a part of the Deployments is watched", limit=MAX_DEPLOYMENTS)
        self._is_cut_off = is_cut_off

    async def _take_baselines(self, rollouts: Sequence[Rollout]) -> None:
        """Measure the time before the newest rollouts; what Prometheus cannot say now is asked again later."""
        now = self._clock.now()
        if self._metrics is None or now < self._measure_from:
            return
        waiting = [
            rollout
            for rollout in sorted(rollouts, key=lambda one: one.started_at, reverse=True)
            if rollout.baseline is None
            and rollout.id is not None  # what is new has its turn after the next look
            and rollout.ended_at is None
            and now - rollout.started_at < BASELINE_WITHIN
        ]
        try:
            # Longer, and the next look would come so late that it takes the pause for a gap.
            async with asyncio.timeout(self._pace.poll_seconds):
                await self._measure(waiting[:MAX_BASELINES], self._metrics)
        except (TransientError, TimeoutError) as error:
            self._measure_from = now + MEASURE_AGAIN_AFTER
            self._log.info("baseline not taken yet", problem=cut(str(error)) or "no answer in time")

    async def _measure(self, waiting: Sequence[Rollout], metrics: Metrics) -> None:
        for rollout in waiting:
            baseline = await measure(rollout.target, metrics, at=rollout.started_at)
            if rollout.id is not None:
                await self._store.set_baseline(rollout.id, baseline)


def _look_of(steps: Sequence[Step], known: Known, *, cluster: str, began_at: datetime, glance: Glance) -> Look:
    changes = tuple(change for step in steps for change in step.changes)
    before = {rollout.id: rollout for rollout in known.rollouts}
    ledger = tuple((step.changes[0].target, step.ledger) for step in steps if step.ledger is not None)
    records = []
    for change in changes:
        old = before.get(change.id) if change.id is not None else None
        if old is None:
            continue
        if change.proven_good_at is not None and old.proven_good_at is None:
            records.append(_record("rollout.proven-good", change))
        if change.state is RolloutState.STABLE and old.state is not RolloutState.STABLE:
            records.append(_record("rollout.stable", change))
    return Look(
        cluster=cluster,
        at=glance.now,
        began_at=began_at,
        after=known.looked_at,
        changes=changes,
        ledger=ledger,
        records=records,
    )


def _record(kind: str, rollout: Rollout) -> Record:
    target = rollout.target
    body: dict[str, Json] = {
        "object": {"kind": target.kind, "namespace": target.namespace, "name": target.name, "uid": target.uid},
        "template_hash": rollout.template_hash,
        "revision": rollout.revision,
        "images": dict(rollout.images),
        "started_at": rfc3339(rollout.started_at),
        "available_since": rfc3339(rollout.available_since) if rollout.available_since else None,
    }
    return Record(kind, body)
