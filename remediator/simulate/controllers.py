"""The controllers of the embedded cluster, each looking at what changed and not at everything: as informers do.

`apiserver.py` lets them settle after each write and at its ticks. A change of an object puts what it concerns into the
queue: the object itself, what owns it, the budgets and Services that may select it, and what it owned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from remediator.clock import Clock
from remediator.kube.base import Resource, controller_of
from remediator.model import Json
from remediator.simulate.deployments import DeploymentController, Emit
from remediator.simulate.endpoints import EndpointController
from remediator.simulate.eviction import budget_status
from remediator.simulate.quotas import QUOTA, quota_status
from remediator.simulate.replicasets import ReplicaSetController
from remediator.simulate.storage import DEPLOYMENT, NAMESPACE, PLACES, POD, REPLICA_SET, Key, Storage, seconds

BUDGET, SERVICE = PLACES["PodDisruptionBudget"], PLACES["Service"]
MAX_PASSES = 500


class Controllers:
    """Owns the queue. `due` is when time alone brings one of them something to do."""

    def __init__(self, storage: Storage, clock: Clock, emit: Emit) -> None:
        self._storage = storage
        self._clock = clock
        deployments = DeploymentController(storage, clock, emit)
        replica_sets = ReplicaSetController(storage, clock, emit)
        endpoints = EndpointController(storage)
        # In this order; each sync gives the time at which it has to be repeated, None: when something changes.
        self._sync: Mapping[Resource, Callable[[Json], datetime | None]] = {
            DEPLOYMENT: deployments.sync,
            REPLICA_SET: replica_sets.sync,
            BUDGET: self._budget,
            SERVICE: endpoints.sync,
            QUOTA: self._quota,
        }
        self._queues: dict[Resource, set[Key]] = {place: set() for place in self._sync}
        self._later: dict[tuple[Resource, Key], datetime] = {}
        self._orphans: set[str] = set()
        storage.watch(self._changed)

    @property
    def due(self) -> datetime | None:
        return min(self._later.values(), default=None)

    def settle(self) -> None:
        """Let all run until nothing changes any more."""
        now = self._clock.now()
        for (place, key), at in list(self._later.items()):
            if at <= now:
                self._queues[place].add(key)
        for _ in range(MAX_PASSES):
            if not any(self._queues.values()) and not self._orphans:
                return
            for place in self._sync:
                self._run(place)
            self._collect()
        raise AssertionError("the controllers of the embedded cluster do not settle")

    def _run(self, place: Resource) -> None:
        for key in sorted(self._queues[place]):
            self._queues[place].discard(key)
            self._later.pop((place, key), None)
            item = self._storage.find(place, *key)
            if item is not None and (again := self._sync[place](item)) is not None:
                self._later[place, key] = again

    def _budget(self, budget: Json) -> None:
        status = budget_status(self._storage, budget, seconds(self._clock.now()))
        self._storage.replace(BUDGET, budget | {"status": status}, subresource="status")

    def _quota(self, quota: Json) -> None:
        self._storage.replace(QUOTA, quota | {"status": quota_status(self._storage, quota)}, subresource="status")

    # --- what a change concerns

    def _changed(self, place: Resource, before: Json | None, after: Json | None) -> None:
        item = after if after is not None else before
        assert item is not None
        if place in self._queues:
            self._queues[place].add(key_of(item))
        if place in (POD, REPLICA_SET) and (owner := controller_of(item)) is not None:
            self._queue_owner(owner["uid"])
        if place == POD:
            for selecting in (BUDGET, SERVICE, QUOTA):
                self._queue_all(selecting, item)
        elif place == QUOTA:
            # What may not be created is tried again when there may be room.
            self._queue_all(REPLICA_SET, item)
        if after is None:
            self._orphans.add(item["metadata"]["uid"])
            if place == NAMESPACE:
                self._orphans.update(_homeless(self._storage, item["metadata"]["name"]))
        elif before is None and item["metadata"].get("ownerReferences"):
            self._orphans.add(item["metadata"]["uid"])

    def _queue_owner(self, uid: str) -> None:
        found = self._storage.by_uid(uid)
        if found is not None and found[0] in self._queues:
            place, owner = found
            self._queues[place].add(key_of(owner))
            if place == REPLICA_SET and (above := controller_of(owner)) is not None:
                self._queue_owner(above["uid"])

    def _queue_all(self, place: Resource, beside: Json) -> None:
        self._queues[place] |= {key_of(item) for item in self._storage.all(place, beside["metadata"]["namespace"])}

    # --- the garbage collector

    def _collect(self) -> None:
        """Remove what names owners of which none exists any more, and what is left in a removed namespace."""
        for uid in sorted(self._orphans):
            self._orphans.discard(uid)
            found = self._storage.by_uid(uid)
            candidates = self._storage.dependents(uid) if found is None else [found]
            for place, item in candidates:
                if self._is_orphan(place, item):
                    self._storage.remove(place, item["metadata"].get("namespace"), item["metadata"]["name"])

    def _is_orphan(self, place: Resource, item: Json) -> bool:
        meta = item["metadata"]
        owners: Sequence[Json] = meta.get("ownerReferences") or ()
        is_homeless = place.namespaced and self._storage.find(NAMESPACE, None, meta["namespace"]) is None
        return is_homeless or (bool(owners) and all(self._storage.by_uid(one["uid"]) is None for one in owners))


def key_of(item: Json) -> Key:
    return item["metadata"].get("namespace") or "", item["metadata"]["name"]


def _homeless(storage: Storage, namespace: str) -> set[str]:
    return {
        item["metadata"]["uid"]
        for place, item in storage.everything()
        if place.namespaced and item["metadata"]["namespace"] == namespace
    }
