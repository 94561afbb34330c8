"""The `rollback` action: its 14 preconditions, each refusing by name, and the exact patch when all hold."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from remediator.actions.base import Case, NoPlan
from remediator.actions.rollback import Rollback
from remediator.actions.rollback.parameters import Parameters
from remediator.actions.rollback.preconditions import PRECONDITIONS, View
from remediator.actions.rollback.revisions import read_revisions
from remediator.clock import rfc3339
from remediator.kube.rollout import WATCH_FOR, meaningful_hash
from remediator.kube.workload import Workload
from remediator.model import Finding, Plan
from remediator.reasons import Reason
from remediator.store.base import TemplateEvent
from remediator.store.rollouts_base import Rollout, RolloutState
from tests.workloads import NOW, ROLLOUT_AT, TARGET, alert, case, deployment, replica_set, template, workload

OLD, NEW = template("shop/checkout:1.4"), template("shop/checkout:1.5")


def plan(of: Case) -> Plan | NoPlan:
    return Rollback().plan(of, Parameters())


def changed(edit: Callable[[dict[str, Any]], None]) -> Case:
    """The story with its Deployment edited."""
    item = copy.deepcopy(workload().object)
    edit(item)
    return case(workload(object=item))


def with_config(name: str) -> dict[str, Any]:
    one = template("shop/checkout:1.5")
    one["spec"]["containers"][0]["envFrom"] = [{"configMapRef": {"name": name}}]
    return one


def event(kind: str, pod_template: dict[str, Any]) -> TemplateEvent:
    return TemplateEvent(TARGET.uid, meaningful_hash(pod_template), kind, NOW - timedelta(hours=1))


def with_sets(live: dict[str, Any], *sets: dict[str, Any], **more: Any) -> Case:
    return case(workload(object=deployment(live), replica_sets=sets, **more))


RESTARTED = template("shop/checkout:1.5", annotations={"kubectl.kubernetes.io/restartedAt": "2026-11-23T11:50:00Z"})
CHECKSUM = template("shop/checkout:1.5", annotations={"checksum/config": "b"})
CHECKSUM_BEFORE = template("shop/checkout:1.5", annotations={"checksum/config": "a"})


def current(one: dict[str, Any]) -> dict[str, Any]:
    return replica_set(3, one, created=ROLLOUT_AT)


def previous(one: dict[str, Any], *, ready: int = 2) -> dict[str, Any]:
    return replica_set(2, one, created=NOW - timedelta(days=2), ready=ready)


REFUSALS: list[tuple[str, int, Reason, Case]] = [
    ("not observed", 1, Reason.NOT_OBSERVED, changed(lambda d: d["status"].update(observedGeneration=6))),
    (
        "no ReplicaSet for the live template yet: kubectl would go back two releases",
        1,
        Reason.NOT_OBSERVED,
        with_sets(template("shop/checkout:1.6"), current(NEW), previous(OLD)),
    ),
    (
        "revision annotation behind its ReplicaSet",
        1,
        Reason.NOT_OBSERVED,
        changed(lambda d: d["metadata"]["annotations"].update({"deployment.kubernetes.io/revision": "2"})),
    ),
    ("paused", 2, Reason.PAUSED, changed(lambda d: d["spec"].update(paused=True))),
    (
        "being deleted",
        2,
        Reason.BEING_DELETED,
        changed(lambda d: d["metadata"].update(deletionTimestamp="2026-11-23T12:00:00Z")),
    ),
    (
        "unknown strategy",
        2,
        Reason.UNSUPPORTED_STRATEGY,
        changed(lambda d: d["spec"].update(strategy={"type": "OnDelete"})),
    ),
    (
        "owned by an operator",
        3,
        Reason.OWNED_BY_CONTROLLER,
        changed(
            lambda d: d["metadata"].update(
                ownerReferences=[{"kind": "Canary", "name": "checkout", "uid": "c", "controller": True}]
            )
        ),
    ),
    (
        "owned by Argo CD",
        4,
        Reason.OWNED_BY_GITOPS,
        changed(
            lambda d: d["metadata"]["annotations"].update(
                {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/checkout"}
            )
        ),
    ),
    (
        "owned by Flux",
        4,
        Reason.OWNED_BY_GITOPS,
        changed(lambda d: d["metadata"].update(labels={"kustomize.toolkit.fluxcd.io/name": "shop"})),
    ),
    (
        "owned by a server-side applier",
        4,
        Reason.OWNED_BY_GITOPS,
        changed(
            lambda d: d["metadata"].update(
                managedFields=[{"manager": "ci", "operation": "Apply", "fieldsV1": {"f:spec": {"f:template": {}}}}]
            )
        ),
    ),
    (
        "only a restart differs",
        5,
        Reason.NO_DIFFERENT_REVISION,
        with_sets(RESTARTED, current(RESTARTED), previous(NEW)),
    ),
    (
        "only a Helm checksum differs",
        6,
        Reason.ONLY_CHECKSUM_DIFFERS,
        with_sets(CHECKSUM, current(CHECKSUM), previous(CHECKSUM_BEFORE)),
    ),
    (
        "only a Helm checksum was added",
        6,
        Reason.ONLY_CHECKSUM_DIFFERS,
        with_sets(CHECKSUM, current(CHECKSUM), previous(NEW)),
    ),
    (
        "a ConfigMap changed after the rollout",
        7,
        Reason.CONFIG_CHANGED,
        with_sets(
            with_config("env"),
            current(with_config("env")),
            previous(OLD),
            config_maps={"env": NOW - timedelta(minutes=1)},
        ),
    ),
    (
        "ConfigMaps may not be read",
        7,
        Reason.FACT_MISSING,
        with_sets(with_config("env"), current(with_config("env")), previous(OLD), config_maps=None),
    ),
    (
        "the previous revision needs a ConfigMap that is gone",
        8,
        Reason.REFERENCE_MISSING,
        with_sets(NEW, current(NEW), previous(with_config("env-4f2"))),
    ),
    (
        "whether the previous revision's ConfigMap exists is not known",
        8,
        Reason.FACT_MISSING,
        with_sets(NEW, current(NEW), previous(with_config("env-4f2")), config_maps=None),
    ),
    (
        "the rollout is too old",
        9,
        Reason.NOT_RECENT,
        case(now=NOW + timedelta(hours=3)),
    ),
    (
        "the alert began before the rollout",
        9,
        Reason.NOT_RECENT,
        case(alert=alert(starts_at=ROLLOUT_AT - timedelta(minutes=1))),
    ),
    (
        "the previous revision has no ready pod and no past",
        10,
        Reason.PREVIOUS_NOT_PROVEN_GOOD,
        with_sets(NEW, current(NEW), previous(OLD, ready=0)),
    ),
    (
        "the previous revision was rolled back from before",
        11,
        Reason.ALREADY_ROLLED_BACK,
        case(ledger=(event("rolled-back-from", OLD),)),
    ),
    (
        "the present template was installed by us",
        11,
        Reason.ALREADY_ROLLED_BACK,
        case(ledger=(event("installed", NEW),)),
    ),
    (
        "someone deployed again what we had rolled back",
        12,
        Reason.REDEPLOYED_AFTER_ROLLBACK,
        case(ledger=(event("rolled-back-from", NEW),)),
    ),
    ("no history is kept", 13, Reason.NO_HISTORY, changed(lambda d: d["spec"].update(revisionHistoryLimit=0))),
    ("one revision only", 13, Reason.NO_HISTORY, with_sets(NEW, current(NEW))),
    (
        "the workload opts out",
        14,
        Reason.OPTED_OUT,
        changed(lambda d: d["metadata"]["annotations"].update({"remediator.io/mode": "off"})),
    ),
    (
        "the namespace allows only restarts",
        14,
        Reason.OPTED_OUT,
        case(workload(namespace={"metadata": {"name": "shop", "annotations": {"remediator.io/actions": "restart"}}})),
    ),
    ("the namespace may not be read", 14, Reason.FACT_MISSING, case(workload(namespace=None))),
]


@pytest.mark.parametrize(("number", "reason", "of"), [row[1:] for row in REFUSALS], ids=[row[0] for row in REFUSALS])
def test_precondition_refuses_by_name_and_number(number: int, reason: Reason, of: Case) -> None:
    answer = plan(of)

    assert isinstance(answer, NoPlan)
    assert (answer.reason, answer.detail.split(":")[0]) == (reason, f"precondition {number}")


def test_every_precondition_has_a_row_that_refuses() -> None:
    """The negative control of the table: a precondition taken out of it would leave its rows without their refusal."""
    assert {row[1] for row in REFUSALS} == {number for number, _ in PRECONDITIONS} == set(range(1, 15))


@pytest.mark.parametrize("number", [n for n in range(1, 15) if n not in (1, 5)])
def test_no_other_precondition_catches_what_this_one_refuses(number: int) -> None:
    """The negative control: without this one, its rows would go through (1 and 5 are needed to have a plan at all)."""
    for name, its_number, _, of in REFUSALS:
        view = View(of, read_revisions(of.workload), Parameters())
        if its_number == number and view.revisions.previous is not None:
            assert [n for n, holds in PRECONDITIONS if n != number and holds(view) is not None] == [], name


def test_plans_one_patch_bound_to_uid_and_generation() -> None:
    answer = plan(case())

    assert isinstance(answer, Plan)
    operations = {(op["op"], op["path"]): op["value"] for op in answer.steps[0].request.body}
    assert operations[("test", "/metadata/uid")] == TARGET.uid
    assert operations[("test", "/metadata/generation")] == 7
    assert operations[("replace", "/spec/template")] == OLD
    assert operations[("add", "/metadata/annotations/remediator.io~1last-action")] == "a" * 32
    assert "revision 3 to 2" in operations[("add", "/metadata/annotations/kubernetes.io~1change-cause")]
    assert answer.steps[0].request.content_type == "application/json-patch+json"
    assert ("replace", "/metadata/annotations") not in operations, "live annotations stay: kubectl drops them"


def test_the_inverse_requires_the_object_as_we_left_it() -> None:
    answer = plan(case())

    assert isinstance(answer, Plan)
    assert answer.steps[0].inverse is not None
    tests = {op["path"]: op["value"] for op in answer.steps[0].inverse.body if op["op"] == "test"}
    assert tests == {
        "/metadata/uid": TARGET.uid,
        "/metadata/annotations/remediator.io~1last-action": "a" * 32,
        "/spec/template": OLD,
    }
    assert {"op": "replace", "path": "/spec/template", "value": NEW} in answer.steps[0].inverse.body


def test_goes_past_a_restart_to_the_last_different_release() -> None:
    """kubectl would restore the same image after `rollout restart`; we go to the release before it."""
    sets = (
        replica_set(4, RESTARTED, created=ROLLOUT_AT),
        replica_set(3, NEW, created=NOW - timedelta(hours=1)),
        previous(OLD),
    )
    answer = plan(case(workload(object=deployment(RESTARTED, revision=4), replica_sets=sets)))

    assert isinstance(answer, Plan)
    assert answer.details["to_revision"] == 2


@pytest.mark.parametrize(
    "proof",
    [
        {"ledger": (event("seen-good", OLD),)},
        {"findings": (Finding("revision-was-available", "", {"replica_set": "checkout-2", "seconds": 900.0}),)},
    ],
    ids=["our own ledger", "Prometheus"],
)
def test_a_previous_revision_without_ready_pods_is_taken_when_its_past_is_proven(proof: dict[str, Any]) -> None:
    picture = workload(replica_sets=(current(NEW), previous(OLD, ready=0)))

    assert isinstance(plan(case(picture, **proof)), Plan)


def test_five_minutes_of_availability_are_not_enough() -> None:
    picture = workload(replica_sets=(current(NEW), previous(OLD, ready=0)))
    short = Finding("revision-was-available", "", {"replica_set": "checkout-2", "seconds": 300.0})

    answer = plan(case(picture, findings=(short,)))

    assert isinstance(answer, NoPlan)
    assert answer.reason is Reason.PREVIOUS_NOT_PROVEN_GOOD


def test_a_reused_replica_set_does_not_make_an_old_rollout_recent() -> None:
    """Its creation time is old; the bound is the newest ReplicaSet's, and the completion time speaks as well."""
    item = deployment(NEW)
    item["status"]["conditions"][0]["lastUpdateTime"] = "2026-11-20T00:00:00Z"
    sets = (
        replica_set(3, NEW, created=NOW - timedelta(days=9), reused=True),
        replica_set(2, OLD, created=NOW - timedelta(days=3), ready=2),
    )
    answer = plan(case(workload(object=item, replica_sets=sets)))

    assert isinstance(answer, NoPlan)
    assert answer.reason is Reason.NOT_RECENT


def seen(pod_template: dict[str, Any], **ago: float) -> Rollout:
    """What the deployment watch keeps of a release that it saw come and complete, that long ago."""
    at = NOW - timedelta(**ago)
    return Rollout(
        id=1,
        target=TARGET,
        template_hash=meaningful_hash(pod_template),
        revision=3,
        images={},
        started_at=at,
        is_exact=True,
        first_seen_at=at,
        completed_at=at,
        watched_until=at + WATCH_FOR,
        deployed_by=None,
        state=RolloutState.WATCHED,
    )


def test_the_deployment_watch_knows_better_when_a_release_came() -> None:
    """It saw it come five hours ago; the ReplicaSet that a restart made says ten minutes."""
    answer = plan(case(workload(seen_rollout=seen(NEW, hours=5))))

    assert isinstance(answer, NoPlan)
    assert answer.reason is Reason.NOT_RECENT
    assert isinstance(plan(case(workload(seen_rollout=seen(NEW, minutes=9)))), Plan)
    assert isinstance(plan(case(workload(seen_rollout=seen(OLD, hours=5)))), Plan), "of another release it says nothing"


def went_back_to(pod_template: dict[str, Any], **changes: Any) -> Workload:
    """Someone deployed an old release again a moment ago: its ReplicaSet is the oldest of all, and its pods fail."""
    item = deployment(pod_template)
    item["status"]["conditions"][0] |= {"reason": "ReplicaSetUpdated", "lastUpdateTime": rfc3339(NOW)}
    sets = (
        replica_set(3, pod_template, created=NOW - timedelta(days=9), reused=True),
        replica_set(2, OLD, created=NOW - timedelta(days=3), ready=2),
    )
    return workload(object=item, replica_sets=sets, **changes)


def test_an_alert_from_before_someone_went_back_is_not_of_what_they_went_back_to() -> None:
    """The creation of a ReplicaSet that is used again does not say when that was, so that nothing relates the two."""
    answer = plan(case(went_back_to(NEW)))

    assert isinstance(answer, NoPlan)
    assert answer.reason is Reason.NOT_RECENT
    assert "whose start is not known" in answer.detail


def test_the_deployment_watch_relates_an_alert_to_a_reused_replica_set() -> None:
    assert isinstance(plan(case(went_back_to(NEW, seen_rollout=seen(NEW, minutes=6)))), Plan)

    later = plan(case(went_back_to(NEW, seen_rollout=seen(NEW, minutes=3))))
    assert isinstance(later, NoPlan)
    assert "before the rollout" in later.detail
