"""What a look means: the rollout as known + the picture + the time -> what changed. Pure; called by `watcher.py`.

A time in which nobody looked is unknown: it is no availability, and a change that happened in it has no exact start.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from remediator.actions.rollback.preconditions import SEEN_GOOD
from remediator.kube.rollout import WATCH_FOR
from remediator.model import IncidentId
from remediator.store.base import TemplateEvent
from remediator.store.rollouts_base import Rollout, RolloutState
from remediator.watch.picture import History, Picture

STABLE_AFTER = timedelta(hours=24)
"""A rollout is stable without an incident from its start until this long after its completion (or after we first saw
it, if that was later), once it is fully available again for `MIN_GOOD`: that is also the time that alerts have to
arrive after a gap."""

MIN_GOOD = timedelta(minutes=10)
"""Full availability without a break that proves a template good: the default of rollback's `min_good`."""


@dataclass(frozen=True, slots=True)
class Glance:
    """The circumstances of one look. `now` is when it was read; `since` is when the look before it began, None where
    that is so long ago (or never, or ahead of our clock) that what happened in between is unknown."""

    now: datetime
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Step:
    """`changes` are rollouts to keep, those without an id are new; `ledger` is a line for the known rollout."""

    changes: tuple[Rollout, ...] = ()
    ledger: TemplateEvent | None = None


def glance_at(now: datetime, looked_at: datetime | None, *, max_gap: timedelta) -> Glance:
    """`looked_at` is when the look before began, None: never. One in the future means that a clock was set back."""
    is_gap = looked_at is None or not timedelta() <= now - looked_at <= max_gap
    return Glance(now=now, since=None if is_gap else looked_at)


def is_doubtful(known: Rollout | None, picture: Picture) -> bool:
    """Whether only the ReplicaSets can tell if this is another release: the template reads differently, or there were
    two revisions since, of which the first may have been another release."""
    if known is None or (known.target.uid, known.template_hash) != (picture.target.uid, picture.template_hash):
        return True
    return bool(known.revision and picture.revision and picture.revision > known.revision + 1)


def is_new(known: Rollout | None, picture: Picture, history: History) -> bool:
    """Whether the picture shows another release than the known one, or another object under its name.

    A template that reads differently at the same revision is no release: the API server or we ourselves were updated.
    The same template is one again if the revision between was another release.
    """
    if known is None or known.target.uid != picture.target.uid:
        return True
    if known.template_hash != picture.template_hash:
        return known.revision is None or history.revision != known.revision
    numbers = range((known.revision or 0) + 1, history.revision or 0) if known.revision else ()
    return any(history.hashes.get(number, picture.template_hash) != picture.template_hash for number in numbers)


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
    start = min(max(*bounds, picture.created_at), glance.now)
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
    now = _judged(_followed(known, picture, glance), glance, incident)
    is_written = known.proven_good_at is not None and known.template_hash == now.template_hash
    proves = now.proven_good_at is not None and not is_written
    ledger = TemplateEvent(now.target.uid, now.template_hash, SEEN_GOOD, glance.now) if proves else None
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
        completed_at = _completed_at(known, picture, glance)
        watched_until = completed_at + WATCH_FOR
    is_over = completed_at is not None and known.state is RolloutState.ROLLING_OUT
    return replace(
        known,
        template_hash=picture.template_hash,
        revision=picture.revision or known.revision,
        deployed_by=picture.deployed_by or known.deployed_by,
        available_since=available_since,
        proven_good_at=proven_good_at,
        completed_at=completed_at,
        watched_until=watched_until,
        state=RolloutState.WATCHED if is_over else known.state,
    )


def _completed_at(known: Rollout, picture: Picture, glance: Glance) -> datetime:
    """The API's word where it can be true. Without it the end is now if the look before still saw it run; otherwise
    it may have been at any time since the start, and an old rollout must not look recent."""
    said = picture.completed_at
    if said is not None and known.started_at <= said <= glance.now:
        return said
    saw_it_run = glance.since is not None and (known.id is not None or known.is_exact)
    return glance.now if saw_it_run else known.started_at


def _judged(known: Rollout, glance: Glance, incident: IncidentId | None) -> Rollout:
    """Whether it is stable now. An incident before that speaks against it for good; one after it is another story."""
    if known.stable_at is not None or known.incident_id is not None:
        return known
    if incident is not None:
        return replace(known, incident_id=incident, state=RolloutState.INCIDENT)
    if known.completed_at is None or glance.now - max(known.completed_at, known.first_seen_at) < STABLE_AFTER:
        return known
    if known.available_since is None or glance.now - known.available_since < MIN_GOOD:
        return known
    return replace(known, stable_at=glance.now, state=RolloutState.STABLE)


def _ended(known: Rollout, glance: Glance) -> Rollout:
    return replace(known, state=RolloutState.REPLACED, available_since=None, ended_at=glance.now)
