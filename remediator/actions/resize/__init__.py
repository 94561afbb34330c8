"""`do: resize`: give one container of one pod a higher memory limit while it runs, to win time.

By the resize subresource, with a test on the limit it was decided on. Only upwards and without a restart; the template
stays as it is, so that the next pod has the old limit again, and the lasting change is advice. There is no inverse: the
kubelet lowers a memory limit with best effort only, and may never succeed.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace

from pydantic import BaseModel

from remediator.actions.base import Case, NoPlan, Permission
from remediator.actions.resize.choice import Chosen, choose
from remediator.actions.resize.parameters import Parameters
from remediator.actions.resize.preconditions import pod_refusal, workload_refusal
from remediator.actions.resize.size import Size, next_size
from remediator.kube.base import path_of
from remediator.kube.ownership import MANAGER, gitops_owner, helm_release
from remediator.kube.permissions import to
from remediator.kube.pods import name_of
from remediator.kube.quantities import binary_quantity
from remediator.kube.rollout import meaningful_hash
from remediator.model import Json, Plan, Proof, Request, Step, Target, ToldBy

RESIZED = "pod-resized"
"""The check that always watches a resize: the API server accepts what the kubelet may not be able to do."""

JSON_PATCH = "application/json-patch+json"


class Resize:
    name = "resize"
    parameters = Parameters
    permissions = (Permission("", "pods/resize", ("patch",)),)

    def needs(self, parameters: BaseModel, kinds: Collection[str]) -> tuple[Permission, ...]:
        return (to("Pod", "patch", subresource="resize"), to("Pod", "get"))

    def plan(self, case: Case, parameters: BaseModel) -> Plan | NoPlan:
        """One patch of one pod's resources, or the first reason against it."""
        assert isinstance(parameters, Parameters)
        if (refusal := workload_refusal(case)) is not None:
            return refusal
        chosen = choose(case)
        if isinstance(chosen, NoPlan):
            return chosen
        if (refusal := pod_refusal(case, chosen)) is not None:
            return refusal
        size = next_size(case, chosen, parameters)
        return size if isinstance(size, NoPlan) else _plan(case, chosen, size)


def _plan(case: Case, chosen: Chosen, size: Size) -> Plan:
    step = _step(case, chosen, size)
    pod, container = name_of(chosen.pod), chosen.container["name"]
    raised = "memory limit and request" if size.with_request else "memory limit"
    return Plan(
        action=Resize.name,
        action_id=case.action_id,
        target=case.target,
        steps=(step,),
        proof=_watched(case.proof),
        generation=case.workload.object["metadata"]["generation"],
        template_hash=meaningful_hash(case.workload.template),
        summary=f"raise the {raised} of {container} in pod {pod} of {case.target} from {step.before} to {step.after}, "
        f"at {chosen.ratio:.0%} of it; the next pod has the old one again",
        before={"pod": pod, "container": container, "memory": step.before},
        after={"pod": pod, "container": container, "memory": step.after},
        details={
            "bounded_by": size.bounded_by,
            "kubectl": _kubectl(step.touched, container, size),
            "advice": _advice(case, container, size),
        },
    )


def _step(case: Case, chosen: Chosen, size: Size) -> Step:
    metadata = chosen.pod["metadata"]
    touched = Target(case.target.cluster, "Pod", metadata["namespace"], metadata["name"], metadata["uid"])
    here = f"/spec/containers/{chosen.index}"
    resources, after = chosen.container["resources"], binary_quantity(size.bytes)
    body: list[Json] = [
        {"op": "test", "path": "/metadata/uid", "value": touched.uid},
        {"op": "test", "path": f"{here}/name", "value": chosen.container["name"]},
    ]
    for field in ("limits", "requests") if size.with_request else ("limits",):
        path = f"{here}/resources/{field}/memory"
        body += [
            {"op": "test", "path": path, "value": resources[field]["memory"]},
            {"op": "replace", "path": path, "value": after},
        ]
    path = path_of("Pod", namespace=touched.namespace, name=touched.name, subresource="resize")
    return Step(
        request=Request("PATCH", path, JSON_PATCH, body, {"fieldManager": MANAGER}),
        touched=touched,
        told_by=ToldBy.VALUE,
        pointer=("spec", "containers", chosen.index, "resources", "limits", "memory"),
        before=resources["limits"]["memory"],
        after=after,
    )


def _kubectl(pod: Target, container: str, size: Size) -> str:
    memory = {"memory": binary_quantity(size.bytes)}
    resources = {"limits": memory} | ({"requests": memory} if size.with_request else {})
    patch = json.dumps({"spec": {"containers": [{"name": container, "resources": resources}]}}, separators=(",", ":"))
    return f"kubectl -n {pod.namespace} patch pod {pod.name} --subresource=resize -p '{patch}'"


def _advice(case: Case, container: str, size: Size) -> str:
    """The lasting change is its owner's: a new template restarts every pod."""
    target, item = case.target, case.workload.object
    amount = binary_quantity(size.bytes)
    request = f" --requests=memory={amount}" if size.with_request else ""
    lasting = (
        f"kubectl -n {target.namespace} set resources {target.kind.lower()}/{target.name} -c {container} "
        f"--limits=memory={amount}{request}"
    )
    source = gitops_owner({"kind": target.kind, **item}) or (
        f"Helm release {release}" if (release := helm_release(item)) is not None else None
    )
    where = f"; better in the source of {source}, which would undo it" if source else ""
    sized = [finding for finding in case.findings if finding.kind == "autoscaling"]
    quoted = [
        f"; VerticalPodAutoscaler {one['name']} recommends {one['target_memory_bytes'] / 2**20:.0f} MiB"
        for finding in sized
        for one in finding.facts["vertical"]
        if one["target_memory_bytes"]
    ]
    undo = "; it is not taken back: a memory limit is lowered with best effort only"
    return f"for the pods to come: {lasting}{where}{''.join(quoted)}{undo}"


def _watched(proof: Proof) -> Proof:
    return proof if RESIZED in proof.expect else replace(proof, expect=(*proof.expect, RESIZED))
