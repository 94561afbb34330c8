"""When a container's memory must not be raised; the first that stands in the way names the refusal. Pure.

Source: kubernetes/enhancements `keps/sig-node/1287-in-place-update-pod-resources` (what can be resized, and how the
kubelet answers), kubernetes/autoscaler `vertical-pod-autoscaler/pkg/apis/autoscaling.k8s.io/v1/types.go` (its modes).
"""

from __future__ import annotations

from collections.abc import Callable

from remediator.actions.base import Case, NoPlan
from remediator.actions.preconditions import (
    no_controller,
    no_rollout,
    not_being_deleted,
    not_from_zero,
    not_opted_out,
    not_paused,
    rolled_out_kind,
)
from remediator.actions.resize.choice import Chosen
from remediator.kube.ownership import wishes_of
from remediator.kube.pods import is_ready, name_of, protection_of
from remediator.kube.quantities import quantity
from remediator.kube.rollout import condition
from remediator.model import Mode
from remediator.reasons import Reason

PASSIVE_MODES = ("Off", "Initial")
"""Modes in which a VerticalPodAutoscaler leaves running pods alone."""

VPA = "VerticalPodAutoscaler"

WORKLOAD: tuple[Callable[[Case], NoPlan | None], ...] = (
    lambda case: rolled_out_kind(case, "resize"),
    not_being_deleted,
    lambda case: not_opted_out(case, "resize"),
    not_paused,
    no_controller,
    not_from_zero,
    no_rollout,
)


def workload_refusal(case: Case) -> NoPlan | None:
    """The first reason not to touch any pod of it."""
    return next((refusal for asked in WORKLOAD if (refusal := asked(case)) is not None), None)


def may_be_touched(case: Case, chosen: Chosen) -> NoPlan | None:
    """An ordinary pod, whose owner did not forbid it."""
    name = name_of(chosen.pod)
    if (why := protection_of(chosen.pod)) is not None:
        return NoPlan(Reason.TARGET_PROTECTED, f"pod {name}: {why}")
    wishes = wishes_of(chosen.pod)
    if wishes.mode is Mode.OFF or (wishes.actions is not None and "resize" not in wishes.actions):
        return NoPlan(Reason.OPTED_OUT, f"pod {name} forbids it by its remediator.io annotations")
    return None


def no_vertical_autoscaler(case: Case, chosen: Chosen) -> NoPlan | None:
    """No VerticalPodAutoscaler acts on the pods; it would undo the change, or is about to make its own."""
    found = next((one for one in case.findings if one.kind == "autoscaling"), None)
    hidden = [one for one in case.findings if one.kind == "unavailable" and one.facts.get("what") == VPA]
    if found is None or hidden:
        why = hidden[0].summary if hidden else "the rule needs `autoscaling` in its `diagnose`"
        return NoPlan(Reason.FACT_MISSING, f"whether a {VPA} acts on {case.target} is not known: {why}")
    acting = [one for one in found.facts["vertical"] if one["mode"] not in PASSIVE_MODES]
    if not acting:
        return None
    return NoPlan(Reason.AUTOSCALER_ACTS, f"{VPA} {acting[0]['name']} sizes the pods itself (mode {acting[0]['mode']})")


def resizable(case: Case, chosen: Chosen) -> NoPlan | None:
    """Its memory can change while it runs, without a restart, and the kubelet will say whether it did."""
    pod, container = chosen.pod, chosen.container
    what = f"{container['name']} of pod {name_of(pod)}"
    if (pod.get("status") or {}).get("phase") != "Running":
        return NoPlan(Reason.NOT_RESIZABLE, f"{what} does not run")
    if pod["spec"].get("resources"):
        return NoPlan(Reason.NOT_RESIZABLE, f"{what} shares a limit of its whole pod")
    # Without one it is NotRequired; API servers since 1.33 leave it out (kubelet `kuberuntime_manager.go`).
    policies = {one["resourceName"]: one["restartPolicy"] for one in container.get("resizePolicy") or ()}
    if (policy := policies.get("memory", "NotRequired")) != "NotRequired":
        return NoPlan(Reason.NOT_RESIZABLE, f"{what} would be restarted (resizePolicy {policy})")
    return None


def no_resize_running(case: Case, chosen: Chosen) -> NoPlan | None:
    """What the pod asks for is what the kubelet has put into force."""
    what = f"{chosen.container['name']} of pod {name_of(chosen.pod)}"
    for kind in ("PodResizePending", "PodResizeInProgress"):
        if (condition(chosen.pod, kind) or {}).get("status") == "True":
            return NoPlan(Reason.NOT_RESIZABLE, f"{what} is being resized already ({kind})")
    wanted = ((chosen.container.get("resources") or {}).get("limits") or {}).get("memory")
    in_force = ((chosen.status.get("resources") or {}).get("limits") or {}).get("memory")
    if wanted is None or in_force is None:
        missing = "has no memory limit of its own" if wanted is None else "has none that its kubelet reports"
        return NoPlan(Reason.FACT_MISSING, f"the limit in force is not known: {what} {missing}")
    if quantity(wanted) == quantity(in_force):
        return None
    return NoPlan(Reason.NOT_RESIZABLE, f"{what} asks for {wanted}, and {in_force} is in force")


def node_well(case: Case, chosen: Chosen) -> NoPlan | None:
    """Its node answers and is not short of memory, as far as was looked; a ready pod tells that its node answers."""
    node = chosen.pod["spec"].get("nodeName")
    facts = [one.facts for one in case.findings if one.kind in ("node", "node-fault") and one.facts["node"] == node]
    for one in facts:
        if one["ready"] != "True" or "MemoryPressure" in one["pressure"]:
            short = ", and short of memory" if "MemoryPressure" in one["pressure"] else ""
            return NoPlan(Reason.NODE_NOT_READY, f"the node {node} is ready {one['ready']}{short}")
    if facts or is_ready(chosen.pod):
        return None
    return NoPlan(Reason.FACT_MISSING, f"whether the node {node} is ready is not known (`node` in `diagnose`)")


POD: tuple[Callable[[Case, Chosen], NoPlan | None], ...] = (
    may_be_touched,
    no_vertical_autoscaler,
    resizable,
    no_resize_running,
    node_well,
)


def pod_refusal(case: Case, chosen: Chosen) -> NoPlan | None:
    """The first reason not to touch this pod."""
    return next((refusal for asked in POD if (refusal := asked(case, chosen)) is not None), None)
