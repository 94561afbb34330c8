"""Where scaling out must not be tried: what is refused before any number is looked at. Pure.

More pods of a workload that is just changing multiply the bad ones (the deployment controller spreads them over both
ReplicaSets); more pods beside those that cannot be placed only wait with them; a single writer must stay single.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from remediator.actions.base import Case, NoPlan
from remediator.actions.preconditions import (
    no_controller,
    not_being_deleted,
    not_opted_out,
    not_paused,
)
from remediator.actions.scale.parameters import Parameters
from remediator.kube.rollout import condition, is_observed, rollout_times
from remediator.kube.template import claim_names
from remediator.model import Reason


@dataclass(frozen=True, slots=True)
class View:
    case: Case
    parameters: Parameters


def kind(view: View) -> NoPlan | None:
    """A kind that the rule names."""
    if view.case.target.kind in view.parameters.kinds:
        return None
    allowed = " and ".join(view.parameters.kinds)
    return NoPlan(Reason.TARGET_UNSUPPORTED, f"scale acts on {allowed} here, not on {view.case.target.kind}")


def not_from_zero(view: View) -> NoPlan | None:
    """Somebody wants none of it to run; an autoscaler, too, is off then."""
    if view.case.workload.object["spec"].get("replicas", 1) > 0:
        return None
    return NoPlan(Reason.SCALED_TO_ZERO, f"{view.case.target} is scaled to 0, which is someone's decision")


def no_rollout(view: View) -> NoPlan | None:
    """All its pods are of the present template, and the controller is not about to change that."""
    item = view.case.workload.object
    spec, status = item["spec"], item.get("status") or {}
    total, updated = status.get("replicas") or 0, status.get("updatedReplicas") or 0
    detail = ""
    if not is_observed(item):
        detail = "its controller has not observed the present spec"
    elif view.case.target.kind == "Deployment":
        if total > updated:
            detail = f"{total - updated} pods are of a former revision"
        elif rollout_times(item, view.case.workload.replica_sets).is_running:
            detail = "the rollout is not complete"
        elif (condition(item, "Progressing") or {}).get("reason") == "ProgressDeadlineExceeded":
            detail = "the rollout exceeded its progress deadline"
    elif status.get("currentRevision") != status.get("updateRevision"):
        detail = f"{updated} of {spec.get('replicas', 1)} pods are of the new revision"
    if not detail:
        return None
    return NoPlan(Reason.ROLLOUT_RUNNING, f"a rollout of {view.case.target} is in progress: {detail}")


def no_quota_failure(view: View) -> NoPlan | None:
    """No pod of it is missing because it may not be created."""
    failure = condition(view.case.workload.object, "ReplicaFailure") or {}
    said = [failure.get("message") or "the controller cannot create pods"] if failure.get("status") == "True" else []
    said += [finding.summary for finding in view.case.findings if finding.kind == "quota-exceeded"]
    if not said:
        return None
    return NoPlan(Reason.NO_ROOM, f"pods cannot be created now: {said[0]}", is_escalation=True)


def no_unschedulable_pod(view: View) -> NoPlan | None:
    """Every pod of it has a place."""
    for pod in view.case.workload.pods:
        scheduled = condition(pod, "PodScheduled") or {}
        if scheduled.get("status") == "False" and not pod["metadata"].get("deletionTimestamp"):
            why = scheduled.get("message") or scheduled.get("reason") or "no reason given"
            detail = f"{pod['metadata']['name']} has no place already: {why}"
            return NoPlan(Reason.PODS_UNSCHEDULABLE, detail, is_escalation=True)
    return None


def not_a_single_writer(view: View) -> NoPlan | None:
    """Nothing hints at a workload of which only one may write."""
    case = view.case
    if case.target.kind != "Deployment":
        return None
    if (case.workload.object["spec"].get("strategy") or {}).get("type") == "Recreate":
        return NoPlan(Reason.SINGLE_WRITER, "strategy Recreate: two of it may not run at once")
    claims, shared = claim_names(case.workload.template), case.workload.shared_claims
    if claims and shared is None:
        return NoPlan(Reason.FACT_MISSING, f"whether claim {min(claims)} may be written by many is not known")
    single = sorted(claims - (shared or frozenset()))
    if not single:
        return None
    return NoPlan(Reason.SINGLE_WRITER, f"claim {single[0]} is for one node only")


PRECONDITIONS: tuple[Callable[[View], NoPlan | None], ...] = (
    kind,
    lambda view: not_being_deleted(view.case),
    lambda view: not_opted_out(view.case, "scale"),
    lambda view: not_paused(view.case),
    lambda view: no_controller(view.case),
    not_from_zero,
    no_quota_failure,
    no_unschedulable_pod,
    no_rollout,
    not_a_single_writer,
)


def first_refusal(case: Case, parameters: Parameters) -> NoPlan | None:
    """The first that stands in the way."""
    view = View(case, parameters)
    return next((refusal for asked in PRECONDITIONS if (refusal := asked(view)) is not None), None)
