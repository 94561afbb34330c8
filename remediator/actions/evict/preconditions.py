"""When a pod must not be evicted; the first that stands in the way names the refusal. Pure.

The workload is asked before a pod is chosen, then the pod. The API server asks the disruption budgets; what no budget
guards is counted here: the last ready pod, a member of a StatefulSet beside another one that is away.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from remediator.actions.base import Case, NoPlan
from remediator.actions.preconditions import (
    no_controller,
    no_rollout,
    not_being_deleted,
    not_from_zero,
    not_opted_out,
    not_paused,
    rolled_out_kind,
    wanted_pods,
)
from remediator.kube.base import controller_of, instant_of
from remediator.kube.ownership import wishes_of
from remediator.kube.pods import (
    failure_of,
    is_living,
    is_ready,
    is_terminal,
    name_of,
    protection_of,
    statuses_of,
    veto_of,
)
from remediator.model import Finding, Json, Mode
from remediator.reasons import Reason

GIVEN_TO_START = timedelta(minutes=2)
"""A pod without a failure that is younger is starting, not sick."""

KNOWN_POLICIES = (None, "IfHealthyBudget", "AlwaysAllow")
"""policy/v1: a client must not evict under a policy that it does not know."""

DELETED_BY_US = ("ReplicaSet", "DaemonSet")
"""Owners that leave an ended pod lying, or are slow to take it away; a StatefulSet's own controller deletes it."""

WORKLOAD: tuple[Callable[[Case], NoPlan | None], ...] = (
    lambda case: rolled_out_kind(case, "evict"),
    not_being_deleted,
    lambda case: not_opted_out(case, "evict"),
    not_paused,
    no_controller,
    not_from_zero,
    no_rollout,
)


def workload_refusal(case: Case) -> NoPlan | None:
    """The first reason not to touch any pod of it."""
    return next((refusal for asked in WORKLOAD if (refusal := asked(case)) is not None), None)


def may_go(case: Case, pod: Json) -> NoPlan | None:
    """Something would replace it, and nobody needs exactly this one."""
    if (why := protection_of(pod)) is not None:
        return NoPlan(Reason.TARGET_PROTECTED, f"pod {name_of(pod)}: {why}")
    return None


def not_terminating(case: Case, pod: Json) -> NoPlan | None:
    """It is not on its way out."""
    if pod["metadata"].get("deletionTimestamp"):
        return NoPlan(Reason.BEING_DELETED, f"pod {name_of(pod)} is on its way out already")
    return None


def not_vetoed(case: Case, pod: Json) -> NoPlan | None:
    """The pod itself carries no annotation that asks to leave it."""
    wishes = wishes_of(pod)
    if wishes.mode is Mode.OFF or (wishes.actions is not None and "evict" not in wishes.actions):
        return NoPlan(Reason.OPTED_OUT, f"pod {name_of(pod)} forbids it by its remediator.io annotations")
    if (said := veto_of(pod)) is not None:
        return NoPlan(Reason.OPTED_OUT, f"pod {name_of(pod)} says {said}")
    return None


def deletable(case: Case, pod: Json) -> NoPlan | None:
    """An ended pod that its own controller would not take away."""
    owner = controller_of(pod)
    if not is_terminal(pod) or (owner is not None and owner["kind"] in DELETED_BY_US):
        return None
    return NoPlan(Reason.TARGET_UNSUPPORTED, f"pod {name_of(pod)} has ended, and its controller deletes it itself")


def placed(case: Case, pod: Json) -> NoPlan | None:
    """It has a node: another one would wait for a place as this one does."""
    if pod["spec"].get("nodeName"):
        return None
    return NoPlan(Reason.PODS_UNSCHEDULABLE, f"pod {name_of(pod)} has no node: another one would have none either")


def on_a_ready_node(case: Case, pod: Json) -> NoPlan | None:
    """Its node answers: else its kubelet never ends it, and a StatefulSet waits for that for ever.

    A ready pod speaks for its node, since the pods of a node that is away are set to not ready.
    """
    node = pod["spec"].get("nodeName")
    facts = [one.facts for one in case.findings if one.kind in ("node", "node-fault") and one.facts["node"] == node]
    away = next((one["ready"] for one in facts if one["ready"] != "True"), None)
    if away is not None:
        return NoPlan(Reason.NODE_NOT_READY, f"the node {node} of pod {name_of(pod)} is ready {away}")
    if facts or is_ready(pod) or node is None:
        return None
    detail = f"whether the node {node} of pod {name_of(pod)} is ready is not known (`node` in `diagnose`)"
    return NoPlan(Reason.FACT_MISSING, detail)


def had_time_to_start(case: Case, pod: Json) -> NoPlan | None:
    """It is not one that has just been made."""
    if is_terminal(pod) or is_ready(pod) or not _is_starting(case, pod):
        return None
    return NoPlan(Reason.NO_POD, f"pod {name_of(pod)} is starting: it was made less than {GIVEN_TO_START} ago")


def alone_in_failing(case: Case, pod: Json) -> NoPlan | None:
    """What fails is this pod or its node. Where several fail on several nodes, new ones would fail as they do."""
    if is_terminal(pod) or is_ready(pod):
        return None
    living = [one for one in case.workload.pods if is_living(one)]
    sick = [one for one in living if not is_ready(one) and not _is_starting(case, one)]
    nodes = {one["spec"].get("nodeName") for one in (*sick, pod)}
    is_well_elsewhere = any(is_ready(one) and one["spec"].get("nodeName") not in nodes for one in living)
    if len(sick) <= 1 or (len(nodes) == 1 and is_well_elsewhere):
        return None
    detail = f"{len(sick)} of {len(living)} pods are not ready: replacing one of them would mend nothing"
    return NoPlan(Reason.SEVERAL_PODS_FAIL, detail, is_escalation=True)


def others_serve(case: Case, pod: Json) -> NoPlan | None:
    """Enough others are ready while it is away. A rollout's surge does not help: an eviction ends the old one first."""
    wanted, name = wanted_pods(case), name_of(pod)
    if is_terminal(pod):
        return None
    ready = sum(is_ready(one) for one in case.workload.pods if one is not pod)
    if wanted < 2:
        detail = f"pod {name} is the only replica, and an eviction ends it before another comes"
        return NoPlan(Reason.NO_SPARE_POD, detail, advice="run at least two replicas")
    # One at a time where it takes part now, or where members are not alike.
    needed = wanted - 1 if is_ready(pod) or case.target.kind == "StatefulSet" else 1
    if ready >= needed:
        return None
    return NoPlan(Reason.NO_SPARE_POD, f"{ready} other pods are ready, {needed} must be while {name} is away")


def budgets_known(case: Case, pod: Json) -> NoPlan | None:
    """Its disruption budgets can be judged by the API server: at most one, under a policy that we know."""
    if is_terminal(pod):
        return None
    found = next((one for one in case.findings if one.kind == "disruption-budgets"), None)
    if found is None:
        detail = "which disruption budgets guard the pods is not known (`autoscaling` in `diagnose`)"
        return NoPlan(Reason.FACT_MISSING, detail)
    budgets = found.facts["budgets"]
    for budget in budgets:
        if budget["unhealthy_policy"] not in KNOWN_POLICIES:
            detail = f"disruption budget {budget['name']} has a policy not known here: {budget['unhealthy_policy']}"
            return NoPlan(Reason.FACT_MISSING, detail)
    if len(budgets) > 1:
        names = " and ".join(sorted(budget["name"] for budget in budgets))
        detail = f"disruption budgets {names} guard the same pods, which the eviction API does not support"
        return NoPlan(Reason.DISRUPTION_BUDGET, detail, advice="delete all but one of them", is_escalation=True)
    return None


def logs_kept(case: Case, pod: Json) -> NoPlan | None:
    """How it ran before was read: it goes with the pod. That it could not be read is an answer, too."""
    name, statuses = name_of(pod), statuses_of(pod)
    has_history = any(container.get("restartCount") for container in statuses)
    has_run = any(not (container.get("state") or {}).get("waiting") for container in statuses)
    if not has_history and (is_ready(pod) or not has_run):
        return None
    if any(_is_log_of(finding, name) for finding in case.findings):
        return None
    detail = f"the log of pod {name} was not collected, and goes with it (`logs` in `diagnose`)"
    return NoPlan(Reason.FACT_MISSING, detail)


POD: tuple[Callable[[Case, Json], NoPlan | None], ...] = (
    may_go,
    not_terminating,
    not_vetoed,
    deletable,
    placed,
    had_time_to_start,
    on_a_ready_node,
    alone_in_failing,
    others_serve,
    budgets_known,
    logs_kept,
)


def pod_refusal(case: Case, pod: Json) -> NoPlan | None:
    """The first reason not to touch this pod."""
    return next((refusal for asked in POD if (refusal := asked(case, pod)) is not None), None)


def _is_starting(case: Case, pod: Json) -> bool:
    made = instant_of(pod["metadata"].get("creationTimestamp"))
    return made is not None and case.now - made < GIVEN_TO_START and failure_of(pod, case.now) is None


def _is_log_of(finding: Finding, pod: str) -> bool:
    if finding.kind == "unavailable":
        return bool(finding.facts.get("collector") == "logs" and finding.facts.get("pod", pod) == pod)
    return bool(finding.kind == "log" and finding.facts["pod"] == pod)
