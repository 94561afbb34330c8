"""The `scale` action: where it refuses, how far it goes, and the exact requests."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from remediator.actions.base import Case, NoPlan
from remediator.actions.scale import HELD, Scale
from remediator.actions.scale.parameters import Parameters
from remediator.actions.scale.preconditions import PRECONDITIONS, View
from remediator.checks import CHECKS
from remediator.model import Finding, Plan, ToldBy
from remediator.reasons import Reason
from tests.workloads import NOW, TARGET, case, deployment, replica_set, template, workload

GOOD = template("shop/checkout:1.4")
NOBODY = Finding("autoscaling", "no autoscaler", {"autoscalers": [], "vertical": []})


def room(quota: int | None = 10_000, nodes: int | None = 50) -> Finding:
    return Finding("headroom", f"room: {quota} by quota", {"quota_pods": quota, "node_pods": nodes, "tightest": ""})


def hpa(**changes: Any) -> dict[str, Any]:
    """A HorizontalPodAutoscaler at its maximum that wants more."""
    facts: dict[str, Any] = {
        "kind": "HorizontalPodAutoscaler",
        "name": "checkout",
        "uid": "h-1",
        "generation": None,
        "min": 2,
        "max": 4,
        "current": 4,
        "desired": 4,
        "at_max": True,
        "is_active": True,
        "is_limited": True,
        "owner": None,
        "gitops": None,
        "is_annotated": False,
    }
    return {**facts, **changes}


def scaled_by(*autoscalers: dict[str, Any]) -> Finding:
    return Finding("autoscaling", "", {"autoscalers": list(autoscalers), "vertical": []})


def steady(replicas: int = 4, **spec: Any) -> dict[str, Any]:
    """The Deployment long after a rollout, all pods of one template."""
    item = deployment(GOOD, replicas=replicas, **spec)
    counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    item["status"] |= dict.fromkeys(counts, replicas)
    return item


def story(
    item: dict[str, Any] | None = None, *, findings: tuple[Finding, ...] = (NOBODY, room()), **facts: Any
) -> Case:
    sets = (replica_set(3, GOOD, created=NOW - timedelta(days=2), ready=4),)
    return case(workload(object=item or steady(), replica_sets=sets, **facts), findings=findings)


def edited(edit: Callable[[dict[str, Any]], Any]) -> Case:
    item = copy.deepcopy(steady())
    edit(item)
    return story(item)


def plan(of: Case, **parameters: Any) -> Plan | NoPlan:
    return Scale().plan(of, Parameters(**{"max_replicas": 10, **parameters}))


def mounts(claim: str) -> dict[str, Any]:
    item = steady()
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]
    item["spec"]["template"] = copy.deepcopy(GOOD)
    item["spec"]["template"]["spec"]["volumes"] = volumes
    return item


def pod(**scheduled: str) -> dict[str, Any]:
    conditions = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", **scheduled}]
    return {"metadata": {"name": "checkout-3-z"}, "spec": {"containers": []}, "status": {"conditions": conditions}}


def stateful(**status: Any) -> Case:
    item = steady()
    item["status"] |= {"currentRevision": "a", "updateRevision": "a", **status}
    return replace(story(item), target=replace(TARGET, kind="StatefulSet"))


def failing(message: str) -> Callable[[dict[str, Any]], Any]:
    entry = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
    return lambda item: item["status"]["conditions"].append(entry)


def progressing(reason: str) -> Callable[[dict[str, Any]], Any]:
    return lambda item: item["status"]["conditions"][0].update(reason=reason)


STS = {"kinds": ["Deployment", "StatefulSet"]}
UNREADABLE = Finding("unavailable", "could not read ScaledObject objects: 403", {"what": "ScaledObject"})

REFUSALS: list[tuple[str, Reason, Case, dict[str, Any]]] = [
    ("a DaemonSet", Reason.TARGET_UNSUPPORTED, replace(story(), target=replace(TARGET, kind="DaemonSet")), STS),
    ("a StatefulSet that the rule does not name", Reason.TARGET_UNSUPPORTED, stateful(), {}),
    (
        "being deleted",
        Reason.BEING_DELETED,
        edited(lambda item: item["metadata"].update(deletionTimestamp="2026-11-23T12:00:00Z")),
        {},
    ),
    (
        "opted out of scaling",
        Reason.OPTED_OUT,
        edited(lambda item: item["metadata"]["annotations"].update({"remediator.io/actions": "rollback"})),
        {},
    ),
    ("the namespace may not be read", Reason.FACT_MISSING, story(namespace=None), {}),
    ("paused", Reason.PAUSED, edited(lambda item: item["spec"].update(paused=True)), {}),
    (
        "owned by an operator",
        Reason.OWNED_BY_CONTROLLER,
        edited(
            lambda item: item["metadata"].update(
                ownerReferences=[{"kind": "Canary", "name": "c", "uid": "c", "controller": True}]
            )
        ),
        {},
    ),
    ("scaled to zero", Reason.SCALED_TO_ZERO, edited(lambda item: item["spec"].update(replicas=0)), {}),
    ("the controller may create no pod", Reason.NO_ROOM, edited(failing("exceeded quota: pods")), {}),
    (
        "an event says that a quota is used up",
        Reason.NO_ROOM,
        story(findings=(NOBODY, room(), Finding("quota-exceeded", "quota q is used", {"quota": "q"}))),
        {},
    ),
    ("a pod has no place", Reason.PODS_UNSCHEDULABLE, story(pods=(pod(message="0/3 nodes"),)), {}),
    (
        "the spec is not observed",
        Reason.ROLLOUT_RUNNING,
        edited(lambda i: i["status"].update(observedGeneration=6)),
        {},
    ),
    ("pods of a former revision", Reason.ROLLOUT_RUNNING, edited(lambda i: i["status"].update(updatedReplicas=3)), {}),
    ("the rollout goes on", Reason.ROLLOUT_RUNNING, edited(progressing("ReplicaSetUpdated")), {}),
    ("the rollout is stuck", Reason.ROLLOUT_RUNNING, edited(progressing("ProgressDeadlineExceeded")), {}),
    ("a StatefulSet between two revisions", Reason.ROLLOUT_RUNNING, stateful(updateRevision="b"), STS),
    (
        "strategy Recreate",
        Reason.SINGLE_WRITER,
        edited(lambda item: item["spec"].update(strategy={"type": "Recreate"})),
        {},
    ),
    ("a claim for one node", Reason.SINGLE_WRITER, story(mounts("data"), shared_claims=frozenset()), {}),
    ("a claim of which nothing is known", Reason.FACT_MISSING, story(mounts("data"), shared_claims=None), {}),
    ("autoscalers were not looked at", Reason.FACT_MISSING, story(findings=(room(),)), {}),
    ("KEDA's objects may not be read", Reason.FACT_MISSING, story(findings=(NOBODY, room(), UNREADABLE)), {}),
    (
        "replicas applied by GitOps",
        Reason.OWNED_BY_GITOPS,
        edited(
            lambda item: item["metadata"].update(
                managedFields=[{"manager": "argocd", "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}}]
            )
        ),
        {},
    ),
    ("at the cap", Reason.AT_CAP, story(steady(10)), {}),
    ("above the cap", Reason.AT_CAP, story(steady(12)), {}),
    ("no room in the quota", Reason.NO_ROOM, story(findings=(NOBODY, room(quota=0))), {}),
    ("room in the quota only for a surge", Reason.NO_ROOM, story(findings=(NOBODY, room(quota=2))), {}),
    ("no room on the nodes", Reason.NO_ROOM, story(findings=(NOBODY, room(nodes=0))), {}),
    ("the quota is not evaluated", Reason.FACT_MISSING, story(findings=(NOBODY, room(quota=None))), {}),
    ("room was not looked at", Reason.FACT_MISSING, story(findings=(NOBODY,)), {}),
    (
        "two autoscalers",
        Reason.AUTOSCALER_AMBIGUOUS,
        story(findings=(scaled_by(hpa(), hpa(name="other")), room())),
        {"hpa": "raise"},
    ),
    (
        "an autoscaler below its maximum",
        Reason.AUTOSCALER_ACTS,
        story(findings=(scaled_by(hpa(current=3, desired=3, at_max=False, is_limited=False)), room())),
        {"hpa": "raise"},
    ),
    (
        "an autoscaler at its maximum that wants no more",
        Reason.AUTOSCALER_ACTS,
        story(findings=(scaled_by(hpa(is_limited=False)), room())),
        {"hpa": "raise"},
    ),
    ("an autoscaler that wants more", Reason.AUTOSCALER_AT_LIMIT, story(findings=(scaled_by(hpa()), room())), {}),
    ("an autoscaler at the cap", Reason.AT_CAP, story(findings=(scaled_by(hpa(max=10)), room())), {"hpa": "raise"}),
    ("an autoscaler without room", Reason.NO_ROOM, story(findings=(scaled_by(hpa()), room(nodes=0))), {"hpa": "raise"}),
    (
        "an autoscaler of which it is not known whether it sees",
        Reason.FACT_MISSING,
        story(findings=(scaled_by(hpa(is_active=None)), room())),
        {"hpa": "raise"},
    ),
    (
        "KEDA's autoscaler",
        Reason.OWNED_BY_CONTROLLER,
        story(findings=(scaled_by(hpa(owner="ScaledObject/checkout")), room())),
        {"hpa": "raise"},
    ),
    (
        "KEDA, paused",
        Reason.OWNED_BY_CONTROLLER,
        story(findings=(scaled_by(hpa(kind="ScaledObject", is_limited=None, is_active=None)), room())),
        {"hpa": "raise"},
    ),
    (
        "an operator's autoscaler",
        Reason.OWNED_BY_CONTROLLER,
        story(findings=(scaled_by(hpa(owner="WebApp/checkout")), room())),
        {"hpa": "raise"},
    ),
    (
        "an autoscaler from Git",
        Reason.OWNED_BY_GITOPS,
        story(findings=(scaled_by(hpa(gitops="Argo CD application shop")), room())),
        {"hpa": "raise"},
    ),
    (
        "a rollout under an autoscaler",
        Reason.ROLLOUT_RUNNING,
        replace(edited(progressing("ReplicaSetUpdated")), findings=(scaled_by(hpa()), room())),
        {"hpa": "raise"},
    ),
]


@pytest.mark.parametrize(
    ("reason", "of", "parameters"), [row[1:] for row in REFUSALS], ids=[row[0] for row in REFUSALS]
)
def test_refuses_by_name(reason: Reason, of: Case, parameters: dict[str, Any]) -> None:
    answer = plan(of, **parameters)

    assert isinstance(answer, NoPlan)
    assert answer.reason is reason, answer.detail


def test_no_row_is_caught_by_two_preconditions() -> None:
    """The negative control: taken out of the list, each would let its rows through."""
    for name, _, of, parameters in REFUSALS:
        view = View(of, Parameters(**{"max_replicas": 10, **parameters}))
        refusals = [refusal for asked in PRECONDITIONS if (refusal := asked(view)) is not None]
        assert len(refusals) <= 1, name


def test_every_precondition_has_a_row_that_refuses() -> None:
    views = [View(of, Parameters(**{"max_replicas": 10, **parameters})) for _, _, of, parameters in REFUSALS]
    assert [n for n, asked in enumerate(PRECONDITIONS) if not any(map(asked, views))] == []


GOES: list[tuple[str, Case, dict[str, Any], int]] = [
    ("by half", story(steady(4)), {}, 6),
    ("by half, rounded up", story(steady(3)), {}, 5),
    ("by one at least", story(steady(1)), {"step": 0.1}, 2),
    ("up to the cap", story(steady(4)), {"max_replicas": 5}, 5),
    ("to what the quota lets in beside a surge of a quarter", story(findings=(NOBODY, room(quota=3))), {}, 5),
    ("to what fits on the nodes", story(findings=(NOBODY, room(nodes=1))), {}, 5),
    ("by one where the nodes are unknown", story(findings=(NOBODY, room(nodes=None))), {}, 5),
    ("a StatefulSet that the rule names", stateful(), STS, 6),
    ("a claim that many may write", story(mounts("data"), shared_claims=frozenset({"data"})), {}, 6),
    (
        "beside a pod on its way out",
        story(pods=(pod() | {"metadata": {"name": "x", "deletionTimestamp": "t"}},)),
        {},
        6,
    ),
    (
        "template applied by GitOps, replicas not",
        edited(
            lambda item: item["metadata"].update(
                managedFields=[{"manager": "ci", "operation": "Apply", "fieldsV1": {"f:spec": {"f:template": {}}}}]
            )
        ),
        {},
        6,
    ),
]


@pytest.mark.parametrize(("of", "parameters", "after"), [row[1:] for row in GOES], ids=[row[0] for row in GOES])
def test_goes_one_step(of: Case, parameters: dict[str, Any], after: int) -> None:
    """The negative control of the refusals: near each of them, what goes through and how far."""
    answer = plan(of, **parameters)

    assert isinstance(answer, Plan), answer
    assert answer.after == {"replicas": after}


def test_patches_the_scale_subresource_with_a_test_on_the_old_number() -> None:
    answer = plan(story())

    assert isinstance(answer, Plan)
    (step,) = answer.steps
    assert step.request.path == "/apis/apps/v1/namespaces/shop/deployments/checkout/scale"
    assert step.request.content_type == "application/json-patch+json"
    assert step.request.body == [
        {"op": "test", "path": "/metadata/uid", "value": TARGET.uid},
        {"op": "test", "path": "/spec/replicas", "value": 4},
        {"op": "replace", "path": "/spec/replicas", "value": 6},
    ]
    assert (step.told_by, step.touched, step.pointer) == (ToldBy.VALUE, TARGET, ("spec", "replicas"))
    assert step.inverse is not None
    assert step.inverse.body[1:] == [
        {"op": "test", "path": "/spec/replicas", "value": 6},
        {"op": "replace", "path": "/spec/replicas", "value": 4},
    ]
    assert answer.details["kubectl"].endswith("scale deployment/checkout --current-replicas=4 --replicas=6")


@pytest.mark.parametrize(
    ("facts", "field", "before", "after"),
    [
        ({}, "maxReplicas", 4, 6),
        ({"is_active": False, "is_limited": None, "current": 3, "max": 8}, "minReplicas", 2, 5),
        ({"is_active": False, "is_limited": None, "current": 3, "max": 4}, "minReplicas", 2, 4),
    ],
    ids=["at its maximum", "blind", "blind, no higher than its maximum"],
)
def test_raises_a_bound_of_the_autoscaler_and_never_touches_the_replicas(
    facts: dict[str, Any], field: str, before: int, after: int
) -> None:
    answer = plan(story(findings=(scaled_by(hpa(**facts)), room())), hpa="raise")

    assert isinstance(answer, Plan), answer
    (step,) = answer.steps
    assert step.request.path == "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers/checkout"
    assert step.request.body == [
        {"op": "test", "path": "/metadata/uid", "value": "h-1"},
        {"op": "test", "path": f"/spec/{field}", "value": before},
        {"op": "replace", "path": f"/spec/{field}", "value": after},
        {"op": "test", "path": "/metadata/annotations", "value": None},
        {"op": "add", "path": "/metadata/annotations", "value": {}},
        {"op": "add", "path": "/metadata/annotations/remediator.io~1last-action", "value": "a" * 32},
    ]
    assert (step.told_by, step.touched.kind, step.touched.uid) == (ToldBy.MARK, "HorizontalPodAutoscaler", "h-1")
    assert step.inverse is not None
    assert {"op": "test", "path": f"/spec/{field}", "value": after} in step.inverse.body
    assert answer.target == TARGET


def test_annotations_of_the_autoscaler_stay() -> None:
    answer = plan(story(findings=(scaled_by(hpa(is_annotated=True)), room())), hpa="raise")

    assert isinstance(answer, Plan)
    assert "/metadata/annotations" not in [operation["path"] for operation in answer.steps[0].request.body]


@pytest.mark.parametrize(
    ("facts", "command"),
    [
        ({}, """kubectl -n shop patch hpa checkout --type=merge -p '{"spec":{"maxReplicas":6}}'"""),
        (
            {"owner": "ScaledObject/jobs"},
            "if it is at its maximum: kubectl -n shop patch scaledobject jobs --type=merge"
            """ -p '{"spec":{"maxReplicaCount":10}}'""",
        ),
    ],
    ids=["HPA", "KEDA"],
)
def test_recommends_the_exact_command(facts: dict[str, Any], command: str) -> None:
    answer = plan(story(findings=(scaled_by(hpa(**facts)), room())))

    assert isinstance(answer, NoPlan)
    assert answer.advice == command


def test_its_check_always_watches_it() -> None:
    """Whatever the rule expects: a scale that somebody sets back must not be called verified."""
    answer = plan(story())

    assert isinstance(answer, Plan)
    assert answer.proof.expect == ("rollout-complete", "pods-ready", HELD)
    assert HELD in CHECKS


@pytest.mark.parametrize(
    ("text", "after"), [({}, timedelta(minutes=30)), ({"restore_after": "1h"}, timedelta(hours=1)), ("none", None)]
)
def test_is_for_a_time_unless_told_otherwise(text: Any, after: timedelta | None) -> None:
    answer = plan(story(), **(text if isinstance(text, dict) else {"restore_after": text}))

    assert isinstance(answer, Plan)
    assert answer.restore_after == after


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_replicas": 1},
        {"step": 0},
        {"step": 2},
        {"restore_after": "1m"},
        {"restore_after": "2d"},
        {"hpa": "yes"},
        {"kinds": []},
        {"kinds": ["DaemonSet"]},
        {"replicas": 5},
    ],
    ids=str,
)
def test_parameters_out_of_bounds_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Parameters(**{"max_replicas": 10, **wrong})


def test_the_cap_is_required() -> None:
    with pytest.raises(ValidationError):
        Parameters.model_validate({})
