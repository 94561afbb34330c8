"""Who owns the number of replicas, and what may be done where a HorizontalPodAutoscaler does. Pure.

It undoes a scale within one sync period, so its replicas are never touched. It may have reached its upper bound, or be
blind (no metrics): then the bound can be raised for a time, or recommended. Conditions and their meaning: kubernetes
`pkg/controller/podautoscaler/horizontal.go`; KEDA: kedacore/keda `controllers/keda/hpa.go`, which reverts any change of
the autoscaler that it owns.
"""

from __future__ import annotations

from dataclasses import dataclass

from remediator.actions.base import Case, NoPlan
from remediator.actions.scale.parameters import Parameters
from remediator.actions.scale.size import Size, next_size
from remediator.model import Json, Target
from remediator.reasons import Reason

HPA, KEDA = "HorizontalPodAutoscaler", "ScaledObject"


@dataclass(frozen=True, slots=True)
class Raise:
    """One bound of the autoscaler, from and to. `why` is one clause for people."""

    autoscaler: Target
    field: str
    before: int
    size: Size
    is_annotated: bool
    why: str


def autoscaler_of(case: Case) -> Json | NoPlan | None:
    """The facts of the one autoscaler of the workload, None where it has none; a refusal where that is not certain."""
    found = next((finding for finding in case.findings if finding.kind == "autoscaling"), None)
    hidden = [
        finding.summary
        for finding in case.findings
        if finding.kind == "unavailable" and finding.facts.get("what") in (HPA, KEDA)
    ]
    if found is None or hidden:
        why = hidden[0] if hidden else "the rule needs `autoscaling` in its `diagnose`"
        unknown = f"whether an autoscaler owns the replicas of {case.target} is not known"
        return NoPlan(Reason.FACT_MISSING, f"{unknown}: {why}")
    autoscalers = found.facts["autoscalers"]
    if len(autoscalers) > 1:
        names = ", ".join(f"{one['kind']} {one['name']}" for one in autoscalers)
        return NoPlan(
            Reason.AUTOSCALER_AMBIGUOUS,
            f"{len(autoscalers)} autoscalers own the replicas of {case.target}: {names}",
            advice="delete all but one of them",
            is_escalation=True,
        )
    return autoscalers[0] if autoscalers else None


def raise_of(case: Case, facts: Json, parameters: Parameters) -> Raise | NoPlan:
    """The bound that would let the autoscaler go on, if it needs that and nobody else owns it."""
    name, replicas = facts["name"], facts["current"] or case.workload.object["spec"].get("replicas", 1)
    if (owned := _owned(case, facts, parameters)) is not None:
        return owned
    if facts["is_active"] is None:
        return NoPlan(Reason.FACT_MISSING, f"whether {HPA} {name} sees its metrics is not known yet")
    is_blind = not facts["is_active"]
    if not is_blind and not facts["is_limited"]:
        now = f"{replicas} replicas of at most {facts['max']}, and it wants {facts['desired']}"
        return NoPlan(Reason.AUTOSCALER_ACTS, f"{HPA} {name} is acting: {now}")
    # Blind, it keeps what it has; its lower bound is what it obeys without metrics.
    field, before = ("minReplicas", facts["min"]) if is_blind else ("maxReplicas", facts["max"])
    cap = min(parameters.max_replicas, facts["max"]) if is_blind else parameters.max_replicas
    start = max(replicas, before)
    size = next_size(start, step=parameters.step, cap=cap, workload=case.workload.object, findings=case.findings)
    if isinstance(size, NoPlan):
        return size
    why = "has no metrics and keeps what it has" if is_blind else f"wants more than its maxReplicas of {before}"
    target = Target(case.target.cluster, HPA, case.target.namespace, name, facts["uid"])
    return Raise(target, field, before, size, facts["is_annotated"], f"{HPA} {name} {why}")


def recommended(case: Case, found: Raise) -> NoPlan:
    """The exact command, for a rule that only recommends."""
    return NoPlan(
        Reason.AUTOSCALER_AT_LIMIT,
        f"{found.why}; the rule recommends and does not raise it",
        advice=kubectl(found),
    )


def kubectl(found: Raise) -> str:
    autoscaler = found.autoscaler
    patch = f'{{"spec":{{"{found.field}":{found.size.replicas}}}}}'
    return f"kubectl -n {autoscaler.namespace} patch hpa {autoscaler.name} --type=merge -p '{patch}'"


def _owned(case: Case, facts: Json, parameters: Parameters) -> NoPlan | None:
    """KEDA, an operator or GitOps would revert a change of the autoscaler: theirs is the source to change."""
    name, owner = facts["name"], facts["owner"] or ""
    scaled = name if facts["kind"] == KEDA else owner.partition("/")[2] if owner.startswith(f"{KEDA}/") else ""
    if scaled:
        patch = f'{{"spec":{{"maxReplicaCount":{max(parameters.max_replicas, facts["max"])}}}}}'
        return NoPlan(
            Reason.OWNED_BY_CONTROLLER,
            f"{KEDA} {scaled} scales {case.target} and would undo the change",
            advice=f"if it is at its maximum: kubectl -n {case.target.namespace} patch scaledobject {scaled} "
            f"--type=merge -p '{patch}'",
        )
    if owner:
        return NoPlan(
            Reason.OWNED_BY_CONTROLLER,
            f"{owner.replace('/', ' ')} owns {HPA} {name} and would undo the change",
            advice=f"change {owner.replace('/', ' ')} instead",
        )
    if facts["gitops"]:
        return NoPlan(
            Reason.OWNED_BY_GITOPS,
            f"{facts['gitops']} would undo a change of {HPA} {name}",
            advice=f"raise the bound in the source of {facts['gitops']}",
        )
    return None
