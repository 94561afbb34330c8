"""The `evict` action: where it refuses, which pod it takes, and the exact requests."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from remediator.actions.base import Case, NoPlan
from remediator.actions.evict import Evict
from remediator.actions.evict.choice import Chosen, choose
from remediator.actions.evict.parameters import Parameters
from remediator.actions.evict.preconditions import POD, WORKLOAD
from remediator.clock import rfc3339
from remediator.model import Finding, Plan, ToldBy
from remediator.reasons import Reason
from tests.unit.actions.test_restart import BETWEEN_CRASHES, ordered, sets, steady
from tests.workloads import NOW, TARGET, alert, case, workload

Json = dict[str, Any]
SICK = "checkout-3-a"
RUNNING = {"running": {"startedAt": rfc3339(NOW - timedelta(minutes=1))}}
BACK_OFF = {"waiting": {"reason": "CrashLoopBackOff"}}

NO_BUDGET = Finding("disruption-budgets", "no disruption budget", {"budgets": []})
NODE = Finding("node", "node n-1: ready True", {"node": "n-1", "ready": "True", "pressure": []})
LOG = Finding("log", "log ends: bye", {"pod": SICK, "container": "app", "previous": True, "text": "bye"})
FOUND = (NO_BUDGET, NODE, LOG)


def pod(name: str, *, ready: bool = True, node: str | None = "n-2", spec: Json | None = None, **container: Any) -> Json:
    """A pod of the Deployment, an hour old; a sick one has crashed four times."""
    state: Json = {"restartCount": 0, "state": RUNNING} if ready else {**BETWEEN_CRASHES, "state": BACK_OFF}
    owner = {"kind": "ReplicaSet", "name": "checkout-3", "uid": "rs-3", "controller": True}
    return {
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": f"uid-{name}",
            "creationTimestamp": rfc3339(NOW - timedelta(hours=1)),
            "ownerReferences": [owner],
        },
        "spec": {"nodeName": node, "containers": [{"name": "app"}], **(spec or {})},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "containerStatuses": [{"name": "app", "ready": ready, **state, **container}],
        },
    }


WELL = (pod("checkout-3-b"), pod("checkout-3-c", node="n-3"))


def sick(edit: Callable[[Json], Any] = lambda pod: None) -> Json:
    item = pod(SICK, ready=False, node="n-1")
    edit(item)
    return item


def story(*pods: Json, item: Json | None = None, findings: tuple[Finding, ...] = FOUND, **facts: Any) -> Case:
    """Three pods, of which the first crashes, and everything that has to be known."""
    item, pods = item or steady(replicas=3), pods or (sick(), *WELL)
    picture = workload(object=item, replica_sets=sets(GOOD), pods=pods, **facts)
    return case(picture, findings=findings, alert=alert(labels={"alertname": "A", "namespace": "shop", "pod": SICK}))


GOOD = steady()["spec"]["template"]


def edited(edit: Callable[[Json], Any]) -> Case:
    item = steady(replicas=3)
    edit(item)
    return story(item=item)


def of_sick(edit: Callable[[Json], Any], **facts: Any) -> Case:
    return story(sick(edit), *WELL, **facts)


def stateful(*pods: Json, findings: tuple[Finding, ...] = FOUND) -> Case:
    found = ordered()
    return replace(found, workload=replace(found.workload, pods=pods), findings=findings, alert=story().alert)


def without(*kinds: str) -> tuple[Finding, ...]:
    return tuple(finding for finding in FOUND if finding.kind not in kinds)


def budgets(*policies: str | None) -> tuple[Finding, ...]:
    found = [
        {"name": f"b-{n}", "allowed": 1, "healthy": 3, "desired": 2, "unhealthy_policy": policy}
        for n, policy in enumerate(policies)
    ]
    return (*without("disruption-budgets"), Finding("disruption-budgets", "", {"budgets": found}))


def owner(kind: str) -> Callable[[Json], Any]:
    return lambda pod: pod["metadata"]["ownerReferences"][0].update(kind=kind)


def annotated(key: str, value: str) -> Callable[[Json], Any]:
    return lambda pod: pod["metadata"].update(annotations={key: value})


def ended(pod: Json) -> None:
    pod["status"] |= {"phase": "Failed", "reason": "Evicted"}


def made_just_now(pod: Json) -> None:
    pod["metadata"]["creationTimestamp"] = rfc3339(NOW - timedelta(seconds=90))
    pod["status"]["containerStatuses"] = []


def node_is(ready: str) -> tuple[Finding, ...]:
    facts = {"node": "n-1", "ready": ready, "pressure": []}
    return (*without("node"), Finding("node", "", facts), Finding("node-fault", "", facts))


WORKLOAD_REFUSALS: list[tuple[str, Reason, Case]] = [
    ("a Job", Reason.TARGET_UNSUPPORTED, replace(story(), target=replace(TARGET, kind="Job"))),
    (
        "being deleted",
        Reason.BEING_DELETED,
        edited(lambda item: item["metadata"].update(deletionTimestamp="2026-11-23T12:00:00Z")),
    ),
    (
        "opted out of evictions",
        Reason.OPTED_OUT,
        edited(lambda item: item["metadata"]["annotations"].update({"remediator.io/actions": "rollback"})),
    ),
    ("the namespace may not be read", Reason.FACT_MISSING, story(namespace=None)),
    ("paused", Reason.PAUSED, edited(lambda item: item["spec"].update(paused=True))),
    (
        "owned by an operator",
        Reason.OWNED_BY_CONTROLLER,
        edited(
            lambda item: item["metadata"].update(
                ownerReferences=[{"kind": "Canary", "name": "c", "uid": "c", "controller": True}]
            )
        ),
    ),
    ("scaled to zero", Reason.SCALED_TO_ZERO, edited(lambda item: item["spec"].update(replicas=0))),
    ("mid-rollout", Reason.ROLLOUT_RUNNING, edited(lambda item: item["status"].update(updatedReplicas=2))),
]

POD_REFUSALS: list[tuple[str, Reason, Case]] = [
    ("nothing would replace it", Reason.TARGET_PROTECTED, of_sick(lambda pod: pod["metadata"].pop("ownerReferences"))),
    ("a static pod", Reason.TARGET_PROTECTED, of_sick(annotated("kubernetes.io/config.mirror", "x"))),
    ("a node's own pod", Reason.TARGET_PROTECTED, of_sick(owner("Node"))),
    ("a Job's pod", Reason.TARGET_PROTECTED, of_sick(owner("Job"))),
    (
        "a critical class",
        Reason.TARGET_PROTECTED,
        of_sick(lambda pod: pod["spec"].update(priorityClassName="system-node-critical")),
    ),
    (
        "a critical priority",
        Reason.TARGET_PROTECTED,
        of_sick(lambda pod: pod["spec"].update(priority=2_000_000_000)),
    ),
    ("switched off", Reason.OPTED_OUT, of_sick(annotated("remediator.io/mode", "off"))),
    ("allowing something else", Reason.OPTED_OUT, of_sick(annotated("remediator.io/actions", "resize"))),
    (
        "not safe to evict",
        Reason.OPTED_OUT,
        of_sick(annotated("cluster-autoscaler.kubernetes.io/safe-to-evict", "false")),
    ),
    ("not to be disrupted", Reason.OPTED_OUT, of_sick(annotated("karpenter.sh/do-not-disrupt", "true"))),
    (
        "on its way out",
        Reason.BEING_DELETED,
        of_sick(lambda pod: pod["metadata"].update(deletionTimestamp="2026-11-23T12:00:00Z")),
    ),
    (
        "a StatefulSet's that has ended",
        Reason.TARGET_UNSUPPORTED,
        of_sick(lambda pod: (ended(pod), owner("StatefulSet")(pod))),
    ),
    ("without a node", Reason.PODS_UNSCHEDULABLE, of_sick(lambda pod: pod["spec"].pop("nodeName"))),
    ("starting", Reason.NO_POD, of_sick(made_just_now)),
    ("its node is away", Reason.NODE_NOT_READY, story(findings=node_is("Unknown"))),
    ("its node is not ready", Reason.NODE_NOT_READY, story(findings=node_is("False"))),
    ("its node was not looked at", Reason.FACT_MISSING, story(findings=without("node"))),
    (
        "a second fails on another node",
        Reason.SEVERAL_PODS_FAIL,
        story(sick(), pod("checkout-3-b", ready=False), pod("checkout-3-c", node="n-3")),
    ),
    (
        "the only replica",
        Reason.NO_SPARE_POD,
        story(sick(), item=steady(replicas=1)),
    ),
    ("the others are not there", Reason.NO_SPARE_POD, story(sick())),
    (
        "a StatefulSet with another member away",
        Reason.NO_SPARE_POD,
        stateful(sick(), WELL[0]),
    ),
    ("the budgets were not looked at", Reason.FACT_MISSING, story(findings=without("disruption-budgets"))),
    ("a policy of the future", Reason.FACT_MISSING, story(findings=budgets("WhenAsked"))),
    ("two budgets", Reason.DISRUPTION_BUDGET, story(findings=budgets(None, None))),
    ("its log was not read", Reason.FACT_MISSING, story(findings=without("log"))),
    (
        "another pod's log was read",
        Reason.FACT_MISSING,
        story(findings=(*without("log"), replace(LOG, facts={**LOG.facts, "pod": "checkout-3-b"}))),
    ),
    (
        "only metrics could not be read",
        Reason.FACT_MISSING,
        story(findings=(*without("log"), Finding("unavailable", "", {"collector": "resources"}))),
    ),
]


def plan(of: Case, which: str = "alert") -> Plan | NoPlan:
    return Evict().plan(of, Parameters.model_validate({"which": which}))


@pytest.mark.parametrize(
    ("reason", "of"),
    [row[1:] for row in WORKLOAD_REFUSALS + POD_REFUSALS],
    ids=[row[0] for row in WORKLOAD_REFUSALS + POD_REFUSALS],
)
def test_refuses_by_name(reason: Reason, of: Case) -> None:
    answer = plan(of)

    assert isinstance(answer, NoPlan)
    assert answer.reason is reason, answer.detail


def named(of: Case) -> Json:
    return next(pod for pod in of.workload.pods if pod["metadata"]["name"] == SICK)


def test_no_row_is_caught_by_two_preconditions() -> None:
    """The negative control: taken out of the list, each would let its rows through."""
    for name, _, of in WORKLOAD_REFUSALS + POD_REFUSALS:
        found = [refusal for asked in WORKLOAD if (refusal := asked(of)) is not None]
        if not found:
            found = [refusal for check in POD if (refusal := check(of, named(of))) is not None]
        assert len(found) == 1, (name, found)


def test_every_precondition_has_a_row_that_refuses() -> None:
    assert [n for n, asked in enumerate(WORKLOAD) if not any(asked(of) for *_, of in WORKLOAD_REFUSALS)] == []
    assert [n for n, asked in enumerate(POD) if not any(asked(of, named(of)) for *_, of in POD_REFUSALS)] == []


def leaking(name: str = "checkout-3-b", shape: str = "leak") -> Finding:
    return Finding("memory-trend", f"memory: {shape}", {"shape": shape, "worst_pod": name, "detail": ""})


def memory(name: str, ratio: float | None) -> Finding:
    facts = {"pod": name, "container": "app", "working_set_bytes": 1, "limit_bytes": 1, "ratio": ratio}
    return Finding("memory", "", facts)


def crashed(name: str, restarts: int, node: str = "n-2") -> Json:
    return pod(name, node=node, **(BETWEEN_CRASHES | {"restartCount": restarts}))


def unready(name: str, restarts: int) -> Json:
    return pod(name, ready=False, restartCount=restarts)


THREE = (pod(SICK), *WELL)
LEFT_OVER = pod("checkout-3-z", ready=False)
ended(LEFT_OVER)

WORST: list[tuple[str, tuple[Json, ...], tuple[Finding, ...], str]] = [
    ("the one that is not ready", (sick(), *WELL), (leaking(),), SICK),
    ("of those the one restarted most", (unready("a", 2), unready("b", 9), *WELL), (), "b"),
    ("not the one that starts", (sick(made_just_now), unready("b", 1)), (), "b"),
    ("the one that leaks, before one that crashed", (crashed(SICK, 5), *WELL), (leaking(),), "checkout-3-b"),
    ("the one that crashed lately", (crashed(SICK, 2), crashed("b", 5)), (memory(SICK, 0.9),), "b"),
    ("the fullest", THREE, (memory("checkout-3-b", 0.85), memory("checkout-3-c", 0.95)), "checkout-3-c"),
    ("what has ended, after all others", (*THREE, LEFT_OVER), (), "checkout-3-z"),
    ("a leak, before what has ended", (*THREE, LEFT_OVER), (leaking(),), "checkout-3-b"),
]


@pytest.mark.parametrize(("pods", "findings", "name"), [row[1:] for row in WORST], ids=[row[0] for row in WORST])
def test_the_worst_pod_is(pods: tuple[Json, ...], findings: tuple[Finding, ...], name: str) -> None:
    found = choose(story(*pods, findings=findings), "worst")

    assert isinstance(found, Chosen)
    assert found.pod["metadata"]["name"] == name
    assert found.why


NOT_TOLD: list[tuple[str, tuple[Json, ...], tuple[Finding, ...]]] = [
    ("all are well", THREE, ()),
    ("a leak of a pod that is gone", THREE, (leaking("gone"),)),
    ("memory that rises with load", THREE, (leaking(shape="load"),)),
    ("none is full", THREE, (memory(SICK, 0.79), memory("checkout-3-b", None))),
    ("only crashes of long ago", (crashed(SICK, 1), *WELL[:0]), ()),
    ("what has ended is going", (*THREE, LEFT_OVER | {"metadata": {"name": "z", "deletionTimestamp": "t"}}), ()),
]


@pytest.mark.parametrize(("pods", "findings"), [row[1:] for row in NOT_TOLD], ids=[row[0] for row in NOT_TOLD])
def test_no_pod_is_taken_where_no_fact_tells_one(pods: tuple[Json, ...], findings: tuple[Finding, ...]) -> None:
    settled = copy.deepcopy(pods)
    for one in settled:
        for container in one["status"].get("containerStatuses", ()):
            if one["status"]["phase"] == "Running":
                container["state"] = {"running": {"startedAt": rfc3339(NOW - timedelta(hours=1))}}

    found = choose(story(*settled, findings=findings), "worst")

    assert isinstance(found, NoPlan)
    assert found.reason is Reason.NO_POD


@pytest.mark.parametrize(
    "labels",
    [{}, {"pod": "gone"}, {"pod": "kube-state-metrics", "exported_pod": "gone"}, {"pod": SICK, "uid": "another"}],
    ids=["names none", "one that is gone", "the exporter's", "one that was replaced"],
)
def test_the_alerts_pod_has_to_be_one_of_these(labels: dict[str, str]) -> None:
    found = choose(replace(story(), alert=alert(labels=labels)), "alert")

    assert isinstance(found, NoPlan)
    assert found.reason is Reason.NO_POD


@pytest.mark.parametrize(
    "labels", [{"pod": SICK}, {"pod": "kube-state-metrics", "exported_pod": SICK}, {"pod": SICK, "uid": f"uid-{SICK}"}]
)
def test_the_alerts_own_pod_is_taken(labels: dict[str, str]) -> None:
    found = choose(replace(story(), alert=alert(labels=labels)), "alert")

    assert isinstance(found, Chosen)
    assert found.pod["metadata"]["name"] == SICK


SAME_NODE = tuple(pod(name, ready=False, node="n-1") for name in ("checkout-3-b",))
GOES: list[tuple[str, Case, str]] = [
    ("a sick pod", story(), "POST"),
    ("a well one that leaks, the others ready", story(*THREE, findings=(NO_BUDGET,)), "POST"),
    ("one of two that fail on one node", story(sick(), *SAME_NODE, pod("c", node="n-3")), "POST"),
    ("a StatefulSet's, all others ready", stateful(sick(), *WELL), "POST"),
    ("under a policy that we know", story(findings=budgets("AlwaysAllow")), "POST"),
    ("under one budget that says nothing", story(findings=budgets(None)), "POST"),
    (
        "whose log could not be read",
        story(findings=(*without("log"), Finding("unavailable", "", {"collector": "logs", "pod": SICK}))),
        "POST",
    ),
    (
        "where no log at all could be read",
        story(findings=(*without("log"), Finding("unavailable", "logs: 403", {"collector": "logs"}))),
        "POST",
    ),
    ("what has ended", of_sick(ended), "DELETE"),
    ("what has ended, whatever the others do and budgets say", story(sick(ended), findings=(NODE, LOG)), "DELETE"),
    (
        "a StatefulSet that another one's pod does not concern",
        story(sick(), *WELL, pod("gone", ready=False) | {"metadata": {"name": "g", "deletionTimestamp": "t"}}),
        "POST",
    ),
]


@pytest.mark.parametrize(("of", "method"), [row[1:] for row in GOES], ids=[row[0] for row in GOES])
def test_goes(of: Case, method: str) -> None:
    """Near each refusal, what goes through."""
    answer = plan(of)

    assert isinstance(answer, Plan), answer
    assert [step.request.method for step in answer.steps] == [method]


def test_a_well_pod_goes_only_while_all_others_are_well() -> None:
    """It serves now, so that two would be away."""
    answer = plan(story(pod(SICK), pod("checkout-3-b", ready=False), WELL[1], findings=(NO_BUDGET, NODE, LOG)))

    assert isinstance(answer, NoPlan)
    assert answer.reason is Reason.NO_SPARE_POD


def test_the_eviction_is_bound_to_the_pods_uid_and_told_by_its_going() -> None:
    answer = plan(story())

    assert isinstance(answer, Plan)
    (step,) = answer.steps
    assert step.request.path == f"/api/v1/namespaces/shop/pods/{SICK}/eviction"
    assert step.request.body["apiVersion"] == "policy/v1"
    assert step.request.body["deleteOptions"] == {"preconditions": {"uid": f"uid-{SICK}"}}
    assert (step.touched.kind, step.touched.uid) == ("Pod", f"uid-{SICK}")
    assert (step.told_by, step.pointer, step.inverse) == (ToldBy.GONE, (), None)
    assert answer.generation == 7


def test_what_has_ended_is_deleted_under_its_uid() -> None:
    answer = plan(of_sick(ended))

    assert isinstance(answer, Plan)
    (step,) = answer.steps
    assert step.request.path == f"/api/v1/namespaces/shop/pods/{SICK}"
    assert step.request.body["preconditions"] == {"uid": f"uid-{SICK}"}
    assert step.told_by is ToldBy.GONE


def test_people_are_told_what_goes_with_the_pod() -> None:
    volumes = [{"name": "cache", "emptyDir": {}}, {"name": "data", "persistentVolumeClaim": {"claimName": "d"}}]

    answer = plan(of_sick(lambda pod: pod["spec"].update(volumes=volumes)))

    assert isinstance(answer, Plan)
    assert answer.details["lost_volumes"] == ["cache"]
    assert "volume cache" in answer.summary


def test_which_is_one_of_two_words() -> None:
    with pytest.raises(ValidationError):
        Parameters.model_validate({"which": "all"})
    assert Parameters().which == "worst"
