"""Which revision a workload is at and which one a rollback would restore: one picture for all kinds. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from remediator.kube import controller_revisions as ordered
from remediator.kube.rollout import (
    RolloutTimes,
    condition,
    current_replica_set,
    is_observed,
    meaningful_hash,
    revision_of,
)
from remediator.kube.workload import Workload, times_of
from remediator.model import Json


@dataclass(frozen=True, slots=True)
class Revision:
    """One release. `name` is that of its ReplicaSet or ControllerRevision, `ready` how many of its pods are ready."""

    number: int
    name: str
    template: Json
    ready: int


@dataclass(frozen=True, slots=True)
class Revisions:
    """`current` is the revision of the live template (None: not observed yet), `previous` the newest one below it
    whose meaningful template differs (None: there is none). `history` is newest first, unparsable ones left out.

    `began_by` is the latest that the present rollout can have begun, `times.started_at` the earliest.
    """

    is_observed: bool
    current: Revision | None
    previous: Revision | None
    history: Sequence[Revision]
    times: RolloutTimes
    began_by: datetime | None

    @property
    def current_number(self) -> int:
        return self.current.number if self.current is not None else 0

    @property
    def previous_number(self) -> int:
        return self.previous.number if self.previous is not None else 0


def read_revisions(workload: Workload) -> Revisions:
    """kubectl's reading of the history, but by meaningful template instead of by number alone."""
    if workload.controller_revisions is not None:
        return _ordered(workload, workload.controller_revisions)
    deployment = workload.object
    numbered = [
        Revision(
            number, rs["metadata"]["name"], rs["spec"]["template"], (rs.get("status") or {}).get("readyReplicas", 0)
        )
        for rs in workload.replica_sets
        if (number := revision_of(rs)) is not None
    ]
    numbered.sort(key=lambda revision: revision.number, reverse=True)
    live = current_replica_set(deployment, workload.replica_sets)
    current = _named(numbered, live)
    is_newest = current is not None and current.number == numbered[0].number
    times = times_of(workload)
    return Revisions(
        is_observed=is_observed(deployment) and is_newest and revision_of(deployment) == numbered[0].number,
        current=current,
        previous=_previous(deployment, numbered, current),
        history=numbered,
        times=times,
        began_by=times.began_by,
    )


def _ordered(workload: Workload, items: Sequence[Json]) -> Revisions:
    """Of a StatefulSet or DaemonSet. Neither its ControllerRevisions nor its status count ready pods by revision."""
    numbered = [
        Revision(
            int(item["revision"]), item["metadata"]["name"], template, _ready(ordered.pods_of(item, workload.pods))
        )
        for item in ordered.newest_first(items)
        if (template := ordered.template_of(item)) is not None
    ]
    current = _named(numbered, ordered.current_revision(workload.object, items))
    found = ordered.ordered_times(workload.object, items, workload.pods)
    return Revisions(
        is_observed=current is not None,
        current=current,
        previous=_previous(workload.object, numbered, current),
        history=numbered,
        times=found.times,
        began_by=found.began_by,
    )


def _named(revisions: Sequence[Revision], item: Json | None) -> Revision | None:
    name = item["metadata"]["name"] if item is not None else None
    return next((revision for revision in revisions if revision.name == name), None)


def _previous(workload: Json, newest_first: Sequence[Revision], current: Revision | None) -> Revision | None:
    live_hash = meaningful_hash(workload["spec"]["template"])
    below = [one for one in newest_first if one.number < (current.number if current is not None else 0)]
    return next((one for one in below if meaningful_hash(one.template) != live_hash), None)


def _ready(pods: Sequence[Json]) -> int:
    return sum((condition(pod, "Ready") or {}).get("status") == "True" for pod in pods)
