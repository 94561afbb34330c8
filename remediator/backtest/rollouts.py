"""When the present rollout of a Deployment began, as the ReplicaSets that had replicas tell. Pure; `scene.py` asks.

What the deployment watch sees in the cluster is read here from kube-state-metrics: a ReplicaSet that begins to have
replicas is a rollout, or a rollback to it. A metric does not show pod templates; only images tell a new release from a
restart, and where they are the same nobody knows which of the two it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from remediator.backtest.cluster import plain, uid_of
from remediator.backtest.facts import Facts, Seen
from remediator.backtest.history import Series, instant
from remediator.backtest.rows import Unsure
from remediator.clock import rfc3339
from remediator.kube.rollout import meaningful_hash
from remediator.model import Json, Target

LONGEST_WINDOW = timedelta(days=1)
"""The most that a rule can ask for with `deployed_within`."""

NO_SETS = Unsure("when it was last deployed (ReplicaSets with replicas)")
NO_REVISIONS = Unsure("when it was last deployed (ControllerRevisions)")
RESTART_OR_RELEASE = "whether a rollout changed more than a restart does (pod templates)"
STILL_RUNNING = "whether the rollout was still running"
BEFORE_HISTORY = "when it was last deployed (history begins too late)"


@dataclass(frozen=True, slots=True)
class PastRollout:
    """As the deployment watch would have it (`kube.rollout.SeenRollout`)."""

    template_hash: str
    started_at: datetime
    first_seen_at: datetime
    completed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Sets:
    """The ReplicaSets of a Deployment that had replicas then, the present one first, and the rollout to it. `doubt`:
    what is not sure of how long ago that was, None: nothing."""

    objects: Sequence[Json]
    template: Json
    rollout: PastRollout | None
    doubt: Unsure | None


def template_of(replica_set: str) -> Json:
    """In place of a pod template: what makes the templates of two ReplicaSets differ."""
    return {"spec": {"hostname": replica_set}}


def sets_of(target: Target, facts: Facts, now: datetime) -> Sets:
    every = facts.sets_of(target.namespace, target.name)
    present = [(series, seen) for series in every if (seen := facts.at(series, now)) is not None]
    if not present:
        return Sets((), {"spec": {}}, None, NO_SETS)
    present.sort(key=lambda pair: (pair[1].since, pair[1].value), reverse=True)
    current, seen = present[0]
    template = template_of(current.labels["replicaset"])
    objects = [_object(series, one, target) for series, one in present]
    first, is_observed = _first(current, seen, facts)
    rollout = _rollout(current, seen, every, first, is_observed, facts.step_seconds, meaningful_hash(template))
    is_running = len(present) > 1
    former = _former(current, every, first)
    is_restart_like = former is not None and not _differ(current, former, facts)
    is_open = not is_observed and now.timestamp() - first < LONGEST_WINDOW.total_seconds()
    needs = [
        text
        for text, applies in (
            (RESTART_OR_RELEASE, is_restart_like),
            (STILL_RUNNING, is_running),
            (BEFORE_HISTORY, is_open),
        )
        if applies
    ]
    doubt = Unsure("; ".join(needs), is_restart_like, is_running or is_open) if needs else None
    return Sets(objects, template, rollout, doubt)


def _first(series: Series, seen: Seen, facts: Facts) -> tuple[float, bool]:
    """The first sample with replicas, and whether history shows that it had none before: over a time at which
    kube-state-metrics told nothing it is taken to have gone on."""
    firsts = [span.first for span in series.spans if span.first <= seen.since]
    for first in reversed(firsts):
        if facts.is_alive("replicasets", instant(first - facts.step_seconds)):
            return first, True
    return firsts[0], False


def _rollout(
    current: Series,
    seen: Seen,
    every: Sequence[Series],
    first: float,
    is_observed: bool,
    step: float,
    template_hash: str,
) -> PastRollout:
    """It began when the ReplicaSet was created, if that lies before its first sample, else (it was used again) within
    the step before. It was complete when no other one had replicas any more."""
    created = seen.value
    is_new = first - step < created <= first
    started = created if is_new or not is_observed else first - step
    others = [
        span.last for one in every if one is not current for span in one.spans if first <= span.last <= seen.until
    ]
    completed = instant(max(others)) if others else None
    return PastRollout(template_hash, instant(min(started, first)), instant(first), completed)


def _former(current: Series, every: Sequence[Series], first: float) -> Series | None:
    """The one that had replicas until then; None: the Deployment is new."""
    before = [one for one in every if one is not current and one.spans[0].first < first]
    return max(before, key=lambda one: max(span.last for span in one.spans if span.first < first), default=None)


def _differ(one: Series, other: Series, facts: Facts) -> bool:
    ours, theirs = (
        facts.values("releases", (each.labels["namespace"], each.labels["replicaset"]), "image")
        for each in (one, other)
    )
    return bool(ours and theirs and ours != theirs)


def _object(series: Series, seen: Seen, target: Target) -> Json:
    name = series.labels["replicaset"]
    found = plain("ReplicaSet", target.namespace, name)
    found["metadata"] |= {
        "creationTimestamp": rfc3339(instant(int(seen.value))),
        "ownerReferences": [
            {"kind": "Deployment", "name": target.name, "uid": uid_of("Deployment", target.namespace, target.name)}
            | {"controller": True, "apiVersion": "apps/v1"}
        ],
    }
    found["spec"]["template"] = template_of(name)
    return found
