"""The objects of the embedded cluster, with the API server's bookkeeping: uid, resourceVersion, generation.

Whoever reads gets the stored object itself and must not change it; whoever writes hands over a whole new one. Called
by the API server for requests, and by the controllers and the kubelet directly.
"""

from __future__ import annotations

import copy
import random
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from remediator.clock import Clock, rfc3339
from remediator.kube.base import RESOURCES, Resource
from remediator.model import Json
from remediator.simulate.answers import already_exists, conflict, not_found

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


class Storage:
    """Every object by place, namespace and name; one counter of versions for all, as in etcd."""

    def __init__(self, clock: Clock, *, seed: int | None = None) -> None:
        self._clock = clock
        self._random = random.Random(seed)
        self._items: dict[tuple[str, str, str, str], Json] = {}
        self.version = 1

    def find(self, place: Resource, namespace: str | None, name: str) -> Json | None:
        return self._items.get(_key(place, namespace, name))

    def get(self, place: Resource, namespace: str | None, name: str) -> Json:
        """Raises Refused (404)."""
        item = self.find(place, namespace, name)
        if item is None:
            raise not_found(place, name)
        return item

    def all(self, place: Resource, namespace: str | None = None) -> Sequence[Json]:
        """Ordered by namespace and name, as etcd's keys are."""
        return [
            item
            for (group, plural, where, _), item in sorted(self._items.items(), key=lambda pair: pair[0])
            if (group, plural) == (place.group, place.plural) and namespace in (None, where)
        ]

    def everything(self) -> Iterator[tuple[Resource, Json]]:
        places = {(place.group, place.plural): place for place in PLACES.values()}
        for (group, plural, _, _), item in list(self._items.items()):
            yield places[group, plural], item

    def generated_name(self, prefix: str) -> str:
        return prefix + "".join(self._random.choice(SAFE_CHARACTERS) for _ in range(5))

    def create(self, place: Resource, item: Json, *, dry_run: bool = False) -> Json:
        """Store a new object and return it. Raises Refused (404 without its namespace, 409 if the name is taken)."""
        meta = dict(item["metadata"])
        namespace, name = str(meta.get("namespace") or ""), meta["name"]
        if place.namespaced and self.find(NAMESPACE, None, namespace) is None:
            raise not_found(NAMESPACE, namespace)
        if _key(place, namespace, name) in self._items:
            raise already_exists(place, name)
        meta.pop("resourceVersion", None)
        meta["uid"] = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        meta["creationTimestamp"] = seconds(self._clock.now())
        if place == POD or place.group in WITH_GENERATION:
            meta["generation"] = 1
        stored = copy.deepcopy({"apiVersion": api_version_of(place), "kind": kind_at(place), **item, "metadata": meta})
        return stored if dry_run else self._put(place, stored)

    def replace(self, place: Resource, item: Json, *, subresource: str = "", dry_run: bool = False) -> Json:
        """Store the new state of an object and return it; what equals the old state is not written at all.

        Through the object itself `status` stays, through `status` the spec and labels do; `binding` is the scheduler's
        way in and may set both. A `resourceVersion` in `item` is a precondition. Raises Refused (404, 409).
        """
        meta = item["metadata"]
        old = self.get(place, meta.get("namespace"), meta["name"])
        wanted_version = meta.get("resourceVersion")
        if wanted_version and wanted_version != old["metadata"]["resourceVersion"]:
            raise conflict(place, meta["name"])
        new = copy.deepcopy(item)
        new["metadata"] |= _kept(old["metadata"])
        if subresource == "status":
            new |= {key: copy.deepcopy(old[key]) for key in ("spec", "data") if key in old}
            _keep(new["metadata"], old["metadata"], "labels")
        elif subresource != "binding":
            _keep(new, old, "status")
            if _bumps_generation(place, old, new):
                new["metadata"]["generation"] = old["metadata"]["generation"] + 1
        if new == old or dry_run:
            return new
        return self._put(place, new)

    def begin_deletion(self, place: Resource, item: Json, *, grace_seconds: int) -> Json:
        """Set `deletionTimestamp`, once; whoever has the object's life in hand removes it later."""
        if "deletionTimestamp" in item["metadata"]:
            return item
        new = copy.deepcopy(item)
        new["metadata"]["deletionTimestamp"] = seconds(self._clock.now())
        new["metadata"]["deletionGracePeriodSeconds"] = grace_seconds
        return self._put(place, new)

    def remove(self, place: Resource, namespace: str | None, name: str) -> None:
        if self._items.pop(_key(place, namespace, name), None) is not None:
            self.version += 1

    def _put(self, place: Resource, item: Json) -> Json:
        self.version += 1
        item["metadata"]["resourceVersion"] = str(self.version)
        self._items[_key(place, item["metadata"].get("namespace"), item["metadata"]["name"])] = item
        return item


def _key(place: Resource, namespace: str | None, name: str) -> tuple[str, str, str, str]:
    return place.group, place.plural, (namespace or "") if place.namespaced else "", name


def _kept(meta: Json) -> dict[str, Json]:
    """What no writer can change."""
    return {name: meta[name] for name in SYSTEM_FIELDS if name in meta}


def _keep(new: dict[str, Json], old: Json, key: str) -> None:
    if key in old:
        new[key] = copy.deepcopy(old[key])
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
