"""Which revision a Deployment is at and which one a rollback would restore. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from remediator.kube.rollout import (
    RolloutTimes,
    current_replica_set,
    is_observed,
    meaningful_hash,
    revision_of,
    rollout_times,
)
from remediator.kube.workload import Workload
from remediator.model import Json


@dataclass(frozen=True, slots=True)
class Revisions:
    """`current` is the ReplicaSet of the live template (None: not observed yet), `previous` the newest one below it
    whose meaningful template differs (None: there is none). `history` is newest first, unparsable ones left out."""

    is_observed: bool
    current: Json | None
    current_number: int
    previous: Json | None
    previous_number: int
    history: Sequence[Json]
    times: RolloutTimes


def read_revisions(workload: Workload) -> Revisions:
    """kubectl's reading of the history, but by meaningful template instead of by number alone."""
    deployment = workload.object
    numbered = [(number, rs) for rs in workload.replica_sets if (number := revision_of(rs)) is not None]
    numbered.sort(key=lambda pair: pair[0], reverse=True)
    current = current_replica_set(deployment, workload.replica_sets)
    current_number = (revision_of(current) or 0) if current is not None else 0
    live_hash = meaningful_hash(deployment["spec"]["template"])
    older = [
        (number, rs)
        for number, rs in numbered
        if number < current_number and meaningful_hash(rs["spec"]["template"]) != live_hash
    ]
    previous_number, previous = older[0] if older else (0, None)
    is_newest = bool(numbered) and current is not None and current_number == numbered[0][0]
    return Revisions(
        is_observed=is_observed(deployment) and is_newest and revision_of(deployment) == current_number,
        current=current,
        current_number=current_number,
        previous=previous,
        previous_number=previous_number,
        history=tuple(rs for _, rs in numbered),
        times=rollout_times(deployment, workload.replica_sets),
    )
