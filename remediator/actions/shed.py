"""`do: shed`: make room for pods that cannot be placed by scaling named, less important workloads down for a time.

Only workloads that the rule names, in its order, only as many as are needed, and only if all of them together free
what the waiting pods ask for. Each is scaled by its scale subresource with a test on its replicas and is given back,
last first, once the target runs and `restore_after` is over. Source: the runbooks' row "all pods pending";
kubernetes-sigs/descheduler shows why a plan that frees too little must not begin.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta

from pydantic import BaseModel, Field

from remediator.actions.base import SCALABLE_KINDS, Case, NamesWorkloads, NoPlan, Permission
from remediator.kube.permissions import to
from remediator.kube.quantities import pod_requests
from remediator.kube.rollout import condition, meaningful_hash
from remediator.kube.scaling import scale_request
from remediator.model import Finding, Plan, Step, Target, ToldBy
from remediator.reasons import Reason
from remediator.units import Duration

RESOURCES = ("cpu", "memory")


class Parameters(NamesWorkloads):
    """Who makes room, and for how long."""

    to: int = Field(default=0, ge=0, le=1000, description="Replicas that each of them keeps. Default 0.")
    restore_after: Duration = Field(
        default=timedelta(minutes=15),
        ge=timedelta(minutes=1),
        le=timedelta(hours=12),
        description="How long the target must have run before they are scaled back. Default 15m.",
    )


class Shed:
    name = "shed"
    parameters = Parameters
    permissions = (
        Permission("apps", "deployments/scale", ("patch",)),
        Permission("apps", "statefulsets/scale", ("patch",)),
    )

    def needs(self, parameters: BaseModel, kinds: Collection[str]) -> tuple[Permission, ...]:
        """Of the kinds of the workloads that it names, not of the target's."""
        assert isinstance(parameters, Parameters)
        named = sorted({SCALABLE_KINDS[text.split("/")[1]] for text in parameters.workloads})
        return tuple(one for kind in named for one in (to(kind, "patch", subresource="scale"), to(kind, "get")))

    def plan(self, case: Case, parameters: BaseModel) -> Plan | NoPlan:
        """The fewest of the named workloads, in the rule's order, that free what the waiting pods ask for."""
        assert isinstance(parameters, Parameters)
        if (refusal := _waits_for_room(case)) is not None:
            return refusal
        needed = _needed(case)
        if not any(needed.values()):
            detail = "the waiting pods ask for no cpu and no memory: what would make room for them is not known"
            return NoPlan(Reason.FACT_MISSING, detail)
        chosen: list[Finding] = []
        freed = dict.fromkeys(RESOURCES, 0.0)
        passed_over = []
        for name in parameters.workloads:
            found = _finding(case, name)
            why = "could not be read" if found is None else _why_not(found, case, parameters)
            if found is None or why is not None:
                passed_over.append(f"{name}: {why}")
                continue
            chosen.append(found)
            less = found.facts["replicas"] - parameters.to
            freed = {key: freed[key] + less * found.facts["requests"][key] for key in RESOURCES}
            if all(freed[key] >= needed[key] for key in RESOURCES):
                return _plan(case, chosen, parameters, needed)
        detail = f"the named workloads free {_amounts(freed)}, the waiting pods need {_amounts(needed)}"
        return NoPlan(Reason.NOT_ENOUGH, "; ".join([detail, *passed_over]), is_escalation=True)


def _waits_for_room(case: Case) -> NoPlan | None:
    """Every waiting pod waits for cpu or memory on all nodes; else room would not help it."""
    waiting = [f for f in case.findings if f.kind == "scheduling"]
    if not waiting:
        return NoPlan(Reason.FACT_MISSING, "why the pods are not placed is not known: no scheduler message was found")
    other = [f for f in waiting if f.facts["class"] != "capacity"]
    if other:
        return NoPlan(Reason.NOT_CAPACITY, f"room would not help: {other[0].summary}")
    return None


def _needed(case: Case) -> dict[str, float]:
    """What the pods without a node ask for, in cores and bytes."""
    waiting = [
        pod
        for pod in case.workload.pods
        if (condition(pod, "PodScheduled") or {}).get("status") == "False"
        and not pod["metadata"].get("deletionTimestamp")
    ]
    asked = [pod_requests(pod) for pod in waiting]
    return {key: float(sum(one.get(key, 0) for one in asked)) for key in RESOURCES}


def _finding(case: Case, workload: str) -> Finding | None:
    return next((f for f in case.findings if f.kind == "named-workload" and f.facts["workload"] == workload), None)


def _why_not(found: Finding, case: Case, parameters: Parameters) -> str | None:
    """Why this workload makes no room, in words; None: it may."""
    facts = found.facts
    priorities = [pod["spec"].get("priority") or 0 for pod in case.workload.pods]
    if facts["uid"] == case.target.uid:
        return "it is the target itself"
    if facts["forbids"]:
        return str(facts["forbids"])
    if facts["owner"]:
        return f"{facts['owner']} would undo it"
    if facts["autoscaler"]:
        return f"HorizontalPodAutoscaler {facts['autoscaler']} would undo it"
    if not facts["is_settled"]:
        return "it is being changed"
    if facts["replicas"] <= parameters.to:
        return f"it has {facts['replicas']} replicas already"
    if facts["requests"] is None or facts["priority"] is None:
        return "none of its pods runs: nothing would be freed"
    if priorities and facts["priority"] > max(priorities):
        return f"its priority {facts['priority']} is higher than the target's {max(priorities)}"
    if parameters.to < facts["must_stay_healthy"]:
        return f"its disruption budget wants {facts['must_stay_healthy']} pods healthy"
    return None


def _plan(case: Case, chosen: Sequence[Finding], parameters: Parameters, needed: dict[str, float]) -> Plan:
    keeps = parameters.to
    names = ", ".join(found.facts["workload"] for found in chosen)
    return Plan(
        action=Shed.name,
        action_id=case.action_id,
        target=case.target,
        steps=tuple(_step(found, case, keeps) for found in chosen),
        proof=case.proof,
        generation=case.workload.object["metadata"]["generation"],
        template_hash=meaningful_hash(case.workload.template),
        summary=f"make room for {case.target}: scale {names} to {keeps}, back after {parameters.restore_after}",
        before={found.facts["workload"]: {"replicas": found.facts["replicas"]} for found in chosen},
        after={found.facts["workload"]: {"replicas": keeps} for found in chosen},
        restore_after=parameters.restore_after,
        details={
            "needed": needed,
            "kubectl": "; ".join(
                f"kubectl -n {f.facts['namespace']} scale {f.facts['kind'].lower()}/{f.facts['name']} "
                f"--current-replicas={f.facts['replicas']} --replicas={keeps}"
                for f in chosen
            ),
        },
    )


def _step(found: Finding, case: Case, keeps: int) -> Step:
    facts = found.facts
    touched = Target(case.target.cluster, facts["kind"], facts["namespace"], facts["name"], facts["uid"])
    return Step(
        request=scale_request(touched, facts["replicas"], keeps),
        touched=touched,
        told_by=ToldBy.VALUE,
        generation=facts["generation"],
        pointer=("spec", "replicas"),
        before=facts["replicas"],
        after=keeps,
        inverse=scale_request(touched, keeps, facts["replicas"]),
    )


def _amounts(amounts: dict[str, float]) -> str:
    return f"{amounts['cpu']:g} cores and {amounts['memory'] / 2**20:.0f} MiB"
