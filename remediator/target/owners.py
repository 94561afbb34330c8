"""From an object up its controller references to what a person deploys, each hop confirmed by UID.

Step 3 of the way of an alert, second half; called by `resolve.py`. Trusts owner references only: selectors overlap,
names look alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from remediator.errors import cut
from remediator.kube.base import RESOURCES, Cluster, NotFound, controller_of, path_of
from remediator.model import Json
from remediator.reasons import Reason
from remediator.target.labels import NoTarget

CLIMBS: Mapping[str, frozenset[str]] = {
    "Pod": frozenset({"ReplicaSet", "StatefulSet", "DaemonSet", "Job"}),
    "ReplicaSet": frozenset({"Deployment"}),
    "Job": frozenset({"CronJob"}),
}
"""Kind -> the owner kinds it is followed to. A kind that is not a key ends the walk, whoever owns it: that a Deployment
belongs to an operator is for the plan to refuse."""

MAX_HOPS = 2
"""Pod -> ReplicaSet -> Deployment and Pod -> Job -> CronJob are the longest walks there are."""


def passed(kind: str) -> frozenset[str]:
    """The kinds on every walk that begins at this one, itself included."""
    return frozenset({kind}).union(*(passed(owner) for owner in CLIMBS.get(kind, ())))


@dataclass(frozen=True, slots=True)
class Workload:
    """The end of a walk: the object, its kind (items of a list carry none), and the names passed on the way."""

    kind: str
    object: Json
    chain: tuple[str, ...]


@dataclass(slots=True)
class Owners:
    """The owners read for one alert, by UID: many pods share few, and each is read once."""

    cluster: Cluster
    namespace: str
    read: dict[str, Json] = field(default_factory=dict)

    async def climb(self, kind: str, item: Json) -> Workload | NoTarget:
        """Follow controller references from `item` to the workload; at most `MAX_HOPS` reads.

        Raises the errors of `kube.base` but NotFound.
        """
        chain = [called(kind, item)]
        while kind in CLIMBS:
            owner = controller_of(item)
            if owner is None and kind == "Pod":
                return NoTarget(Reason.TARGET_UNSUPPORTED, f"{chain[-1]} has no controller: nothing would replace it")
            if owner is None:
                break
            if owner.get("kind") not in CLIMBS[kind] or not is_ours(owner):
                foreign = cut(f"{owner.get('kind')} {owner.get('name')} ({owner.get('apiVersion')})")
                return NoTarget(Reason.TARGET_UNSUPPORTED, f"{chain[-1]} belongs to {foreign}")
            found = await self._owner(owner)
            if isinstance(found, NoTarget):
                return found
            kind, item = owner["kind"], found
            chain.append(called(kind, item))
        return Workload(kind=kind, object=item, chain=tuple(chain))

    async def _owner(self, reference: Json) -> Json | NoTarget:
        uid, who = reference["uid"], cut(f"{reference['kind']} {reference['name']}")
        if uid in self.read:
            return self.read[uid]
        try:
            path = path_of(reference["kind"], namespace=self.namespace, name=reference["name"])
            found = await self.cluster.get(path)
        except NotFound:
            return NoTarget(Reason.TARGET_NOT_FOUND, f"the owner {who} is gone")
        if found["metadata"]["uid"] != uid:
            return NoTarget(Reason.TARGET_CHANGED, f"{who} is another object now: uid {found['metadata']['uid']}")
        self.read[uid] = found
        return found


def is_ours(reference: Json) -> bool:
    """Whether a reference means the built-in kind of that name: OpenKruise has a StatefulSet of its own, for one."""
    place = RESOURCES.get(reference.get("kind", ""))
    group, slash, _ = str(reference.get("apiVersion", "")).partition("/")
    return place is not None and place.group == (group if slash else "")


def called(kind: str, item: Json) -> str:
    return f"{kind} {item['metadata']['name']}"
