"""What every action that changes a workload asks first: is anybody else deciding on it, or has its owner said no. Pure.

Each returns the refusal, or None where it does not stand in the way. Actions put them into their own order.
"""

from __future__ import annotations

from remediator.actions.base import Case, NoPlan
from remediator.clock import rfc3339
from remediator.kube.base import controller_of
from remediator.kube.ownership import gitops_owner, wishes_of
from remediator.model import Mode, Reason


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
