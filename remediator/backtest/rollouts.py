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
HAD_BEGUN = "whether a rollout of that minute had begun"
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
    is_running = len(present) > 1
    started = _started(seen.value, first, is_observed, facts.step_seconds)
    completed = None if is_running else _completed(current, every, first, now.timestamp())
    rollout = PastRollout(meaningful_hash(template), instant(started), instant(first), completed)
    is_coming = now.timestamp() < seen.since  # it begins within this step: before the alert or after it
    former = _former(current, every, first)
    is_restart_like = former is not None and not _differ(current, former, facts)
    is_open = not is_observed and now.timestamp() - first < LONGEST_WINDOW.total_seconds()
    needs = [
        text
        for text, applies in (
            (RESTART_OR_RELEASE, is_restart_like),
            (STILL_RUNNING, is_running),
            (BEFORE_HISTORY, is_open),
            (HAD_BEGUN, is_coming),
        )
        if applies
    ]
    if_holds, if_fails = is_restart_like or is_coming, is_running or is_open or is_coming
    doubt = Unsure("; ".join(needs), if_holds, if_fails) if needs else None
    return Sets(objects, template, rollout, doubt)


def _first(series: Series, seen: Seen, facts: Facts) -> tuple[float, bool]:
    """The first sample with replicas, and whether history shows that it had none before: over a time at which
    kube-state-metrics told nothing it is taken to have gone on."""
    firsts = [span.first for span in series.spans if span.first <= seen.since]
    for first in reversed(firsts):
        if facts.is_alive("replicasets", instant(first - facts.step_seconds)):
            return first, True
    return firsts[0], False


def _started(created: float, first: float, is_observed: bool, step: float) -> float:
    """It began no earlier than this: when the ReplicaSet was created, if that lies right before its first sample or
    nothing was told before, else (it was used again) a step before."""
    is_new = first - step < created <= first
    return min(created if is_new or not is_observed else first - step, first)


def _completed(current: Series, every: Sequence[Series], first: float, now: float) -> datetime | None:
    """When another ReplicaSet had replicas last since then; None: none had."""
    others = [span.last for one in every if one is not current for span in one.spans if first <= span.last <= now]
    return instant(max(others)) if others else None


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
