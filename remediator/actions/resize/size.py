"""How much memory the container gets: the factor, the ceiling, and what limit ranges and quotas allow. Pure.

A pod that is Guaranteed has to stay so: then its request is raised with its limit, and the quotas of both count.
"""

from __future__ import annotations

from dataclasses import dataclass

from remediator.actions.base import Case, NoPlan
from remediator.actions.resize.choice import Chosen
from remediator.actions.resize.parameters import Parameters
from remediator.kube.pods import name_of
from remediator.kube.quantities import pod_limits, quantity
from remediator.model import Finding, Json
from remediator.reasons import Reason

MEBIBYTE = 2**20


@dataclass(frozen=True, slots=True)
class Size:
    """The new limit in bytes, a whole number of MiB; what kept it from being larger, in words ("" for nothing)."""

    bytes: int
    with_request: bool
    bounded_by: str


def next_size(case: Case, chosen: Chosen, parameters: Parameters) -> Size | NoPlan:
    """The next limit, always higher than the present one; a refusal where there is no room, or it is not known."""
    resources = chosen.container["resources"]
    current = int(quantity(resources["limits"]["memory"]))
    if current >= parameters.ceiling:
        detail = f"the limit is {_words(current)}, and the rule's ceiling {_words(parameters.ceiling)}"
        return NoPlan(Reason.AT_CAP, detail, is_escalation=True)
    quality = (chosen.pod.get("status") or {}).get("qosClass")
    if quality not in ("Guaranteed", "Burstable"):
        detail = f"the quality of service of pod {name_of(chosen.pod)} is not known: {quality}"
        return NoPlan(Reason.FACT_MISSING, detail)
    is_guaranteed = quality == "Guaranteed"
    if (unknown := _room_unknown(case)) is not None:
        return unknown
    bounds = [
        (int(current * parameters.factor), ""),
        (parameters.ceiling, f"the rule's ceiling of {_words(parameters.ceiling)}"),
    ]
    counted = ("limits.memory", "requests.memory", "memory") if is_guaranteed else ("limits.memory",)
    for finding in case.findings:
        if finding.kind == "limit-range" and (most := finding.facts["max"].get("memory")) is not None:
            others = _others(chosen) if finding.facts["type"] == "Pod" else 0
            bounds.append((int(most) - others, f"limit range {finding.facts['name']}"))
        if finding.kind == "quota-left":
            bounds += [
                (current + int(finding.facts["left"][name]), f"quota {finding.facts['quota']}: {name}")
                for name in counted
                if name in finding.facts["left"]
            ]
    amount, why = min(bounds, key=lambda bound: bound[0])
    amount -= amount % MEBIBYTE
    if amount > current:
        return Size(amount, is_guaranteed, why)
    reason = Reason.AT_CAP if "ceiling" in why or not why else Reason.NO_ROOM
    detail = f"no room for more than {_words(current)}: {why or 'the factor adds less than 1 MiB'}"
    return NoPlan(reason, detail, is_escalation=True)


def _room_unknown(case: Case) -> NoPlan | None:
    """Quotas, limit ranges and nodes were looked at, and each said something that can be counted."""
    headroom = next((one for one in case.findings if one.kind == "headroom"), None)
    if headroom is None:
        return NoPlan(Reason.FACT_MISSING, "what room there is for memory is not known (`resources` in `diagnose`)")
    if headroom.facts["quota_pods"] is None or headroom.facts["node_pods"] is None:
        return NoPlan(Reason.FACT_MISSING, f"what room there is for memory is not known: {headroom.summary}")
    unknown = next((one for one in case.findings if _is_unknown_bound(one)), None)
    if unknown is not None:
        return NoPlan(Reason.FACT_MISSING, f"what room there is for memory is not known: {unknown.summary}")
    if headroom.facts["node_pods"] < 1:
        return NoPlan(Reason.NO_ROOM, f"the nodes are full: {headroom.summary}", is_escalation=True)
    return None


def _is_unknown_bound(finding: Finding) -> bool:
    """Quotas or limit ranges that could not be read (what comes from Prometheus carries its name), or not counted."""
    facts = finding.facts
    if finding.kind == "quota-left":
        return None in facts["left"].values()
    return finding.kind == "unavailable" and facts.get("collector") == "resources" and "what" not in facts


def _others(chosen: Chosen) -> int:
    """What the limits of the pod's other containers add up to; 0 where one has none, and the dry run decides."""
    spec: Json = chosen.pod["spec"]
    rest = [one for index, one in enumerate(spec["containers"]) if index != chosen.index]
    if not rest:
        return 0
    return int(pod_limits({"spec": {**spec, "containers": rest}}).get("memory", 0))


def _words(amount: int) -> str:
    return f"{amount / MEBIBYTE:.0f} MiB"
