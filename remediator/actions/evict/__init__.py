"""`do: evict`: take one sick pod away, so that its controller makes another one, perhaps on a better node.

By the eviction API, which asks the disruption budgets and ends the pod with its grace period; a pod that has ended
already is deleted, since no budget counts it. Bound to the pod's uid. There is no way back, and none is needed.
"""

from __future__ import annotations

import json
from collections.abc import Collection

from pydantic import BaseModel

from remediator.actions.base import Case, NoPlan, Permission
from remediator.actions.evict.choice import Chosen, choose
from remediator.actions.evict.parameters import Parameters
from remediator.actions.evict.preconditions import pod_refusal, workload_refusal
from remediator.kube.evicting import deletion_request, eviction_request
from remediator.kube.permissions import to
from remediator.kube.pods import is_terminal, name_of, scratch_volumes
from remediator.kube.rollout import meaningful_hash
from remediator.model import Json, Plan, Request, Step, Target, ToldBy


class Evict:
    name = "evict"
    parameters = Parameters
    permissions = (
        Permission("", "pods/eviction", ("create",)),
        Permission("", "pods", ("delete",)),
    )

    def needs(self, parameters: BaseModel, kinds: Collection[str]) -> tuple[Permission, ...]:
        """Whatever its controller: a pod that has ended is deleted, and any is read back."""
        return (to("Pod", "create", subresource="eviction"), to("Pod", "get", "delete"))

    def plan(self, case: Case, parameters: BaseModel) -> Plan | NoPlan:
        """The eviction of one pod, or the first reason against it."""
        assert isinstance(parameters, Parameters)
        if (refusal := workload_refusal(case)) is not None:
            return refusal
        chosen = choose(case, parameters.which)
        if isinstance(chosen, NoPlan):
            return chosen
        if (refusal := pod_refusal(case, chosen.pod)) is not None:
            return refusal
        return _plan(case, chosen)


def _plan(case: Case, chosen: Chosen) -> Plan:
    pod, item = chosen.pod, case.workload.object
    metadata = pod["metadata"]
    touched = Target(case.target.cluster, "Pod", metadata["namespace"], metadata["name"], metadata["uid"])
    is_over = is_terminal(pod)
    request = deletion_request(touched) if is_over else eviction_request(touched)
    verb = "delete what is left of" if is_over else "evict"
    lost = scratch_volumes(pod)
    losing = f"; the content of its volume {', '.join(lost)} goes with it" if lost and not is_over else ""
    return Plan(
        action=Evict.name,
        action_id=case.action_id,
        target=case.target,
        steps=(Step(request=request, touched=touched, told_by=ToldBy.GONE),),
        proof=case.proof,
        generation=item["metadata"]["generation"],
        template_hash=meaningful_hash(case.workload.template),
        summary=f"{verb} pod {name_of(pod)} of {case.target}: {chosen.why}{losing}",
        before={"pod": name_of(pod), "uid": touched.uid},
        after={"pod": None},
        details={"why": chosen.why, "lost_volumes": lost, "kubectl": _kubectl(touched, request)},
    )


def _kubectl(pod: Target, request: Request) -> str:
    """kubectl has no word for an eviction but `drain`: `delete` would ask no disruption budget."""
    if request.method == "DELETE":
        return f"kubectl -n {pod.namespace} delete pod {pod.name}"
    body: Json = json.dumps(request.body, separators=(",", ":"))
    return f"echo '{body}' | kubectl create --raw {request.path} -f -"
