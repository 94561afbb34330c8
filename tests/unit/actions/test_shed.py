"""Who makes room, when it would help, and what is given back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from remediator.actions.base import Case, NoPlan
from remediator.actions.shed import Parameters, Shed
from remediator.model import Finding, Json, Plan, ToldBy
from remediator.reasons import Reason
from tests.workloads import UID, case, workload

REPORTS, INDEX = "batch/deployment/reports", "batch/statefulset/index"
MIB = 2**20


def waiting_pod(name: str = "checkout-3-a", *, cpu: str = "1", memory: str = "512Mi", priority: int = 100) -> Json:
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "uid": f"uid-{name}"},
        "spec": {
            "priority": priority,
            "containers": [{"name": "app", "resources": {"requests": {"cpu": cpu, "memory": memory}}}],
        },
        "status": {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False"}]},
    }


def waits(kind: str = "capacity") -> Finding:
    facts = {"pod": "checkout-3-a", "class": kind, "classes": {kind: 3}, "nodes": 3}
    return Finding("scheduling", f"checkout-3-a is not scheduled ({kind})", facts)


def named(workload: str = REPORTS, **changes: Any) -> Finding:
    """A workload of two replicas, each of one core and 1 GiB, that anybody may scale down."""
    namespace, kind, name = workload.split("/")
    facts: dict[str, Any] = {
        "workload": workload,
        "kind": {"deployment": "Deployment", "statefulset": "StatefulSet"}[kind],
        "namespace": namespace,
        "name": name,
        "uid": f"uid-{name}",
        "generation": 3,
        "replicas": 2,
        "ready": 2,
        "is_settled": True,
        "priority": 0,
        "requests": {"cpu": 1.0, "memory": 1024.0 * MIB},
        "owner": None,
        "autoscaler": None,
        "must_stay_healthy": 0,
        "forbids": None,
    }
    return Finding("named-workload", workload, {**facts, **changes})


def pending(*findings: Finding, pods: tuple[Json, ...] | None = None) -> Case:
    return case(workload(pods=(waiting_pod(),) if pods is None else pods), findings=findings)


def shed(one: Case, *workloads: str, **changes: Any) -> Plan | NoPlan:
    return Shed().plan(one, Parameters.model_validate({"workloads": workloads or (REPORTS,), **changes}))


def test_the_first_named_workload_that_frees_enough_is_scaled_down_alone() -> None:
    plan = shed(pending(waits(), named(REPORTS), named(INDEX)), REPORTS, INDEX)

    assert isinstance(plan, Plan)
    assert [(str(step.touched), step.before, step.after) for step in plan.steps] == [(REPORTS, 2, 0)]
    assert plan.restore_after == timedelta(minutes=15)


def test_as_many_as_are_needed_in_the_rule_s_order_are_scaled_down() -> None:
    needs_three_cores = (waiting_pod("a", cpu="2"), waiting_pod("b", cpu="1"))

    plan = shed(pending(waits(), named(INDEX), named(REPORTS), pods=needs_three_cores), REPORTS, INDEX)

    assert isinstance(plan, Plan)
    assert [str(step.touched) for step in plan.steps] == [REPORTS, INDEX]


def test_each_step_tests_what_it_changes_and_so_does_its_inverse() -> None:
    plan = shed(pending(waits(), named()), to=1)

    assert isinstance(plan, Plan)
    step = plan.steps[0]
    assert step.request.path == "/apis/apps/v1/namespaces/batch/deployments/reports/scale"
    assert step.request.body == [
        {"op": "test", "path": "/metadata/uid", "value": "uid-reports"},
        {"op": "test", "path": "/spec/replicas", "value": 2},
        {"op": "replace", "path": "/spec/replicas", "value": 1},
    ]
    assert step.inverse is not None
    assert [op["value"] for op in step.inverse.body] == ["uid-reports", 1, 2]
    assert step.told_by is ToldBy.VALUE
    assert plan.details["kubectl"] == "kubectl -n batch scale deployment/reports --current-replicas=2 --replicas=1"


FORBIDDEN: list[tuple[str, dict[str, Any], str]] = [
    ("the target itself", {"uid": UID}, "the target itself"),
    ("opted out", {"forbids": "the namespace says remediator.io/mode: off"}, "mode: off"),
    ("owned", {"owner": "Argo CD application reports"}, "would undo it"),
    ("autoscaled", {"autoscaler": "reports"}, "HorizontalPodAutoscaler reports would undo it"),
    ("changing", {"is_settled": False}, "being changed"),
    ("at its least", {"replicas": 0}, "has 0 replicas already"),
    ("nothing runs", {"requests": None}, "none of its pods runs"),
    ("more important", {"priority": 1000}, "is higher than the target's 100"),
    ("disruption budget", {"must_stay_healthy": 1}, "wants 1 pods healthy"),
]


@pytest.mark.parametrize(("facts", "words"), [row[1:] for row in FORBIDDEN], ids=[row[0] for row in FORBIDDEN])
def test_a_named_workload_that_may_not_make_room_is_passed_over_with_the_reason(
    facts: dict[str, Any], words: str
) -> None:
    alone = shed(pending(waits(), named(**facts)))
    beside = shed(pending(waits(), named(**facts), named(INDEX)), REPORTS, INDEX)

    assert isinstance(alone, NoPlan)
    assert alone.reason is Reason.NOT_ENOUGH
    assert words in alone.detail
    assert isinstance(beside, Plan)
    assert [str(step.touched) for step in beside.steps] == [INDEX]


def test_a_workload_of_the_same_priority_may_make_room() -> None:
    """The rule named it; the negative control of the row above."""
    assert isinstance(shed(pending(waits(), named(priority=100))), Plan)


REFUSED: list[tuple[str, Case, Reason]] = [
    ("why is not known", pending(named()), Reason.FACT_MISSING),
    ("a taint", pending(waits("taint"), named()), Reason.NOT_CAPACITY),
    ("capacity on some nodes only", pending(waits(), waits("mixed"), named()), Reason.NOT_CAPACITY),
    ("too little even together", pending(waits(), named(), pods=(waiting_pod(cpu="9"),)), Reason.NOT_ENOUGH),
    ("enough cpu, too little memory", pending(waits(), named(), pods=(waiting_pod(memory="9Gi"),)), Reason.NOT_ENOUGH),
    ("not read", pending(waits()), Reason.NOT_ENOUGH),
    ("nothing asked for", pending(waits(), named(), pods=()), Reason.FACT_MISSING),
]


@pytest.mark.parametrize(("one", "reason"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_nobody_makes_room_that_would_not_help(one: Case, reason: Reason) -> None:
    answer = shed(one)

    assert isinstance(answer, NoPlan)
    assert answer.reason is reason


@pytest.mark.parametrize("text", ["reports", "batch/reports", "batch/daemonset/agent", "/deployment/x", "a/b/c/d"])
def test_a_workload_is_named_whole(text: str) -> None:
    with pytest.raises(ValidationError, match="write namespace/kind/name"):
        Parameters.model_validate({"workloads": [text]})
