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
    no_quota_failure,
    no_rollout,
    no_unschedulable_pod,
    not_being_deleted,
    not_from_zero,
    not_opted_out,
    not_paused,
)
from remediator.actions.scale.parameters import Parameters
from remediator.kube.template import claim_names
from remediator.reasons import Reason


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
    lambda view: not_from_zero(view.case),
    lambda view: no_quota_failure(view.case),
    lambda view: no_unschedulable_pod(view.case),
    lambda view: no_rollout(view.case),
    not_a_single_writer,
)


def first_refusal(case: Case, parameters: Parameters) -> NoPlan | None:
    """The first that stands in the way."""
    view = View(case, parameters)
    return next((refusal for asked in PRECONDITIONS if (refusal := asked(view)) is not None), None)
