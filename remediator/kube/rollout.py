"""Deployments as the deployment controller and `kubectl rollout` read them: revisions, templates, progress. Pure.

Used by the rollout collector, the `rollback` action and the `rollout-complete` check, so that all three agree.
Sources: kubernetes/kubectl `pkg/util/deployment/deployment.go`, `pkg/polymorphichelpers/rollout_status.go`;
kubernetes/kubernetes `pkg/controller/deployment/util/deployment_util.go`.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, cast

from remediator.kube.base import annotations_of, controller_of, instant_of
from remediator.model import Json

REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
TEMPLATE_HASH_LABEL = "pod-template-hash"
OUR_PREFIX = "remediator.io/"
VOLATILE_ANNOTATIONS = frozenset({"kubectl.kubernetes.io/restartedAt", "robusta.kubernetes.io/restartedAt"})
"""Template annotations that a restart writes: a revision that differs in nothing else is the same release."""

WATCH_FOR = timedelta(hours=2)
"""After its completion a rollout is watched this long: in that time an alert may be its doing (DESIGN 1)."""

MAX_SKEW = timedelta(minutes=5)
"""What lies further ahead of our clock than this proves nothing: one of the clocks is wrong."""


def live_template(template: Json) -> Json:
    """The template without the controller's `pod-template-hash` label, as a Deployment holds it. A copy."""
    return copy.deepcopy(_without_hash(template))


def is_same_template(one: Json, other: Json) -> bool:
    """Equal but for `pod-template-hash`, with absent and empty metadata maps alike (Go's semantic DeepEqual)."""
    return _is_same(_without_hash(one), _without_hash(other))


def meaningful_template(template: Json) -> Json:
    """The template without what a restart or we ourselves write into it: what makes two releases different."""
    bare = _without_hash(template)
    annotations = bare.get("metadata", {}).get("annotations")
    if annotations:
        kept = {
            key: value
            for key, value in annotations.items()
            if key not in VOLATILE_ANNOTATIONS and not key.startswith(OUR_PREFIX)
        }
        bare = {**bare, "metadata": {**bare["metadata"], "annotations": kept}}
    return _without_empties(bare)


def meaningful_hash(template: Json) -> str:
    """SHA-256 of the canonical JSON of the meaningful template: the key of the ledger of templates."""
    return hashlib.sha256(_canonical(meaningful_template(template)).encode()).hexdigest()


def differing_paths(one: Json, other: Json) -> tuple[str, ...]:
    """JSON pointers (without escapes, lists compared whole by index) where two meaningful templates differ."""
    return tuple(_differences("", meaningful_template(one), meaningful_template(other)))


def revision_of(item: Json) -> int | None:
    """The revision annotation as a number: missing is 0, unparsable is None (kubectl skips it)."""
    text = annotations_of(item).get(REVISION)
    if text is None:
        return 0
    try:
        return int(text)
    except ValueError:
        return None


def owned_by(owner: Json, items: Sequence[Json]) -> tuple[Json, ...]:
    """Those whose controller ownerReference carries the owner's UID; labels alone prove nothing."""
    uid = owner["metadata"]["uid"]
    return tuple(item for item in items if (ref := controller_of(item)) is not None and ref.get("uid") == uid)


def current_replica_set(deployment: Json, replica_sets: Sequence[Json]) -> Json | None:
    """The oldest ReplicaSet whose template is the Deployment's (`FindNewReplicaSet`); None while not observed."""
    same = [rs for rs in replica_sets if is_same_template(rs["spec"]["template"], deployment["spec"]["template"])]
    same.sort(key=lambda rs: (rs["metadata"]["creationTimestamp"], rs["metadata"]["name"]))
    return same[0] if same else None


def condition(item: Json, kind: str) -> Json | None:
    """The status condition of that type, or None."""
    for entry in item.get("status", {}).get("conditions") or ():
        if entry["type"] == kind:
            return entry
    return None


def is_observed(deployment: Json) -> bool:
    """Whether the controller has seen the present spec."""
    return bool((deployment.get("status", {}).get("observedGeneration") or 0) >= deployment["metadata"]["generation"])


@dataclass(frozen=True, slots=True)
class RolloutTimes:
    """When the present rollout began and ended, as far as it is proven.

    `started_at` is a lower bound: the rollout cannot have begun earlier. `began_by` is an upper one: by then it had
    begun. `completed_at` is None while it runs or where the condition is absent.
    """

    started_at: datetime | None
    completed_at: datetime | None
    is_running: bool
    began_by: datetime | None = None


class SeenRollout(Protocol):
    """The present rollout of a Deployment as the deployment watch saw it (`store/rollouts_base.py`).

    `started_at` is a lower bound, `first_seen_at` an upper one; `template_hash` is the meaningful one.
    """

    @property
    def template_hash(self) -> str: ...

    @property
    def started_at(self) -> datetime: ...

    @property
    def first_seen_at(self) -> datetime: ...

    @property
    def completed_at(self) -> datetime | None: ...


def rollout_times(deployment: Json, replica_sets: Sequence[Json]) -> RolloutTimes:
    """Read the times of the present rollout from the API alone.

    A ReplicaSet that never was rolled back to (no `revision-history`) was created when its rollout began. One that was
    re-used keeps its old creation time, so the bound is then the newest creation of any owned ReplicaSet.
    `Progressing` with reason NewReplicaSetAvailable carries the completion time in `lastUpdateTime`, which later
    crashes and scaling leave alone.
    """
    current = current_replica_set(deployment, replica_sets)
    progressing = condition(deployment, "Progressing") or {}
    reason = progressing.get("reason")
    completed = instant_of(progressing.get("lastUpdateTime")) if reason == "NewReplicaSetAvailable" else None
    started, began_by = None, completed
    if current is not None:
        created = [cast(datetime, instant_of(rs["metadata"]["creationTimestamp"])) for rs in replica_sets]
        own = cast(datetime, instant_of(current["metadata"]["creationTimestamp"]))
        if REVISION_HISTORY in annotations_of(current):
            started = max(created)
        else:
            started = began_by = own
    return RolloutTimes(
        started_at=started,
        completed_at=completed,
        is_running=reason in ("ReplicaSetUpdated", "NewReplicaSetCreated", "FoundNewReplicaSet"),
        began_by=began_by,
    )


def as_seen(times: RolloutTimes, seen: SeenRollout) -> RolloutTimes:
    """The same with what the deployment watch saw of the same release, which is the better witness.

    It knows when a ReplicaSet was used again, and that a restart (a new ReplicaSet of the same release) is no rollout.
    """
    own = times.completed_at
    completed = seen.completed_at or (own if own is not None and own >= seen.started_at else None)
    return RolloutTimes(
        started_at=seen.started_at,
        completed_at=completed,
        is_running=times.is_running and seen.completed_at is None,
        began_by=min(at for at in (times.began_by, seen.first_seen_at) if at is not None),
    )


def deployed_ago(times: RolloutTimes, now: datetime) -> timedelta | None:
    """How long ago the present rollout was provably still recent: zero while it runs, else since the nearer of its
    completion and the lower bound of its start. None: not proven, which counts as not recent; so does what lies ahead
    of our clock by more than `MAX_SKEW`."""
    if times.is_running:
        return timedelta()
    proven = [at for at in (times.started_at, times.completed_at) if at is not None]
    if not proven or max(proven) > now + MAX_SKEW:
        return None
    return max(now - max(proven), timedelta())


@dataclass(frozen=True, slots=True)
class RolloutStatus:
    is_complete: bool
    is_failed: bool
    detail: str


def rollout_status(item: Json, kind: str = "Deployment") -> RolloutStatus:
    """kubectl's own rule for `rollout status` of each kind, with its words.

    It does not speak of strategy OnDelete; there the rollout is complete when all pods are of the new revision.
    """
    if not is_observed(item):
        return RolloutStatus(False, False, "waiting for the spec update to be observed")
    match kind:
        case "StatefulSet":
            return _stateful_set_status(item)
        case "DaemonSet":
            return _daemon_set_status(item)
        case _:
            return _deployment_status(item)


def _stateful_set_status(item: Json) -> RolloutStatus:
    status, wanted = item.get("status", {}), item["spec"].get("replicas", 1)
    ready, updated = (status.get(key) or 0 for key in ("readyReplicas", "updatedReplicas"))
    rolling = (item["spec"].get("updateStrategy") or {}).get("rollingUpdate") or {}
    on_new = wanted - (rolling.get("partition") or 0)
    if ready < wanted:
        return RolloutStatus(False, False, f"{ready} of {wanted} pods are ready")
    if updated < on_new:
        return RolloutStatus(False, False, f"{updated} of {on_new} new pods have been updated")
    return RolloutStatus(True, False, f"{ready} of {wanted} pods ready, {updated} of the new revision")


def _daemon_set_status(item: Json) -> RolloutStatus:
    status = item.get("status", {})
    wanted, updated, available = (
        status.get(key) or 0 for key in ("desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable")
    )
    if updated < wanted:
        return RolloutStatus(False, False, f"{updated} of {wanted} new pods have been updated")
    if available < wanted:
        return RolloutStatus(False, False, f"{available} of {wanted} updated pods are available")
    return RolloutStatus(True, False, f"{available} of {wanted} pods available")


def _deployment_status(deployment: Json) -> RolloutStatus:
    progressing = condition(deployment, "Progressing") or {}
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        return RolloutStatus(False, True, "exceeded its progress deadline")
    status = deployment.get("status", {})
    wanted = deployment["spec"].get("replicas", 1)
    total, updated, available = (status.get(key) or 0 for key in ("replicas", "updatedReplicas", "availableReplicas"))
    if updated < wanted:
        return RolloutStatus(False, False, f"{updated} of {wanted} new replicas have been updated")
    if total > updated:
        return RolloutStatus(False, False, f"{total - updated} old replicas are pending termination")
    if available < updated:
        return RolloutStatus(False, False, f"{available} of {updated} updated replicas are available")
    return RolloutStatus(True, False, f"{available} of {wanted} replicas available")


def _without_hash(template: Json) -> Json:
    """The template without the label `pod-template-hash`. Shares all else with it, and must not be changed."""
    metadata = template.get("metadata") or {}
    if TEMPLATE_HASH_LABEL not in (metadata.get("labels") or {}):
        return template
    labels = {key: value for key, value in metadata["labels"].items() if key != TEMPLATE_HASH_LABEL}
    return {**template, "metadata": {**metadata, "labels": labels}}


def _canonical(value: Json) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _is_same(one: Json, other: Json) -> bool:
    """Equal once `_without_empties` was applied to both, without doing so: a workload is compared with each of its
    revisions at every look, and nearly always they are equal as they are, or differ soon."""
    if one == other:
        return True
    if isinstance(one, dict) and isinstance(other, dict):
        return all(_is_same(one.get(key), other.get(key)) for key in one.keys() | other.keys())
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = zip(one, other, strict=True)  # what is empty in a list stays what it is
        return all(type(left) is type(right) and _is_same(left, right) for left, right in pairs)
    return _is_empty(one) and _is_empty(other)


def _is_empty(value: Json) -> bool:
    if isinstance(value, dict):
        return all(_is_empty(item) for item in value.values())
    return value is None or value == []


def _without_empties(value: Json) -> Json:
    if isinstance(value, dict):
        cleaned = {key: _without_empties(item) for key, item in value.items()}
        return {key: item for key, item in cleaned.items() if item not in (None, {}, [])}
    return [_without_empties(item) for item in value] if isinstance(value, list) else value


def _differences(path: str, one: Json, other: Json) -> list[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        found = []
        for key in sorted(one.keys() | other.keys()):
            found += _differences(f"{path}/{key}", one.get(key), other.get(key))
        return found
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        found = []
        for index, (left, right) in enumerate(zip(one, other, strict=True)):
            found += _differences(f"{path}/{index}", left, right)
        return found
    return [] if one == other else [path or "/"]
