"""`do: scale`: one step more replicas, for a time, where nobody else decides on their number and there is room.

By the scale subresource, whose patch tests the old number. Where a HorizontalPodAutoscaler owns the replicas they are
never touched: at its limit its bound is recommended or, by the rule's choice, raised. It is undone when the new pods
cannot be created or placed, and given back once it helped and its time is over.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from pydantic import BaseModel

from remediator.actions.base import Case, NoPlan, Permission
from remediator.actions.preconditions import no_gitops
from remediator.actions.scale.autoscaler import autoscaler_of, kubectl, raise_of, recommended
from remediator.actions.scale.parameters import Parameters
from remediator.actions.scale.patch import bound_step, scale_step
from remediator.actions.scale.preconditions import first_refusal
from remediator.actions.scale.size import Size, next_size
from remediator.kube.permissions import to
from remediator.kube.rollout import meaningful_hash
from remediator.model import Json, Plan, Proof, Step

HELD = "scale-held"
"""The check that always watches a scale: somebody may set it back at once, and pods may not be let in."""


class Scale:
    name = "scale"
    parameters = Parameters
    permissions = (
        Permission("apps", "deployments/scale", ("patch",)),
        Permission("apps", "statefulsets/scale", ("patch",)),
        Permission("autoscaling", "horizontalpodautoscalers", ("patch",)),
    )

    def needs(self, parameters: BaseModel, kinds: Collection[str]) -> tuple[Permission, ...]:
        """By the kinds that the rule names; the autoscaler only where the rule lets its bound be raised."""
        assert isinstance(parameters, Parameters)
        found = [kind for kind in parameters.kinds if kind in kinds]
        scaled = [one for kind in found for one in (to(kind, "patch", subresource="scale"), to(kind, "get"))]
        raised = (to("HorizontalPodAutoscaler", "get", "patch"),) if parameters.hpa == "raise" else ()
        return (*scaled, *raised)

    def plan(self, case: Case, parameters: BaseModel) -> Plan | NoPlan:
        """One step up, of the workload or of its autoscaler's bound; or the first reason against it."""
        assert isinstance(parameters, Parameters)
        if (refusal := first_refusal(case, parameters)) is not None:
            return refusal
        autoscaler = autoscaler_of(case)
        if isinstance(autoscaler, NoPlan):
            return autoscaler
        if autoscaler is not None:
            return _raised(case, autoscaler, parameters)
        return _scaled(case, parameters)


def _scaled(case: Case, parameters: Parameters) -> Plan | NoPlan:
    if (refusal := no_gitops(case, field="replicas", what="replicas")) is not None:
        return refusal
    item, target = case.workload.object, case.target
    current = item["spec"].get("replicas", 1)
    size = next_size(current, step=parameters.step, cap=parameters.max_replicas, workload=item, findings=case.findings)
    if isinstance(size, NoPlan):
        return size
    command = (
        f"kubectl -n {target.namespace} scale {target.kind.lower()}/{target.name} "
        f"--current-replicas={current} --replicas={size.replicas}"
    )
    summary = f"scale {target} from {current} to {size.replicas} replicas"
    return _plan(case, parameters, scale_step(case, current, size.replicas), summary, size, command)


def _raised(case: Case, facts: Json, parameters: Parameters) -> Plan | NoPlan:
    found = raise_of(case, facts, parameters)
    if isinstance(found, NoPlan):
        return found
    if parameters.hpa == "recommend":
        return recommended(case, found)
    step = bound_step(
        case, found.autoscaler, found.field, found.before, found.size.replicas, is_annotated=found.is_annotated
    )
    summary = f"raise {found.field} of {found.autoscaler} from {found.before} to {found.size.replicas}: {found.why}"
    return _plan(case, parameters, step, summary, found.size, kubectl(found))


def _plan(case: Case, parameters: Parameters, step: Step, summary: str, size: Size, command: str) -> Plan:
    field = str(step.pointer[-1])
    for_a_time = f", back after {parameters.restore_after}" if parameters.restore_after is not None else ""
    return Plan(
        action=Scale.name,
        action_id=case.action_id,
        target=case.target,
        steps=(step,),
        proof=_watched(case.proof),
        generation=case.workload.object["metadata"]["generation"],
        template_hash=meaningful_hash(case.workload.template),
        summary=summary + for_a_time,
        before={field: step.before},
        after={field: step.after},
        restore_after=parameters.restore_after,
        details={"bounded_by": size.bounded_by, "kubectl": command},
    )


def _watched(proof: Proof) -> Proof:
    return proof if HELD in proof.expect else replace(proof, expect=(*proof.expect, HELD))
