"""Which pod of the workload goes: the alert's own, or the one that a fact tells from all others. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from remediator.actions.base import Case, NoPlan
from remediator.kube.pods import failure_of, is_living, is_ready, is_terminal, name_of, recent_crashes, statuses_of
from remediator.model import Json
from remediator.reasons import Reason

FULL = 0.8
"""Share of its memory limit from which the fullest pod is told from the others by it."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The pod, and in words what tells it from the others."""

    pod: Json
    why: str


def choose(case: Case, which: str) -> Chosen | NoPlan:
    """One pod of the workload, or why none can be told."""
    return _named(case) if which == "alert" else _worst(case)


def _named(case: Case) -> Chosen | NoPlan:
    labels = case.alert.labels
    name = labels.get("exported_pod", labels.get("pod"))
    if not name:
        return NoPlan(Reason.NO_POD, "the alert names no pod")
    found = next((pod for pod in case.workload.pods if name_of(pod) == name), None)
    if found is None:
        return NoPlan(Reason.NO_POD, f"the alert's pod {name} is gone, or no pod of {case.target}")
    if labels.get("uid", found["metadata"]["uid"]) != found["metadata"]["uid"]:
        return NoPlan(Reason.NO_POD, f"the alert's pod {name} was replaced by another of that name")
    return Chosen(found, f"the alert names it, {_state(found, case)}")


def _worst(case: Case) -> Chosen | NoPlan:
    """Not ready first, of those the one that was restarted most; then what tells one ready pod from the others.

    A leak before crashes: the pod that was just killed for its memory has the least of it. What has ended comes last,
    as its controller has replaced it already.
    """
    living = sorted((pod for pod in case.workload.pods if is_living(pod)), key=name_of)
    unready = [pod for pod in living if not is_ready(pod)]
    if unready:
        worst = max(unready, key=lambda pod: (failure_of(pod, case.now) is not None, _restarts(pod)))
        return Chosen(worst, _state(worst, case))
    by_name = {name_of(pod): pod for pod in living}
    for finding in case.findings:
        leaks = finding.kind == "memory-trend" and finding.facts["shape"] == "leak"
        if leaks and (leaking := by_name.get(finding.facts["worst_pod"])) is not None:
            return Chosen(leaking, finding.summary)
    crashed = max(living, key=lambda pod: _crashes(pod, case), default=None)
    if crashed is not None and _crashes(crashed, case):
        return Chosen(crashed, _state(crashed, case))
    fullest = max(_ratios(case, by_name).items(), key=lambda pair: pair[1], default=("", 0.0))
    if fullest[1] >= FULL:
        return Chosen(by_name[fullest[0]], f"its memory is at {fullest[1]:.0%} of its limit")
    ended = [pod for pod in case.workload.pods if is_terminal(pod) and not pod["metadata"].get("deletionTimestamp")]
    if ended:
        pod = min(ended, key=name_of)
        return Chosen(pod, _state(pod, case))
    return NoPlan(Reason.NO_POD, f"no fact tells one pod of {case.target} from the others: {len(living)} are ready")


def _ratios(case: Case, pods: Mapping[str, Json]) -> dict[str, float]:
    """Pod -> share of its limit that its fullest container uses."""
    ratios: dict[str, float] = {}
    for finding in case.findings:
        if finding.kind == "memory" and finding.facts["ratio"] is not None and finding.facts["pod"] in pods:
            name = finding.facts["pod"]
            ratios[name] = max(ratios.get(name, 0.0), float(finding.facts["ratio"]))
    return ratios


def _restarts(pod: Json) -> int:
    return sum(container.get("restartCount") or 0 for container in statuses_of(pod))


def _crashes(pod: Json, case: Case) -> int:
    return sum(recent_crashes(container, case.now) for container in statuses_of(pod))


def _state(pod: Json, case: Case) -> str:
    if is_terminal(pod):
        status = pod["status"]
        return f"it has ended ({status.get('reason') or status['phase']})"
    failure = failure_of(pod, case.now)
    return f"it is {'ready' if is_ready(pod) else 'not ready'}{f', {failure}' if failure else ''}"
