"""Where a restart must not be tried; the first that stands in the way names the refusal. Pure.

Cheap and strict first. A rolling restart asks no disruption budget, so what it may take away at once is counted here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta

from pydantic import BaseModel, ConfigDict

from remediator.actions.base import Case, NoPlan
from remediator.actions.preconditions import (
    no_controller,
    no_gitops,
    no_quota_failure,
    no_rollout,
    no_unschedulable_pod,
    not_being_deleted,
    not_from_zero,
    not_opted_out,
    not_paused,
    rolled_out_kind,
    wanted_pods,
)
from remediator.clock import rfc3339
from remediator.kube.ownership import KEEP_A_RESTART, gitops_owner
from remediator.kube.pods import failure_of, is_living, name_of
from remediator.kube.restarts import DEFAULT_HISTORY_LIMIT, releases_of, restarts_of
from remediator.model import Json
from remediator.reasons import Reason

NOT_AGAIN_WITHIN = timedelta(hours=1)
MAX_PER_DAY = 3
"""Whoever restarted it: what did not help lately is no answer to the same trouble, and each takes a place in the
history."""

HUNDRED = 100


class Parameters(BaseModel):
    """None: how often and where a restart may be tried is fixed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def rolling(case: Case) -> NoPlan | None:
    """The controller replaces all pods itself, some at a time."""
    spec, kind = case.workload.object["spec"], case.target.kind
    chosen = spec.get("strategy" if kind == "Deployment" else "updateStrategy") or {}
    name = chosen.get("type", "RollingUpdate")
    partition = (chosen.get("rollingUpdate") or {}).get("partition") or 0
    if name == "RollingUpdate" and not partition:
        return None
    what = f"partition {partition}: pods below it stay" if partition else f"strategy {name}"
    why = ": all its pods would be away at once" if name == "Recreate" else ""
    advice = "" if kind == "Deployment" else "delete its pods one by one, each after the one before is ready again"
    return NoPlan(Reason.UNSUPPORTED_STRATEGY, what + why, advice=advice)


def no_gitops_revert(case: Case) -> NoPlan | None:
    """No GitOps controller would take the annotation off again. Argo CD and a Flux Kustomization leave it."""
    owner = gitops_owner({"kind": case.target.kind, **case.workload.object})
    if owner is not None and owner.startswith(KEEP_A_RESTART):
        return None
    return no_gitops(case, field="template", what="the pod template")


def no_crash_loop(case: Case) -> NoPlan | None:
    """Its containers start and stay up: a new pod of the same template would fail as these do."""
    for pod in case.workload.pods:
        if is_living(pod) and (failure := failure_of(pod, case.now)) is not None:
            detail = f"{name_of(pod)}: {failure}; a restart never mends that, and takes the evidence away"
            return NoPlan(Reason.CRASH_LOOP, detail)
    return None


def some_pod_stays(case: Case) -> NoPlan | None:
    """The rolling update leaves at least one pod at any time."""
    wanted = wanted_pods(case)
    away = max_away(case.workload.object, case.target.kind, wanted)
    if not wanted or wanted > away:
        return None
    detail = f"{wanted} pods, of which the update may take {away} away at once: none would be left"
    return NoPlan(Reason.NO_SPARE_POD, detail, advice="allow a surge, or run more replicas")


def not_lately(case: Case) -> NoPlan | None:
    """Nobody restarted it within the hour, nor three times within the day."""
    done = restarts_of(case.workload)
    today = [at for at in done if case.now - at < timedelta(days=1)]
    if done and case.now - done[0] < NOT_AGAIN_WITHIN:
        detail = f"{case.target} was restarted at {rfc3339(done[0])} already, and the alert came all the same"
        return NoPlan(Reason.RESTARTED_LATELY, detail, is_escalation=True)
    if len(today) >= MAX_PER_DAY:
        detail = f"{case.target} was restarted {len(today)} times within a day, at most {MAX_PER_DAY} are tried"
        return NoPlan(Reason.RESTARTED_LATELY, detail, is_escalation=True)
    return None


def history_stays(case: Case) -> NoPlan | None:
    """A release that could be rolled back to stays in the history.

    Where there is none already, as after a first deploy, a restart takes nothing away.
    """
    releases = releases_of(case.workload)
    if releases is None:
        return NoPlan(Reason.FACT_MISSING, "not permitted to list controllerrevisions: the history is not known")
    if releases.after_restart >= min(releases.now, 2):
        return None
    limit = case.workload.object["spec"].get("revisionHistoryLimit", DEFAULT_HISTORY_LIMIT)
    return NoPlan(
        Reason.HISTORY_WOULD_BE_LOST,
        f"the restart's own revision would push the last other release out of the history (revisionHistoryLimit "
        f"{limit}): nothing would be left to roll back to",
        advice="raise revisionHistoryLimit, or deploy the same release again",
    )


PRECONDITIONS: tuple[Callable[[Case], NoPlan | None], ...] = (
    lambda case: rolled_out_kind(case, "restart"),
    not_being_deleted,
    lambda case: not_opted_out(case, "restart"),
    not_paused,
    no_controller,
    no_gitops_revert,
    rolling,
    not_from_zero,
    no_crash_loop,
    no_rollout,
    no_quota_failure,
    no_unschedulable_pod,
    some_pod_stays,
    not_lately,
    history_stays,
)


def first_refusal(case: Case) -> NoPlan | None:
    """The first that stands in the way."""
    return next((refusal for asked in PRECONDITIONS if (refusal := asked(case)) is not None), None)


def max_away(item: Json, kind: str, wanted: int) -> int:
    """How many pods a rolling update may take away before others are ready, as each controller computes it.

    Sources: kubernetes `pkg/controller/deployment/util` (`ResolveFenceposts`), `pkg/controller/statefulset`
    (`getStatefulSetMaxUnavailable`), `pkg/controller/daemon/util` (`UnavailableCount`).
    """
    field = "strategy" if kind == "Deployment" else "updateStrategy"
    rolling_update = (item["spec"].get(field) or {}).get("rollingUpdate") or {}
    if kind == "Deployment":
        surge = _share(rolling_update.get("maxSurge", "25%"), wanted, math.ceil)
        away = _share(rolling_update.get("maxUnavailable", "25%"), wanted, math.floor)
        return 1 if surge == 0 and away == 0 else min(away, wanted)
    away = _share(rolling_update.get("maxUnavailable", 1), wanted, math.ceil)
    if kind == "StatefulSet":
        return max(1, away)
    return min(away, wanted)


def _share(value: Json, total: int, rounded: Callable[[float], int]) -> int:
    return value if isinstance(value, int) else rounded(int(str(value).rstrip("%")) * total / HUNDRED)
