"""The history of StatefulSets and DaemonSets, as their controllers and `kubectl rollout` read it. Pure.

Used by the `rollback` action and by whoever asks how long ago such a workload was deployed. Sources: kubernetes
`pkg/controller/statefulset/stateful_set_control.go` (`getStatefulSetRevisions`), `pkg/controller/daemon/update.go`;
kubernetes/kubectl `pkg/polymorphichelpers/history.go`.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from remediator.kube.base import instant_of
from remediator.kube.rollout import RolloutTimes, is_observed, is_same_template
from remediator.model import Json

HASH = "controller-revision-hash"


def template_of(revision: Json) -> Json | None:
    """The pod template that the revision holds, as the workload would: its `data` is a patch. A copy.

    None for a format that is not the controllers' own (kubernetes/kubernetes issue 55072).
    """
    data = (revision.get("data") or {}).get("spec") or {}
    template = data.get("template")
    if not isinstance(template, dict) or template.get("$patch") != "replace" or "spec" not in template:
        return None
    bare = {key: copy.deepcopy(value) for key, value in template.items() if key != "$patch"}
    # Written by the encoder of older controllers, and nothing that anybody asked for.
    (bare.get("metadata") or {}).pop("creationTimestamp", None)
    return bare


def newest_first(revisions: Sequence[Json]) -> list[Json]:
    """By `revision`, which the controller raises when it uses an old one again."""
    return sorted(revisions, key=lambda item: int(item["revision"]), reverse=True)


def current_revision(workload: Json, revisions: Sequence[Json]) -> Json | None:
    """The revision of the live template: the newest, if it holds that template; None while not observed."""
    newest = next(iter(newest_first(revisions)), None)
    template = template_of(newest) if newest is not None else None
    if template is None or not is_observed(workload):
        return None
    return newest if is_same_template(template, workload["spec"]["template"]) else None


def pods_of(revision: Json, pods: Sequence[Json]) -> tuple[Json, ...]:
    """The pods of that revision: a StatefulSet's carry its name, a DaemonSet's the hash in its labels."""
    name, labels = revision["metadata"]["name"], revision["metadata"].get("labels") or {}
    known = {name, labels.get(HASH)}
    return tuple(pod for pod in pods if (pod["metadata"].get("labels") or {}).get(HASH) in known - {None})


@dataclass(frozen=True, slots=True)
class OrderedTimes:
    """`times.started_at` is a lower bound, `began_by` an upper one: the rollout had begun when its first pod came.

    None where there is no pod of the present revision. `times.completed_at` is never known.
    """

    times: RolloutTimes
    began_by: datetime | None


def ordered_times(workload: Json, revisions: Sequence[Json], pods: Sequence[Json]) -> OrderedTimes:
    """When the present rollout began, as far as the API proves it.

    A revision's creation time is wrong for one that was used again; but what runs now cannot have begun before the
    newest of all revisions was made. It is running while pods of another revision are left.
    """
    current = current_revision(workload, revisions)
    if current is None:
        return OrderedTimes(RolloutTimes(None, None, False), None)
    made = [at for item in revisions if (at := instant_of(item["metadata"]["creationTimestamp"])) is not None]
    own = pods_of(current, pods)
    came = [at for pod in own if (at := instant_of(pod["metadata"]["creationTimestamp"])) is not None]
    others = [pod for pod in pods if pod not in own and not pod["metadata"].get("deletionTimestamp")]
    return OrderedTimes(RolloutTimes(max(made, default=None), None, bool(others)), min(came, default=None))
