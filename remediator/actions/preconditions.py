"""What actions that change a workload ask first: who else decides on it, is it changing, did its owner say no. Pure.

Each returns the refusal, or None where it does not stand in the way. Actions put them into their own order.
"""

from __future__ import annotations

from remediator.actions.base import Case, NoPlan
from remediator.clock import rfc3339
from remediator.kube.base import controller_of
from remediator.kube.ownership import gitops_owner, wishes_of
from remediator.kube.rollout import condition, is_observed, rollout_times
from remediator.model import Mode
from remediator.reasons import Reason


def not_being_deleted(case: Case) -> NoPlan | None:
    """The object is there to stay."""
    if case.workload.object["metadata"].get("deletionTimestamp"):
        return NoPlan(Reason.BEING_DELETED, f"{case.target} is being deleted")
    return None


def not_paused(case: Case) -> NoPlan | None:
    """Nobody paused the Deployment: its controller would not roll out what we change."""
    if not case.workload.object["spec"].get("paused"):
        return None
    return NoPlan(
        Reason.PAUSED,
        f"{case.target} is paused",
        advice=f"kubectl -n {case.target.namespace} rollout resume deployment/{case.target.name}",
    )


def no_controller(case: Case) -> NoPlan | None:
    """No operator owns the workload."""
    owner = controller_of(case.workload.object)
    if owner is None:
        return None
    return NoPlan(
        Reason.OWNED_BY_CONTROLLER,
        f"{owner['kind']} {owner['name']} owns it and would undo the change",
        advice=f"change {owner['kind']} {owner['name']} instead",
    )


def no_gitops(case: Case, *, field: str, what: str) -> NoPlan | None:
    """No GitOps controller would revert a change of this field of `spec`; `what` is its name for people."""
    owner = gitops_owner({"kind": case.target.kind, **case.workload.object}, field=field)
    if owner is None:
        return None
    return NoPlan(
        Reason.OWNED_BY_GITOPS,
        f"{owner} would undo the change",
        advice=f"git revert the change of {what} in the source of {owner}"
        if field == "template"
        else f"change {what} in the source of {owner}",
    )


def not_opted_out(case: Case, action: str) -> NoPlan | None:
    """Neither the workload nor its namespace forbids this action."""
    if case.workload.namespace is None:
        return NoPlan(Reason.FACT_MISSING, "whether the namespace opts out is not known: not permitted to read it")
    for what, item in (("the workload", case.workload.object), ("the namespace", case.workload.namespace)):
        wishes = wishes_of(item)
        if wishes.mode is Mode.OFF:
            return NoPlan(Reason.OPTED_OUT, f"{what} says remediator.io/mode: off")
        if wishes.actions is not None and action not in wishes.actions:
            allowed = ", ".join(sorted(wishes.actions)) or "nothing"
            return NoPlan(Reason.OPTED_OUT, f"{what} allows only: {allowed}")
        if wishes.pause_until is not None and wishes.pause_until > case.now:
            return NoPlan(Reason.OPTED_OUT, f"{what} is paused until {rfc3339(wishes.pause_until)}")
    return None


def not_from_zero(case: Case) -> NoPlan | None:
    """Somebody wants none of it to run; an autoscaler, too, is off then."""
    if case.workload.object["spec"].get("replicas", wanted_pods(case)) > 0:
        return None
    what = "is wanted on no node" if case.target.kind == "DaemonSet" else "is scaled to 0, which is someone's decision"
    return NoPlan(Reason.SCALED_TO_ZERO, f"{case.target} {what}")


def no_rollout(case: Case) -> NoPlan | None:
    """All its pods are of the present template, and the controller is not about to change that."""
    item = case.workload.object
    spec, status = item["spec"], item.get("status") or {}
    total, updated = status.get("replicas") or 0, status.get("updatedReplicas") or 0
    detail = ""
    if not is_observed(item):
        detail = "its controller has not observed the present spec"
    elif case.target.kind == "Deployment":
        if total > updated:
            detail = f"{total - updated} pods are of a former revision"
        elif rollout_times(item, case.workload.replica_sets).is_running:
            detail = "the rollout is not complete"
        elif (condition(item, "Progressing") or {}).get("reason") == "ProgressDeadlineExceeded":
            detail = "the rollout exceeded its progress deadline"
    elif case.target.kind == "DaemonSet":
        wanted, on_new = status.get("desiredNumberScheduled") or 0, status.get("updatedNumberScheduled") or 0
        if on_new < wanted:
            detail = f"{on_new} of {wanted} pods are of the new revision"
    elif status.get("currentRevision") != status.get("updateRevision"):
        detail = f"{updated} of {spec.get('replicas', 1)} pods are of the new revision"
    if not detail:
        return None
    return NoPlan(Reason.ROLLOUT_RUNNING, f"a rollout of {case.target} is in progress: {detail}")


def no_quota_failure(case: Case) -> NoPlan | None:
    """No pod of it is missing because it may not be created."""
    failure = condition(case.workload.object, "ReplicaFailure") or {}
    said = [failure.get("message") or "the controller cannot create pods"] if failure.get("status") == "True" else []
    said += [finding.summary for finding in case.findings if finding.kind == "quota-exceeded"]
    if not said:
        return None
    return NoPlan(Reason.NO_ROOM, f"pods cannot be created now: {said[0]}", is_escalation=True)


def no_unschedulable_pod(case: Case) -> NoPlan | None:
    """Every pod of it has a place."""
    for pod in case.workload.pods:
        scheduled = condition(pod, "PodScheduled") or {}
        if scheduled.get("status") == "False" and not pod["metadata"].get("deletionTimestamp"):
            why = scheduled.get("message") or scheduled.get("reason") or "no reason given"
            detail = f"{pod['metadata']['name']} has no place already: {why}"
            return NoPlan(Reason.PODS_UNSCHEDULABLE, detail, is_escalation=True)
    return None


ROLLED_OUT_KINDS = ("Deployment", "StatefulSet", "DaemonSet")


def rolled_out_kind(case: Case, action: str) -> NoPlan | None:
    """A kind whose pods are made from one template and replaced when they go."""
    if case.target.kind in ROLLED_OUT_KINDS:
        return None
    allowed = ", ".join(f"{kind}s" for kind in ROLLED_OUT_KINDS)
    return NoPlan(Reason.TARGET_UNSUPPORTED, f"{action} acts on {allowed}, not on {case.target.kind}")


def wanted_pods(case: Case) -> int:
    """How many pods its owner wants: a number, or one for each node that fits."""
    item = case.workload.object
    if case.target.kind == "DaemonSet":
        return int((item.get("status") or {}).get("desiredNumberScheduled") or 0)
    return int(item["spec"].get("replicas", 1))
