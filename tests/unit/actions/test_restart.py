"""The `restart` action: where it refuses, and the exact patch; what a history still holds after one more restart."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from remediator.actions.base import Case, NoPlan
from remediator.actions.restart import Restart
from remediator.actions.restart.preconditions import PRECONDITIONS, Parameters, max_away
from remediator.clock import rfc3339
from remediator.kube.ownership import LAST_ACTION
from remediator.kube.restarts import RESTARTED_AT
from remediator.model import Finding, Plan, ToldBy
from remediator.reasons import Reason
from tests.workloads import NOW, TARGET, case, deployment, replica_set, template, workload

GOOD, OLD = template("shop/checkout:1.4"), template("shop/checkout:1.3")
HOUR = timedelta(hours=1)
Json = dict[str, Any]


def at(ago: timedelta, base: Json = GOOD) -> Json:
    """The template as a restart that long ago has left it."""
    restarted = copy.deepcopy(base)
    restarted["metadata"]["annotations"] = {RESTARTED_AT: rfc3339(NOW - ago)}
    return restarted


def steady(pod_template: Json = GOOD, **spec: Any) -> Json:
    """The Deployment long after a rollout, all pods of one template."""
    item = deployment(copy.deepcopy(pod_template), **spec)
    replicas = item["spec"]["replicas"]
    item["status"] |= dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), replicas)
    return item


def sets(*templates: Json) -> tuple[Json, ...]:
    """ReplicaSets of these templates, newest first."""
    days = range(1, len(templates) + 1)
    numbers = range(len(templates), 0, -1)
    return tuple(
        replica_set(number, one, created=NOW - timedelta(days=day))
        for number, one, day in zip(numbers, templates, days, strict=True)
    )


def story(item: Json | None = None, history: tuple[Json, ...] = sets(GOOD, OLD), **facts: Any) -> Case:
    findings = facts.pop("findings", ())
    return case(workload(object=item or steady(), replica_sets=history, **facts), findings=findings)


def edited(edit: Callable[[Json], Any], **facts: Any) -> Case:
    item = steady()
    edit(item)
    return story(item, **facts)


def pod(name: str = "checkout-3-a", *, state: Json | None = None, **status: Any) -> Json:
    running = {"running": {"startedAt": rfc3339(NOW - timedelta(minutes=1))}}
    container = {"name": "app", "restartCount": 0, "ready": True, "state": state or running, **status}
    return {
        "metadata": {"name": name, "namespace": "shop", "uid": f"uid-{name}"},
        "spec": {"nodeName": "n-1", "containers": [{"name": "app"}]},
        "status": {"phase": "Running", "containerStatuses": [container]},
    }


def waiting(reason: str) -> Json:
    return {"waiting": {"reason": reason}}


BETWEEN_CRASHES: Json = {"restartCount": 4, "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}}}
UNPLACED = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}]


def owned_by_flux(kind: str) -> Callable[[Json], Any]:
    return lambda item: item["metadata"].update(labels={f"{kind}.toolkit.fluxcd.io/name": "shop"})


def applied(item: Json) -> None:
    entry = {"manager": "ci", "operation": "Apply", "fieldsV1": {"f:spec": {"f:template": {}}}}
    item["metadata"]["managedFields"] = [entry]


def rolling(**bounds: Any) -> Json:
    return {"type": "RollingUpdate", "rollingUpdate": bounds}


def revision(number: int, held: Json) -> Json:
    metadata = {"name": f"r-{number}", "creationTimestamp": rfc3339(NOW - timedelta(days=9 - number))}
    return {"metadata": metadata, "revision": number, "data": {"spec": {"template": {**held, "$patch": "replace"}}}}


def ordered(kind: str = "StatefulSet", *, revisions: Any = None, status: Json | None = None, **spec: Any) -> Case:
    """A StatefulSet or DaemonSet of three, complete."""
    item = steady(replicas=3, **spec)
    item["kind"] = kind
    item["spec"].pop("strategy")
    item["status"] |= {"currentRevision": "r-2", "updateRevision": "r-2", "desiredNumberScheduled": 3}
    item["status"] |= {"updatedNumberScheduled": 3} | (status or {})
    if kind == "DaemonSet":
        item["spec"].pop("replicas")
    held = [revision(1, OLD), revision(2, GOOD)] if revisions is None else revisions
    picture = workload(object=item, replica_sets=(), controller_revisions=held)
    return replace(case(picture), target=replace(TARGET, kind=kind))


def unread_history() -> Case:
    found = ordered()
    return replace(found, workload=replace(found.workload, controller_revisions=None))


REFUSALS: list[tuple[str, Reason, Case]] = [
    ("a CronJob", Reason.TARGET_UNSUPPORTED, replace(story(), target=replace(TARGET, kind="CronJob"))),
    (
        "being deleted",
        Reason.BEING_DELETED,
        edited(lambda item: item["metadata"].update(deletionTimestamp="2026-11-23T12:00:00Z")),
    ),
    (
        "opted out of restarts",
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
    ("a Flux HelmRelease, which may take it back", Reason.OWNED_BY_GITOPS, edited(owned_by_flux("helm"))),
    ("a template applied by a pipeline", Reason.OWNED_BY_GITOPS, edited(applied)),
    ("Recreate", Reason.UNSUPPORTED_STRATEGY, story(steady(strategy={"type": "Recreate"}))),
    ("OnDelete", Reason.UNSUPPORTED_STRATEGY, ordered(updateStrategy={"type": "OnDelete"})),
    ("a partition", Reason.UNSUPPORTED_STRATEGY, ordered(updateStrategy=rolling(partition=1))),
    ("scaled to zero", Reason.SCALED_TO_ZERO, edited(lambda item: item["spec"].update(replicas=0))),
    ("in back-off", Reason.CRASH_LOOP, story(pods=(pod(state=waiting("CrashLoopBackOff"), ready=False),))),
    ("between two crashes", Reason.CRASH_LOOP, story(pods=(pod(**BETWEEN_CRASHES),))),
    ("an image that is not pulled", Reason.CRASH_LOOP, story(pods=(pod(state=waiting("ImagePullBackOff")),))),
    ("not observed", Reason.ROLLOUT_RUNNING, edited(lambda item: item["status"].update(observedGeneration=6))),
    ("pods of a former revision", Reason.ROLLOUT_RUNNING, edited(lambda i: i["status"].update(updatedReplicas=1))),
    (
        "the rollout is stuck",
        Reason.ROLLOUT_RUNNING,
        edited(lambda item: item["status"]["conditions"][0].update(reason="ProgressDeadlineExceeded")),
    ),
    ("a StatefulSet between two revisions", Reason.ROLLOUT_RUNNING, ordered(status={"currentRevision": "r-1"})),
    (
        "a DaemonSet between two revisions",
        Reason.ROLLOUT_RUNNING,
        ordered("DaemonSet", status={"updatedNumberScheduled": 2}),
    ),
    (
        "pods may not be created",
        Reason.NO_ROOM,
        story(findings=(Finding("quota-exceeded", "quota q is used", {"quota": "q"}),)),
    ),
    (
        "a pod has no place",
        Reason.PODS_UNSCHEDULABLE,
        story(pods=({"metadata": {"name": "z"}, "spec": {}, "status": {"conditions": UNPLACED}},)),
    ),
    (
        "one replica without a surge",
        Reason.NO_SPARE_POD,
        story(steady(replicas=1, strategy=rolling(maxSurge=0, maxUnavailable=1))),
    ),
    ("all away at once", Reason.NO_SPARE_POD, story(steady(strategy=rolling(maxSurge=1, maxUnavailable="100%")))),
    (
        "a StatefulSet of one",
        Reason.NO_SPARE_POD,
        replace(ordered(), workload=replace(ordered().workload, object=ordered().workload.object | {
            "spec": ordered().workload.object["spec"] | {"replicas": 1}
        })),
    ),
    ("a DaemonSet on no node", Reason.SCALED_TO_ZERO, ordered("DaemonSet", status={"desiredNumberScheduled": 0})),
    ("a DaemonSet on one node", Reason.NO_SPARE_POD, ordered("DaemonSet", status={"desiredNumberScheduled": 1})),
    ("restarted within the hour", Reason.RESTARTED_LATELY, story(steady(at(HOUR / 2)))),
    (
        "restarted three times today",
        Reason.RESTARTED_LATELY,
        story(steady(at(2 * HOUR)), sets(at(2 * HOUR), at(8 * HOUR), at(20 * HOUR), OLD)),
    ),
    (
        "the other release would go",
        Reason.HISTORY_WOULD_BE_LOST,
        story(steady(revisionHistoryLimit=1), sets(GOOD, OLD)),
    ),
    (
        "the tenth restart of the same release",
        Reason.HISTORY_WOULD_BE_LOST,
        story(steady(at(99 * HOUR)), sets(*(at((99 + n) * HOUR) for n in range(10)), OLD)),
    ),
    (
        "no history is kept",
        Reason.HISTORY_WOULD_BE_LOST,
        story(steady(revisionHistoryLimit=0), sets(GOOD, OLD)),
    ),
    (
        "a StatefulSet's other release would go",
        Reason.HISTORY_WOULD_BE_LOST,
        ordered(revisionHistoryLimit=1),
    ),
    ("the history may not be read", Reason.FACT_MISSING, unread_history()),
]


def plan(of: Case) -> Plan | NoPlan:
    return Restart().plan(of, Parameters())


@pytest.mark.parametrize(("reason", "of"), [row[1:] for row in REFUSALS], ids=[row[0] for row in REFUSALS])
def test_refuses_by_name(reason: Reason, of: Case) -> None:
    answer = plan(of)

    assert isinstance(answer, NoPlan)
    assert answer.reason is reason, answer.detail


def test_no_row_is_caught_by_two_preconditions() -> None:
    """The negative control: taken out of the list, each would let its rows through."""
    for name, _, of in REFUSALS:
        assert sum(asked(of) is not None for asked in PRECONDITIONS) == 1, name


def test_every_precondition_has_a_row_that_refuses() -> None:
    assert [n for n, asked in enumerate(PRECONDITIONS) if not any(asked(of) for *_, of in REFUSALS)] == []


GOES: list[tuple[str, Case]] = [
    ("a Deployment", story()),
    ("a StatefulSet", ordered()),
    ("a DaemonSet", ordered("DaemonSet")),
    ("one replica with its default surge", story(steady(replicas=1))),
    (
        "Argo CD's, which leaves the annotation",
        edited(
            lambda item: item["metadata"]["annotations"].update(
                {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/checkout"}
            )
        ),
    ),
    ("a Flux Kustomization's, which leaves it too", edited(owned_by_flux("kustomize"))),
    ("a pod that crashed once", story(pods=(pod(**(BETWEEN_CRASHES | {"restartCount": 1})),))),
    (
        "a pod that has run well for long since it crashed",
        story(pods=(pod(**BETWEEN_CRASHES, state={"running": {"startedAt": rfc3339(NOW - HOUR)}}),)),
    ),
    ("a pod that starts", story(pods=(pod(state=waiting("ContainerCreating"), ready=False),))),
    (
        "a crashed pod on its way out",
        story(pods=(pod(**BETWEEN_CRASHES) | {"metadata": {"name": "x", "deletionTimestamp": "t"}},)),
    ),
    ("restarted an hour ago", story(steady(at(HOUR)))),
    ("restarted twice today", story(steady(at(2 * HOUR)), sets(at(2 * HOUR), at(8 * HOUR), OLD))),
    ("restarted at no time that can be read", story(steady(template(annotations={RESTARTED_AT: "lately"})))),
    ("the ninth restart", story(steady(at(99 * HOUR)), sets(*(at((99 + n) * HOUR) for n in range(9)), OLD))),
    ("a first release, of which no restart takes anything", story(steady(revisionHistoryLimit=1), sets(GOOD))),
]


@pytest.mark.parametrize("of", [row[1] for row in GOES], ids=[row[0] for row in GOES])
def test_goes(of: Case) -> None:
    """Near each refusal, what goes through."""
    assert isinstance(plan(of), Plan), plan(of)


def test_an_old_controller_keeps_replica_sets_by_age() -> None:
    """The other release's ReplicaSet was used again: by number it is the newest but one, by age the oldest."""
    again, older = sets(GOOD, OLD)
    again["metadata"]["creationTimestamp"] = rfc3339(NOW - timedelta(days=1))
    older["metadata"]["creationTimestamp"] = rfc3339(NOW - timedelta(days=90))
    middle = replica_set(0, at(99 * HOUR), created=NOW - timedelta(days=40))

    answer = plan(story(steady(revisionHistoryLimit=2), (again, older, middle)))

    assert isinstance(answer, NoPlan)
    assert answer.reason is Reason.HISTORY_WOULD_BE_LOST


AWAY: list[tuple[str, Json, int, int]] = [
    ("Deployment", {}, 1, 0),
    ("Deployment", {}, 4, 1),
    ("Deployment", {}, 7, 1),
    ("Deployment", rolling(maxSurge="0%", maxUnavailable="0%"), 3, 1),
    ("Deployment", rolling(maxSurge=0, maxUnavailable="50%"), 3, 1),
    ("Deployment", rolling(maxSurge=1, maxUnavailable=9), 3, 3),
    ("StatefulSet", {}, 3, 1),
    ("StatefulSet", rolling(maxUnavailable="50%"), 3, 2),
    ("DaemonSet", {}, 3, 1),
    ("DaemonSet", rolling(maxUnavailable="34%"), 3, 2),
    ("DaemonSet", rolling(maxSurge=1, maxUnavailable=0), 3, 0),
]


@pytest.mark.parametrize(("kind", "chosen", "wanted", "away"), AWAY)
def test_counts_what_an_update_takes_away_at_once(kind: str, chosen: Json, wanted: int, away: int) -> None:
    """As each controller rounds it."""
    field = "strategy" if kind == "Deployment" else "updateStrategy"
    assert max_away({"spec": {field: chosen}}, kind, wanted) == away


def test_patches_kubectls_annotation_under_tests() -> None:
    answer = plan(story(steady(at(2 * HOUR))))

    assert isinstance(answer, Plan)
    (step,) = answer.steps
    assert step.request.path == "/apis/apps/v1/namespaces/shop/deployments/checkout"
    assert step.request.query == {"fieldManager": "remediator"}
    assert step.request.body == [
        {"op": "test", "path": "/metadata/uid", "value": TARGET.uid},
        {"op": "test", "path": "/metadata/generation", "value": 7},
        {
            "op": "add",
            "path": "/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt",
            "value": rfc3339(NOW),
        },
        {"op": "add", "path": f"/metadata/annotations/{LAST_ACTION.replace('/', '~1')}", "value": "a" * 32},
    ]
    assert (step.told_by, step.generation, step.inverse, answer.is_reversible) == (ToldBy.MARK, 7, None, False)
    assert answer.before == {"restartedAt": rfc3339(NOW - 2 * HOUR)}
    assert answer.details["kubectl"] == "kubectl -n shop rollout restart deployment/checkout"


def test_maps_that_are_not_there_are_made_under_a_test() -> None:
    """What came meanwhile would be lost else."""
    answer = plan(edited(lambda item: item["metadata"].pop("annotations")))

    assert isinstance(answer, Plan)
    body = answer.steps[0].request.body
    for path in ("/spec/template/metadata/annotations", "/metadata/annotations"):
        made = body.index({"op": "add", "path": path, "value": {}})
        assert body[made - 1] == {"op": "test", "path": path, "value": None}


def test_the_release_is_the_same_afterwards() -> None:
    """So that the checks find the template as it was to be, and the ledger has nothing new."""
    answer = plan(story(steady(at(2 * HOUR))))
    fresh = plan(story())

    assert isinstance(answer, Plan)
    assert isinstance(fresh, Plan)
    assert answer.template_hash == fresh.template_hash
    assert not {"from_hash", "to_hash"} & answer.details.keys()


def test_the_second_is_the_finest_that_kubectl_writes() -> None:
    odd = datetime(2026, 11, 23, 12, 0, 0, 987654, tzinfo=NOW.tzinfo)

    answer = plan(replace(story(), now=odd))

    assert isinstance(answer, Plan)
    assert answer.after == {"restartedAt": "2026-11-23T12:00:00Z"}


def test_has_no_parameters() -> None:
    with pytest.raises(ValidationError):
        Parameters.model_validate({"force": True})
