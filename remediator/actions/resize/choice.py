"""Which container gets more memory: the fullest one, of the pod that the alert names if it is one of these. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from remediator.actions.base import Case, NoPlan
from remediator.kube.pods import is_living, name_of
from remediator.model import Finding, Json
from remediator.reasons import Reason

NEARLY_FULL = 0.8
"""Share of its limit below which more memory is no answer."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A container of a pod. `index` is its place among `spec.containers`, `ratio` what it uses of its limit."""

    pod: Json
    index: int
    ratio: float

    @property
    def container(self) -> Json:
        return self.pod["spec"]["containers"][self.index]

    @property
    def status(self) -> Json:
        """What the kubelet says of it; empty where it says nothing."""
        statuses = (self.pod.get("status") or {}).get("containerStatuses") or ()
        return next((one for one in statuses if one["name"] == self.container["name"]), {})


def choose(case: Case) -> Chosen | NoPlan:
    """The one, or why there is none."""
    living = {name_of(pod): pod for pod in case.workload.pods if is_living(pod)}
    measured = [one for one in case.findings if one.kind == "memory" and one.facts["pod"] in living]
    if not measured:
        detail = "how much memory the containers use is not known (`resources` in `diagnose`)"
        return NoPlan(Reason.FACT_MISSING, detail)
    limited = [one for one in _meant(case, measured) if one.facts["ratio"] is not None]
    if not limited:
        return NoPlan(Reason.NOT_RESIZABLE, "no container that is meant has a memory limit")
    fullest = max(limited, key=lambda one: float(one.facts["ratio"]))
    name, pod, ratio = fullest.facts["container"], living[fullest.facts["pod"]], float(fullest.facts["ratio"])
    if ratio < NEARLY_FULL:
        return NoPlan(Reason.NO_POD, f"no container is near its limit: {fullest.summary}")
    names = [container["name"] for container in pod["spec"]["containers"]]
    if name not in names:
        return NoPlan(Reason.NOT_RESIZABLE, f"{name} of pod {name_of(pod)} is an init container or a sidecar")
    return Chosen(pod, names.index(name), ratio)


def _meant(case: Case, measured: Sequence[Finding]) -> Sequence[Finding]:
    """Those of the alert's own pod and container, where it names one of these."""
    for label in ("pod", "container"):
        named = case.alert.labels.get(f"exported_{label}", case.alert.labels.get(label))
        measured = [one for one in measured if one.facts[label] == named] or measured
    return measured
