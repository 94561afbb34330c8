"""What one look shows of a Deployment: raw JSON -> `Picture`. Pure; called by `watcher.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from remediator.kube.base import instant_of
from remediator.kube.ownership import template_writer
from remediator.kube.rollout import (
    condition,
    current_replica_set,
    is_observed,
    meaningful_hash,
    revision_of,
    rollout_status,
    rollout_times,
)
from remediator.model import Json, Target

NOT_AS_SPECIFIED = (LookupError, TypeError, ValueError, AttributeError)
"""What reading an object raises in which something is missing, or of another type, that the API server always gives."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One Deployment as read.

    `is_complete` is kubectl's rule, `is_available` that with at least one replica: all of them are of this template.
    `completed_at` is the API's word for when the last rollout ended; None: it did not, or the API does not say.
    `revision` is None until the present spec is observed.
    """

    target: Target
    template_hash: str
    revision: int | None
    images: Mapping[str, str]
    created_at: datetime
    deployed_by: str | None
    is_complete: bool
    is_available: bool
    completed_at: datetime | None


def picture_of(deployment: Json, *, cluster: str, template_hash: str | None = None) -> Picture:
    """`template_hash` as computed before for this uid and generation, which saves most of the work. Raises one of
    NOT_AS_SPECIFIED for an object that is not as the API has them."""
    metadata, spec = deployment["metadata"], deployment["spec"]
    status = rollout_status(deployment)
    progressing = condition(deployment, "Progressing") or {}
    is_done = progressing.get("reason") == "NewReplicaSetAvailable"
    created_at = instant_of(metadata["creationTimestamp"])
    if created_at is None:
        raise ValueError("it does not say when it was created")
    return Picture(
        target=Target(cluster, "Deployment", metadata["namespace"], metadata["name"], metadata["uid"]),
        template_hash=template_hash or meaningful_hash(spec["template"]),
        revision=revision_of(deployment) or None if is_observed(deployment) else None,
        images={item["name"]: str(item.get("image")) for item in spec["template"]["spec"].get("containers") or ()},
        created_at=created_at,
        deployed_by=template_writer(deployment),
        is_complete=status.is_complete,
        is_available=status.is_complete and spec.get("replicas", 1) > 0,
        completed_at=instant_of(progressing.get("lastUpdateTime")) if is_done else None,
    )


@dataclass(frozen=True, slots=True)
class History:
    """What the ReplicaSets of a Deployment tell about its releases.

    `started_at` is the lower bound of the present rollout's start, None while the present spec is not observed (then
    `revision` is None too). `hashes` is revision -> meaningful hash of all that are kept.
    """

    started_at: datetime | None
    revision: int | None
    hashes: Mapping[int, str]


NO_HISTORY = History(None, None, {})
"""Of a Deployment whose ReplicaSets were not looked at."""


def history_of(deployment: Json, owned: Sequence[Json]) -> History:
    """`owned` are its ReplicaSets, by owner reference. Raises as `picture_of`."""
    current = current_replica_set(deployment, owned)
    return History(
        started_at=rollout_times(deployment, owned).started_at,
        revision=revision_of(current) if current is not None else None,
        hashes={number: meaningful_hash(rs["spec"]["template"]) for rs in owned if (number := revision_of(rs))},
    )
