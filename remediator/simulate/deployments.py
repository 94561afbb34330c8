"""The Deployment controller of the embedded cluster: revisions, rolling updates, status.

Follows kubernetes 1.36 `pkg/controller/deployment` step by step, since rollback depends on its fine print: which
ReplicaSet is "new", how revisions are renumbered, and when `Progressing` moves. Called by `apiserver.py` after each
write and by its ticks, until nothing changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from remediator.clock import Clock, parse_rfc3339
from remediator.kube.base import annotations_of
from remediator.model import Json
from remediator.simulate import rolling
from remediator.simulate.conditions import deployment_condition, find, with_condition, with_progress, without
from remediator.simulate.ownership import owner_reference, pods_of, template_hash
from remediator.simulate.storage import DEPLOYMENT, REPLICA_SET, Storage, copied, seconds

REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
HASH_LABEL = "pod-template-hash"
FAILURE = "ReplicaFailure"

# Never copied from the Deployment to its ReplicaSet.
OWN_ANNOTATIONS = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        "deprecated.deployment.rollback.to",
        REVISION,
        REVISION_HISTORY,
        rolling.DESIRED,
        rolling.MAXIMUM,
    }
)

Emit = Callable[[Json, str, str, str], None]
"""(object, type, reason, message) -> None: records an Event about the object."""


@dataclass(frozen=True, slots=True)
class View:
    """A Deployment with its ReplicaSets as they are now; `new` is the one of its template, if there is one."""

    deployment: Json
    new: Json | None
    old: Sequence[Json]

    @property
    def all(self) -> list[Json]:
        return [*self.old, *([self.new] if self.new else [])]


class DeploymentController:
    def __init__(self, storage: Storage, clock: Clock, emit: Emit) -> None:
        self._storage = storage
        self._clock = clock
        self._emit = emit

    def sync(self, deployment: Json) -> datetime | None:
        """One pass over one Deployment. When to come again without a change: after its progress deadline."""
        self._mark_pause(deployment)
        view = self._view(deployment)
        if view.deployment["spec"].get("paused") or rolling.is_being_scaled(deployment, view.all):
            self._scale(self._with_revision(view, creates=False))
        elif rolling.is_recreate(deployment):
            self._recreate(view)
        else:
            self._roll(self._with_revision(view, creates=True))
        view = self._view(deployment)
        self._write_status(view)
        return self._overdue_at(self._view(deployment).deployment)

    def _overdue_at(self, deployment: Json) -> datetime | None:
        """When a rollout that does not get on exceeds its deadline; None: it does, is over, or was told of already."""
        progressing = find((deployment.get("status") or {}).get("conditions") or (), "Progressing")
        if progressing is None or not _has_deadline(deployment) or deployment["spec"].get("paused"):
            return None
        if progressing["reason"] in ("NewReplicaSetAvailable", "ProgressDeadlineExceeded"):
            return None
        deadline = timedelta(seconds=deployment["spec"]["progressDeadlineSeconds"] + 1)
        return parse_rfc3339(progressing["lastUpdateTime"]) + deadline

    def _view(self, deployment: Json) -> View:
        meta = deployment["metadata"]
        deployment = self._storage.get(DEPLOYMENT, meta["namespace"], meta["name"])
        owned = rolling.oldest_first(self._storage.controlled(REPLICA_SET, meta["uid"]))
        template = _without_hash(deployment["spec"]["template"])
        new = next((item for item in owned if _without_hash(item["spec"]["template"]) == template), None)
        return View(deployment, new, [item for item in owned if item is not new])

    # --- revisions

    def _with_revision(self, view: View, *, creates: bool) -> View:
        """Number the new ReplicaSet, creating it if that is asked for, and copy the annotations onto it."""
        number = max((_revision(item) for item in view.old), default=0) + 1
        if view.new is None:
            if not creates:
                return view
            self._create(view, number)
            return self._view(view.deployment)
        annotations = _numbered(view, view.new, number)
        changed = copied(view.new)
        changed["metadata"]["annotations"] = annotations
        if (seconds_ready := view.deployment["spec"].get("minReadySeconds")) is not None:
            changed["spec"]["minReadySeconds"] = seconds_ready
        self._storage.replace(REPLICA_SET, changed)
        self._set_revision(view.deployment, annotations[REVISION])
        return self._view(view.deployment)

    def _create(self, view: View, number: int) -> None:
        deployment = view.deployment
        hashed = template_hash(deployment["spec"]["template"])
        template = copied(deployment["spec"]["template"])
        template["metadata"]["labels"][HASH_LABEL] = hashed
        selector = copied(deployment["spec"]["selector"])
        selector.setdefault("matchLabels", {})[HASH_LABEL] = hashed
        replicas = rolling.next_new_size(deployment, view.old, 0)
        carried = {key: value for key, value in annotations_of(deployment).items() if key not in OWN_ANNOTATIONS}
        created = self._storage.create(
            REPLICA_SET,
            {
                "metadata": {
                    "name": f"{deployment['metadata']['name']}-{hashed}",
                    "namespace": deployment["metadata"]["namespace"],
                    "labels": template["metadata"]["labels"],
                    "annotations": carried | {REVISION: str(number)} | _size_annotations(deployment),
                    "ownerReferences": [owner_reference(deployment)],
                },
                "spec": {
                    "replicas": replicas,
                    "selector": selector,
                    "template": template,
                    **{k: v for k, v in deployment["spec"].items() if k == "minReadySeconds"},
                },
                "status": {"replicas": 0},
            },
        )
        name = created["metadata"]["name"]
        if replicas:
            self._emit(deployment, "Normal", "ScalingReplicaSet", f"Scaled up replica set {name} from 0 to {replicas}")
        self._set_revision(deployment, str(number), created=name)

    def _set_revision(self, deployment: Json, number: str, *, created: str | None = None) -> None:
        changed = copied(deployment)
        changed["metadata"].setdefault("annotations", {})[REVISION] = number
        status = changed.setdefault("status", {})
        conditions = status.get("conditions") or []
        if _has_deadline(deployment) and created is not None:
            text = f'Created new replica set "{created}"'
            status["conditions"] = with_condition(conditions, self._progressing("True", "NewReplicaSetCreated", text))
        elif _has_deadline(deployment) and find(conditions, "Progressing") is None:
            text = "Found new replica set"
            status["conditions"] = with_condition(conditions, self._progressing("True", "FoundNewReplicaSet", text))
        self._storage.replace(DEPLOYMENT, changed, subresource="status")

    # --- sizes

    def _roll(self, view: View) -> None:
        new = view.new
        if new is None:
            raise AssertionError("a rolling update begins by creating the new ReplicaSet")
        grown = rolling.next_new_size(view.deployment, view.old, rolling.size(new))
        if self._resize(view, {new["metadata"]["name"]: grown}):
            return
        if self._resize(view, rolling.next_old_sizes(view.deployment, new, view.old)):
            return
        self._clean_up(view)

    def _recreate(self, view: View) -> None:
        view = self._with_revision(view, creates=False)
        if self._resize(view, {item["metadata"]["name"]: 0 for item in view.old}):
            return
        if any(pods_of(self._storage, item) for item in view.old):
            return
        view = self._with_revision(view, creates=True)
        wanted = rolling.size(view.deployment)
        if view.new is not None and not self._resize(view, {view.new["metadata"]["name"]: wanted}):
            self._clean_up(view)

    def _scale(self, view: View) -> None:
        active = [item for item in view.all if rolling.size(item) > 0]
        if len(active) <= 1:
            latest = active or ([view.new] if view.new else rolling.oldest_first(view.old)[-1:])
            self._resize(view, {item["metadata"]["name"]: rolling.size(view.deployment) for item in latest})
        elif not rolling.is_recreate(view.deployment):
            self._resize(view, rolling.proportional_sizes(view.deployment, active))

    def _resize(self, view: View, sizes: Mapping[str, int]) -> bool:
        """Whether any ReplicaSet has got another size."""
        resized = False
        for item in view.all:
            name, before = item["metadata"]["name"], rolling.size(item)
            if name not in sizes:
                continue
            after = sizes[name]
            changed = copied(item)
            changed["spec"]["replicas"] = after
            changed["metadata"].setdefault("annotations", {}).update(_size_annotations(view.deployment))
            self._storage.replace(REPLICA_SET, changed)
            if after != before:
                resized = True
                direction = "up" if after > before else "down"
                text = f"Scaled {direction} replica set {name} from {before} to {after}"
                self._emit(view.deployment, "Normal", "ScalingReplicaSet", text)
        return resized

    def _clean_up(self, view: View) -> None:
        limit = view.deployment["spec"].get("revisionHistoryLimit")
        if limit is None or not _is_complete(view.deployment, view.deployment.get("status") or {}):
            return
        by_revision = sorted(rolling.oldest_first(view.old), key=_revision)
        for item in by_revision[: max(0, len(by_revision) - limit)]:
            if rolling.size(item) == 0 and rolling.counted([item], "replicas") == 0:
                self._storage.remove(REPLICA_SET, item["metadata"]["namespace"], item["metadata"]["name"])

    # --- status

    def _mark_pause(self, deployment: Json) -> None:
        conditions = (deployment.get("status") or {}).get("conditions") or []
        reason = (find(conditions, "Progressing") or {}).get("reason")
        is_paused = bool(deployment["spec"].get("paused"))
        is_marked = reason == "DeploymentPaused"
        if not _has_deadline(deployment) or reason == "ProgressDeadlineExceeded" or is_paused == is_marked:
            return
        word = "paused" if is_paused else "resumed"
        changed = copied(deployment)
        condition = self._progressing("Unknown", f"Deployment{word.title()}", f"Deployment is {word}")
        changed.setdefault("status", {})["conditions"] = with_condition(conditions, condition)
        self._storage.replace(DEPLOYMENT, changed, subresource="status")

    def _write_status(self, view: View) -> None:
        deployment = view.deployment
        old = deployment.get("status") or {}
        new = [view.new] if view.new else []
        available = rolling.counted(view.all, "availableReplicas")
        counts = {
            "replicas": rolling.counted(view.all, "replicas"),
            "updatedReplicas": rolling.counted(new, "replicas"),
            "readyReplicas": rolling.counted(view.all, "readyReplicas"),
            "availableReplicas": available,
            "unavailableReplicas": max(0, rolling.total_size(view.all) - available),
            "terminatingReplicas": rolling.counted(view.all, "terminatingReplicas"),
        }
        # Zeroes are left out on the wire, but for this one, which is a pointer.
        status: dict[str, Json] = {k: v for k, v in counts.items() if v or k == "terminatingReplicas"}
        status["observedGeneration"] = deployment["metadata"]["generation"]
        enough = rolling.size(deployment) - rolling.max_unavailable(deployment)
        conditions = with_condition(old.get("conditions") or [], self._available(available >= enough))
        status["conditions"] = self._with_failure(view, self._with_progress(view, status, conditions))
        self._storage.replace(DEPLOYMENT, deployment | {"status": status}, subresource="status")

    def _with_progress(self, view: View, status: Json, conditions: list[Json]) -> list[Json]:
        deployment, old = view.deployment, view.deployment.get("status") or {}
        if deployment["spec"].get("paused"):
            return conditions
        if not _has_deadline(deployment):
            return without(conditions, "Progressing")
        current = find(conditions, "Progressing")
        settled = current is not None and current["reason"] == "NewReplicaSetAvailable"
        if settled and status.get("replicas", 0) == status.get("updatedReplicas", 0):
            return conditions
        name = view.new["metadata"]["name"] if view.new else deployment["metadata"]["name"]
        subject = f'{"ReplicaSet" if view.new else "Deployment"} "{name}"'
        if _is_complete(deployment, status):
            text = f"{subject} has successfully progressed."
            return with_condition(conditions, self._progressing("True", "NewReplicaSetAvailable", text))
        if _has_progressed(old, status):
            return with_progress(
                conditions, self._progressing("True", "ReplicaSetUpdated", f"{subject} is progressing.")
            )
        if current is not None and not settled and self._is_overdue(deployment, current):
            text = f"{subject} has timed out progressing."
            return with_condition(conditions, self._progressing("False", "ProgressDeadlineExceeded", text))
        return conditions

    def _with_failure(self, view: View, conditions: list[Json]) -> list[Json]:
        """The ReplicaSet's own word that it may not create pods (`sync.go`, `calculateStatus`)."""
        said = [find((item.get("status") or {}).get("conditions") or (), FAILURE) for item in reversed(view.all)]
        failure = next(filter(None, said), None)
        if failure is None:
            return without(conditions, FAILURE)
        now = seconds(self._clock.now())
        new = deployment_condition(FAILURE, "True", failure["reason"], failure["message"], now=now)
        return with_condition(conditions, new)

    def _is_overdue(self, deployment: Json, progressing: Json) -> bool:
        deadline = timedelta(seconds=deployment["spec"]["progressDeadlineSeconds"])
        return parse_rfc3339(progressing["lastUpdateTime"]) + deadline < self._clock.now()

    def _progressing(self, status: str, reason: str, message: str) -> Json:
        return deployment_condition("Progressing", status, reason, message, now=seconds(self._clock.now()))

    def _available(self, is_available: bool) -> Json:
        now = seconds(self._clock.now())
        if is_available:
            text = "Deployment has minimum availability."
            return deployment_condition("Available", "True", "MinimumReplicasAvailable", text, now=now)
        text = "Deployment does not have minimum availability."
        return deployment_condition("Available", "False", "MinimumReplicasUnavailable", text, now=now)


def _has_deadline(deployment: Json) -> bool:
    # The maximum of int32 means "none".
    return deployment["spec"].get("progressDeadlineSeconds") not in (None, 2147483647)


def _revision(replica_set: Json) -> int:
    text = annotations_of(replica_set).get(REVISION, "0")
    return int(text) if text.isdigit() else 0


def _numbered(view: View, replica_set: Json, number: int) -> dict[str, str]:
    """The annotations of the new ReplicaSet: a re-used one gets the next number and remembers the former."""
    annotations = dict(annotations_of(replica_set))
    annotations |= {key: text for key, text in annotations_of(view.deployment).items() if key not in OWN_ANNOTATIONS}
    former = annotations.get(REVISION)
    if _revision(replica_set) < number:
        annotations[REVISION] = str(number)
        if former is not None:
            history = annotations.get(REVISION_HISTORY)
            annotations[REVISION_HISTORY] = f"{history},{former}" if history else former
    return annotations


def _size_annotations(deployment: Json) -> dict[str, str]:
    replicas = rolling.size(deployment)
    return {rolling.DESIRED: str(replicas), rolling.MAXIMUM: str(replicas + rolling.max_surge(deployment))}


def _without_hash(template: Json) -> Json:
    meta = template.get("metadata") or {}
    labels = {key: value for key, value in (meta.get("labels") or {}).items() if key != HASH_LABEL}
    return template | {"metadata": {**meta, "labels": labels}}


def _is_complete(deployment: Json, status: Json) -> bool:
    wanted = rolling.size(deployment)
    counts = [status.get(key, 0) for key in ("updatedReplicas", "replicas", "availableReplicas")]
    return counts == [wanted] * 3 and status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]


def _has_progressed(old: Json, new: Json) -> bool:
    def left_over(status: Json) -> int:
        return int(status.get("replicas", 0)) - int(status.get("updatedReplicas", 0))

    grew = any(new.get(key, 0) > old.get(key, 0) for key in ("updatedReplicas", "readyReplicas", "availableReplicas"))
    return grew or left_over(new) < left_over(old)
