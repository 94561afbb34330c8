"""What a look means: the rollout as known + the picture + the time -> what changed. Pure; called by `watcher.py`.

A time in which nobody looked is unknown: it is no availability, and a change that happened in it has no exact start.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from remediator.actions.rollback.preconditions import SEEN_GOOD
from remediator.model import IncidentId
from remediator.store.base import TemplateEvent
from remediator.store.rollouts_base import Rollout, RolloutState
from remediator.watch.picture import Picture

WATCH_FOR = timedelta(hours=2)
"""After its completion a rollout is watched this long: DESIGN 1."""

STABLE_AFTER = timedelta(hours=24)
"""Without an incident from its start until this long after its completion, a rollout is stable."""

MIN_GOOD = timedelta(minutes=10)
"""Full availability without a break that proves a template good: `min_good` of rollback's precondition 10."""


@dataclass(frozen=True, slots=True)
class Glance:
    """The circumstances of one look. `since` is when the look before it was, None where that is so long ago (or never)
    that what happened in between is unknown."""

    now: datetime
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Step:
    """`changes` are rollouts to keep, those without an id are new; `ledger` is a line for the known rollout."""

    changes: tuple[Rollout, ...] = ()
    ledger: TemplateEvent | None = None


def is_new(known: Rollout | None, picture: Picture) -> bool:
    """Whether the picture shows another release than the known one, or another object under its name."""
    return known is None or (known.target.uid, known.template_hash) != (picture.target.uid, picture.template_hash)


def gone(known: Rollout, glance: Glance) -> Step:
    """The Deployment is not there any more."""
    return Step((_ended(known, glance),))


def begin(known: Rollout | None, picture: Picture, glance: Glance, *, started_at: datetime | None) -> Step:
    """A new release, in place of the known one; `started_at` is the API's lower bound, None: not observed yet.

    The bound is exact enough when the look before still showed something else, or nothing because the object is
    younger. Without that, a rollout whose bound is unknown is left for the next look.
    """
    ended = () if known is None else (_ended(known, glance),)
    was_seen = glance.since is not None and (known is not None or picture.created_at >= glance.since)
    bounds = [at for at in (started_at, glance.since if was_seen else None) if at is not None]
    if not bounds:
        return Step(ended)
    start = min(max(bounds), glance.now)
    fresh = Rollout(
        id=None,
        target=picture.target,
        template_hash=picture.template_hash,
        revision=picture.revision,
        images=picture.images,
        started_at=start,
        is_exact=was_seen,
        first_seen_at=glance.now,
        completed_at=None,
        watched_until=start + WATCH_FOR,
        deployed_by=picture.deployed_by,
        state=RolloutState.ROLLING_OUT,
    )
    return Step((*ended, _followed(fresh, picture, glance)))


def follow(known: Rollout, picture: Picture, glance: Glance, *, incident: IncidentId | None) -> Step:
    """The same release as before. `incident` is the first of its target that opened after it had started."""
    now = _judged(_followed(known, picture, glance), picture, glance, incident)
    proves = now.proven_good_at is not None and known.proven_good_at is None
    ledger = TemplateEvent(known.target.uid, known.template_hash, SEEN_GOOD, glance.now) if proves else None
    return Step((now,) if now != known else (), ledger)


def _followed(known: Rollout, picture: Picture, glance: Glance) -> Rollout:
    """What the picture itself shows: availability and completion."""
    available_since = None
    if picture.is_available:
        goes_on = glance.since is not None and known.available_since is not None
        available_since = known.available_since if goes_on else glance.now
    proven_good_at = known.proven_good_at
    if proven_good_at is None and available_since is not None and glance.now - available_since >= MIN_GOOD:
        proven_good_at = glance.now
    completed_at, watched_until = known.completed_at, known.watched_until
    if completed_at is None and picture.is_complete:
        said = picture.completed_at
        completed_at = said if said is not None and known.started_at <= said <= glance.now else glance.now
        watched_until = completed_at + WATCH_FOR
    is_over = completed_at is not None and known.state is RolloutState.ROLLING_OUT
    return replace(
        known,
        revision=picture.revision or known.revision,
        deployed_by=picture.deployed_by or known.deployed_by,
        available_since=available_since,
        proven_good_at=proven_good_at,
        completed_at=completed_at,
        watched_until=watched_until,
        state=RolloutState.WATCHED if is_over else known.state,
    )


def _judged(known: Rollout, picture: Picture, glance: Glance, incident: IncidentId | None) -> Rollout:
    """Whether it is stable now. An incident before that speaks against it for good; one after it is another story."""
    if known.stable_at is not None or known.incident_id is not None:
        return known
    if incident is not None:
        return replace(known, incident_id=incident, state=RolloutState.INCIDENT)
    if known.completed_at is None or not picture.is_complete or glance.now - known.completed_at < STABLE_AFTER:
        return known
    return replace(known, stable_at=glance.now, state=RolloutState.STABLE)


def _ended(known: Rollout, glance: Glance) -> Rollout:
    return replace(known, state=RolloutState.REPLACED, available_since=None, ended_at=glance.now)
