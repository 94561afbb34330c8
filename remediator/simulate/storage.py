"""The objects of the embedded cluster, with the API server's bookkeeping: uid, resourceVersion, generation.

Whoever reads gets the stored object itself and must not change it; whoever writes hands over a whole new one, of which
parts may be those of a stored one, and changes nothing of it later. Called by the API server for requests, and by the
controllers and the kubelet directly, which are told of every change.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

from remediator.clock import Clock, rfc3339
from remediator.kube.base import RESOURCES, Resource, controller_of
from remediator.model import Json
from remediator.simulate.answers import already_exists, conflict, not_found
from remediator.simulate.managed import managed_fields

PLACES: Mapping[str, Resource] = {
    kind: place for kind, place in RESOURCES.items() if kind not in ("VerticalPodAutoscaler", "ScaledObject")
}
"""Kind -> place of everything that can be stored: what a cluster without add-ons has. Both kinds of Event are stored
as `CoreEvent`."""

# The generated part of names, without vowels and look-alikes. kubernetes/apimachinery `pkg/util/rand/rand.go`.
SAFE_CHARACTERS = "bcdfghjklmnpqrstvwxz2456789"

WITH_GENERATION = frozenset({"apps", "policy", "batch", "networking.k8s.io"})

SYSTEM_FIELDS = (
    *("name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp"),
    *("deletionTimestamp", "deletionGracePeriodSeconds"),
)

POD, NAMESPACE = PLACES["Pod"], PLACES["Namespace"]
DEPLOYMENT, REPLICA_SET = PLACES["Deployment"], PLACES["ReplicaSet"]
CORE_EVENT = PLACES["CoreEvent"]


def kind_at(place: Resource) -> str:
    """The kind that lives there; `Event` for both events APIs."""
    kind = next(kind for kind, other in PLACES.items() if other == place)
    return "Event" if kind == "CoreEvent" else kind


def api_version_of(place: Resource) -> str:
    return f"{place.group}/{place.version}" if place.group else place.version


def seconds(instant: datetime) -> str:
    """`metav1.Time`: whole seconds."""
    return rfc3339(instant.replace(microsecond=0))


def copied(value: Json) -> Json:
    """A deep copy of what JSON can hold; several times as fast as `copy.deepcopy`."""
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    return [copied(item) for item in value] if isinstance(value, list | tuple) else value


Key = tuple[str, str]
"""Namespace ("" outside of any) and name."""

Changed = Callable[[Resource, Json | None, Json | None], None]
"""(place, before, after) -> None: told of each change once it is stored; None: it was not there, or is not any more."""


class Storage:
    """Every object by place, namespace and name; one counter of versions for all, as in etcd.

    Beside them who owns whom, by uid, so that a controller finds its own without a look at all the others.
    """

    def __init__(self, clock: Clock, *, seed: int | None = None) -> None:
        self._clock = clock
        self._random = random.Random(seed)
        self._shelves: dict[Resource, dict[str, dict[str, Json]]] = {}
        self._uids: dict[str, tuple[Resource, Key]] = {}
        self._dependents: dict[str, set[tuple[Resource, Key]]] = {}
        self._watching: list[Changed] = []
        self.version = 1

    def watch(self, changed: Changed) -> None:
        """Tell it of every change from now on. It must not write."""
        self._watching.append(changed)

    def find(self, place: Resource, namespace: str | None, name: str) -> Json | None:
        namespace, name = _key(place, namespace, name)
        return self._shelves.get(place, {}).get(namespace, {}).get(name)

    def get(self, place: Resource, namespace: str | None, name: str) -> Json:
        """Raises Refused (404)."""
        item = self.find(place, namespace, name)
        if item is None:
            raise not_found(place, name)
        return item

    def all(self, place: Resource, namespace: str | None = None) -> Sequence[Json]:
        """Ordered by namespace and name, as etcd's keys are."""
        shelf = self._shelves.get(place, {})
        spaces = sorted(shelf) if namespace is None else [namespace]
        return [items[name] for space in spaces if (items := shelf.get(space)) for name in sorted(items)]

    def everything(self) -> Iterator[tuple[Resource, Json]]:
        for place, shelf in list(self._shelves.items()):
            for items in list(shelf.values()):
                yield from ((place, item) for item in list(items.values()))

    def by_uid(self, uid: str) -> tuple[Resource, Json] | None:
        """The object with this uid and where it is kept."""
        if uid not in self._uids:
            return None
        place, key = self._uids[uid]
        return place, self._shelves[place][key[0]][key[1]]

    def dependents(self, uid: str) -> Sequence[tuple[Resource, Json]]:
        """What names this uid among its owners, in the order of `all`."""
        keys = sorted(self._dependents.get(uid, ()), key=lambda pair: (pair[0].group, pair[0].plural, pair[1]))
        return [(place, self._shelves[place][key[0]][key[1]]) for place, key in keys]

    def controlled(self, place: Resource, uid: str) -> list[Json]:
        """The objects there whose controller has this uid, in the order of `all`."""
        return [
            item
            for where, item in self.dependents(uid)
            if where == place and (owner := controller_of(item)) is not None and owner["uid"] == uid
        ]

    def _uid(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def generated_name(self, prefix: str) -> str:
        return prefix + "".join(self._random.choice(SAFE_CHARACTERS) for _ in range(5))

    def create(self, place: Resource, item: Json, *, manager: str = "", dry_run: bool = False) -> Json:
        """Store a new object and return it. `manager` is the client that wrote it, none for a controller of this
        cluster. Raises Refused (404 without its namespace, 409 if the name is taken)."""
        meta = dict(item["metadata"])
        namespace, name = str(meta.get("namespace") or ""), meta["name"]
        if place.namespaced and self.find(NAMESPACE, None, namespace) is None:
            raise not_found(NAMESPACE, namespace)
        if self.find(place, namespace, name) is not None:
            raise already_exists(place, name)
        meta.pop("resourceVersion", None)
        meta["uid"] = self._uid()
        meta["creationTimestamp"] = seconds(self._clock.now())
        if place == POD or place.group in WITH_GENERATION:
            meta["generation"] = 1
        stored = {"apiVersion": api_version_of(place), "kind": kind_at(place), **item, "metadata": meta}
        if manager:
            meta["managedFields"] = managed_fields(None, stored, manager=manager, now=meta["creationTimestamp"])
        return stored if dry_run else self._put(place, stored)

    def replace(
        self, place: Resource, item: Json, *, subresource: str = "", manager: str = "", dry_run: bool = False
    ) -> Json:
        """Store the new state of an object and return it; what equals the old state is not written at all.

        Through the object itself `status` stays, through `status` the spec and labels do; `binding` is the scheduler's
        way in and may set both. A `resourceVersion` in `item` is a precondition. Raises Refused (404, 409).
        """
        meta = item["metadata"]
        old = self.get(place, meta.get("namespace"), meta["name"])
        wanted_version = meta.get("resourceVersion")
        if wanted_version and wanted_version != old["metadata"]["resourceVersion"]:
            raise conflict(place, meta["name"])
        new = {**item, "metadata": {**meta, **_kept(old["metadata"])}}
        if subresource == "status":
            new |= {key: old[key] for key in ("spec", "data") if key in old}
            _keep(new["metadata"], old["metadata"], "labels")
        elif subresource != "binding":
            _keep(new, old, "status")
            if _bumps_generation(place, old, new):
                new["metadata"]["generation"] = old["metadata"]["generation"] + 1
        if manager and new != old:
            now = seconds(self._clock.now())
            new["metadata"]["managedFields"] = managed_fields(old, new, manager=manager, now=now)
        if new == old or dry_run:
            return new
        return self._put(place, new)

    def restore(self, place: Resource, item: Json) -> Json:
        """Keep an object as it was elsewhere, with its uid, times and status. Its namespace need not exist."""
        meta = {"uid": self._uid(), "creationTimestamp": seconds(self._clock.now()), **item["metadata"]}
        if place == POD or place.group in WITH_GENERATION:
            meta.setdefault("generation", 1)
        return self._put(place, {**item, "apiVersion": api_version_of(place), "kind": kind_at(place), "metadata": meta})

    def begin_deletion(self, place: Resource, item: Json, *, grace_seconds: int) -> Json:
        """Set `deletionTimestamp`, once; whoever has the object's life in hand removes it later."""
        if "deletionTimestamp" in item["metadata"]:
            return item
        going = {"deletionTimestamp": seconds(self._clock.now()), "deletionGracePeriodSeconds": grace_seconds}
        return self._put(place, {**item, "metadata": {**item["metadata"], **going}})

    def remove(self, place: Resource, namespace: str | None, name: str) -> None:
        space, name = _key(place, namespace, name)
        old = self._shelves.get(place, {}).get(space, {}).pop(name, None)
        if old is None:
            return
        self.version += 1
        self._forget(place, (space, name), old)
        self._tell(place, old, None)

    def _put(self, place: Resource, item: Json) -> Json:
        self.version += 1
        item["metadata"]["resourceVersion"] = str(self.version)
        space, name = _key(place, item["metadata"].get("namespace"), item["metadata"]["name"])
        items = self._shelves.setdefault(place, {}).setdefault(space, {})
        old = items.get(name)
        if old is not None:
            self._forget(place, (space, name), old)
        items[name] = item
        self._uids[item["metadata"]["uid"]] = (place, (space, name))
        for uid in owner_uids(item):
            self._dependents.setdefault(uid, set()).add((place, (space, name)))
        self._tell(place, old, item)
        return item

    def _forget(self, place: Resource, key: Key, old: Json) -> None:
        self._uids.pop(old["metadata"]["uid"], None)
        for uid in owner_uids(old):
            self._dependents.get(uid, set()).discard((place, key))

    def _tell(self, place: Resource, before: Json | None, after: Json | None) -> None:
        for changed in self._watching:
            changed(place, before, after)


def owner_uids(item: Json) -> frozenset[str]:
    """The uids of all its owners."""
    return frozenset(owner["uid"] for owner in item["metadata"].get("ownerReferences") or ())


def _key(place: Resource, namespace: str | None, name: str) -> Key:
    return (namespace or "") if place.namespaced else "", name


def _kept(meta: Json) -> dict[str, Json]:
    """What no writer can change."""
    return {name: meta[name] for name in SYSTEM_FIELDS if name in meta}


def _keep(new: dict[str, Json], old: Json, key: str) -> None:
    if key in old:
        new[key] = old[key]
    else:
        new.pop(key, None)


def _bumps_generation(place: Resource, old: Json, new: Json) -> bool:
    if "generation" not in old["metadata"]:
        return False
    if old.get("spec") != new.get("spec"):
        return True
    # Only Deployments: kubernetes `pkg/registry/apps/deployment/strategy.go`, PrepareForUpdate.
    annotations = (old["metadata"].get("annotations") or {}, new["metadata"].get("annotations") or {})
    return place == DEPLOYMENT and annotations[0] != annotations[1]
