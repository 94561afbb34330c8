"""What the deployment watch asks of the store: the protocol `RolloutStore` and its values.

Apart from `Store`: the way of an alert needs none of it. `store/rollouts.py` implements it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from remediator.errors import TransientError
from remediator.model import IncidentId, Target
from remediator.store.base import Record, TemplateEvent


class RolloutState(StrEnum):
    """`watched` lasts until it is stable; whether the two hours are over, `watched_until` says."""

    ROLLING_OUT = "rolling-out"
    WATCHED = "watched"
    STABLE = "stable"
    INCIDENT = "incident"
    REPLACED = "replaced"


@dataclass(frozen=True, slots=True)
class Rollout:
    """One release of one Deployment, from the first time it was seen until another one took its place.

    `id` is None until it is kept. `started_at` is never later than the truth; `is_exact`: we saw the change happen, so
    it is off by no more than the pause between two looks. `template_hash` is the meaningful one. `images` is container
    name -> image. `available_since` is the begin of the present unbroken run of full availability that we saw.
    `baseline` is measure -> value of the time before the rollout, a value of None is unknown; the whole is None while
    it has not been taken. `ended_at` is when it was seen replaced or gone.
    """

    id: int | None
    target: Target
    template_hash: str
    revision: int | None
    images: Mapping[str, str]
    started_at: datetime
    is_exact: bool
    first_seen_at: datetime
    completed_at: datetime | None
    watched_until: datetime
    deployed_by: str | None
    state: RolloutState
    available_since: datetime | None = None
    proven_good_at: datetime | None = None
    stable_at: datetime | None = None
    incident_id: IncidentId | None = None
    baseline: Mapping[str, float | None] | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What earlier looks at a cluster left: its present rollouts and when the last look was (None: never).

    `incidents` is rollout id -> the first incident of its target with an alert that began after it had started, for
    those that are not stable yet.
    """

    rollouts: Sequence[Rollout]
    incidents: Mapping[int, IncidentId]
    looked_at: datetime | None


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at a cluster changed; kept in one transaction. `ledger` lines are written once for each target,
    template and event, however often they are given. `at` is the time of its records; `began_at` is when it began to
    read: what is not in it may have changed since then; `after` is when the look was whose memory it goes on from."""

    cluster: str
    at: datetime
    began_at: datetime
    after: datetime | None = None
    changes: Sequence[Rollout] = field(default_factory=tuple)
    ledger: Sequence[tuple[Target, TemplateEvent]] = field(default_factory=tuple)
    records: Sequence[Record] = field(default_factory=tuple)


class Overtaken(TransientError):
    """Another replica has looked meanwhile: what was read before is of no use any more."""


class RolloutStore(Protocol):
    """The memory of the deployment watch. Every method raises StoreUnavailable when the database cannot answer."""

    async def known(self, cluster: str) -> Known: ...

    async def keep(self, look: Look) -> None:
        """Insert what has no id, update the rest, remember when the look was, forget what ended long ago.

        Raises Overtaken, and keeps nothing, when another look was kept since the one that it goes on from.
        """

    async def set_baseline(self, rollout_id: int, baseline: Mapping[str, float | None]) -> None: ...

    async def present(self, *, limit: int, watched_at: datetime | None = None) -> Sequence[Rollout]:
        """Rollouts that are not replaced, newest start first; with `watched_at` those whose watch lasts longer."""

    async def history(self, namespace: str, name: str, *, limit: int) -> Sequence[Rollout]:
        """All rollouts of the Deployments of that name, newest first."""

    async def present_of(self, target: Target) -> Rollout | None:
        """The present rollout of the object with the target's uid, as `kube.workload.Workload` takes it; None: the
        watch does not know it, so that the API alone can tell how long ago it was deployed."""
