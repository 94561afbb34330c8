"""The `rollback` action on StatefulSets and DaemonSets: what is read, refused and sent otherwise than for others."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from remediator.actions.base import Case, NoPlan
from remediator.actions.rollback import Rollback
from remediator.actions.rollback.parameters import Parameters
from remediator.clock import rfc3339
from remediator.kube.rollout import meaningful_hash
from remediator.model import Finding, Plan, ToldBy
from remediator.reasons import Reason
from remediator.store.base import TemplateEvent
from tests.workloads import NOW, ROLLOUT_AT, TARGET, alert, case, template, workload

OLD, NEW = template("shop/checkout:1.4"), template("shop/checkout:1.5")
RESTARTED = template("shop/checkout:1.5", annotations={"kubectl.kubernetes.io/restartedAt": "2026-11-23T11:50:00Z"})
Object = dict[str, Any]
ALL = Parameters(kinds=("Deployment", "StatefulSet", "DaemonSet"))
WELL = Finding("node", "node n-1: ready True", {"node": "n-1", "ready": "True"})


def revision(number: int, held: Object, *, name: str = "", created: datetime = ROLLOUT_AT) -> Object:
    """As the controllers write it."""
    name = name or f"checkout-{number}"
    return {
        "metadata": {
            "name": name,
            "uid": name,
            "creationTimestamp": rfc3339(created),
            "labels": {"app": "checkout", "controller-revision-hash": name.removeprefix("checkout-")},
        },
        "data": {"spec": {"template": {**copy.deepcopy(held), "$patch": "replace"}}},
        "revision": number,
    }


def pod(name: str, of: str, *, ready: bool, created: datetime = ROLLOUT_AT, **changes: Any) -> Object:
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return {
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": f"uid-{name}",
            "creationTimestamp": rfc3339(created),
            "labels": {"controller-revision-hash": of},
            **changes,
        },
        "spec": {"nodeName": "n-1", "containers": [{"name": "app"}]},
        "status": {"conditions": conditions},
    }


def workload_of(kind: str, live: Object = NEW, **spec: Any) -> Object:
    return {
        "kind": kind,
        "metadata": {"name": "checkout", "namespace": "shop", "uid": TARGET.uid, "generation": 7},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": {"app": "checkout"}},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
            "template": live,
            **spec,
        },
        "status": {"observedGeneration": 7, "currentRevision": "checkout-2", "updateRevision": "checkout-3"},
    }


HISTORY = (revision(3, NEW), revision(2, OLD, created=NOW - timedelta(days=2)))
LONG_AGO = NOW - timedelta(days=2)
PODS = (
    pod("checkout-0", "checkout-2", ready=True, created=LONG_AGO),
    pod("checkout-1", "checkout-2", ready=True, created=LONG_AGO),
    pod("checkout-2", "checkout-3", ready=False),
)
DAEMONS = (pod("checkout-a", "2", ready=True, created=LONG_AGO), pod("checkout-b", "3", ready=False))


def story(
    kind: str = "StatefulSet",
    item: Object | None = None,
    *,
    revisions: Sequence[Object] | None = HISTORY,
    pods: Sequence[Object] | None = None,
    findings: tuple[Finding, ...] = (WELL,),
    **changes: Any,
) -> Case:
    """The last pod of three (or one of two nodes') has got the bad release, and the update waits for it."""
    picture = workload(
        object=item or workload_of(kind),
        replica_sets=(),
        pods=pods if pods is not None else PODS if kind == "StatefulSet" else DAEMONS,
        controller_revisions=revisions,
    )
    return case(picture, findings=findings, **{"target": replace(TARGET, kind=kind), **changes})


def plan(of: Case, parameters: Parameters = ALL) -> Plan | NoPlan:
    return Rollback().plan(of, parameters)


def edited(edit: Callable[[Object], Any], kind: str = "StatefulSet") -> Case:
    item = workload_of(kind)
    edit(item)
    return story(kind, item)


def with_pods(*pods: Object, **more: Any) -> Case:
    return story(pods=pods, **more)


def event(kind: str, held: Object) -> TemplateEvent:
    return TemplateEvent(TARGET.uid, meaningful_hash(held), kind, NOW - timedelta(hours=1))


def of_another_format() -> Sequence[Object]:
    odd = revision(2, OLD, created=LONG_AGO)
    odd["data"] = {"raw": "AAEC"}
    return (revision(3, NEW), odd)


ON_DELETE = {"updateStrategy": {"type": "OnDelete"}}
PARTITION = {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}}
SICK = Finding("node", "node n-1: ready Unknown", {"node": "n-1", "ready": "Unknown"})
NEW_ONES = tuple(pod(f"checkout-{n}", "checkout-3", ready=False) for n in range(3))

REFUSALS: list[tuple[str, Reason, Case]] = [
    ("revisions may not be listed", Reason.FACT_MISSING, story(revisions=None)),
    ("the strategy waits for people", Reason.UNSUPPORTED_STRATEGY, edited(lambda i: i["spec"].update(ON_DELETE))),
    (
        "a DaemonSet's strategy too",
        Reason.UNSUPPORTED_STRATEGY,
        edited(lambda i: i["spec"].update(ON_DELETE), "DaemonSet"),
    ),
    ("a partition keeps pods back", Reason.UNSUPPORTED_STRATEGY, edited(lambda i: i["spec"].update(PARTITION))),
    ("the spec is not observed", Reason.NOT_OBSERVED, edited(lambda i: i["status"].update(observedGeneration=6))),
    ("the newest revision is not the live template", Reason.NOT_OBSERVED, story(item=workload_of("StatefulSet", OLD))),
    ("one revision only", Reason.NO_HISTORY, story(revisions=HISTORY[:1])),
    ("a format that is not the controller's", Reason.NO_HISTORY, story(revisions=of_another_format())),
    (
        "only a restart differs",
        Reason.NO_DIFFERENT_REVISION,
        story(item=workload_of("StatefulSet", RESTARTED), revisions=(revision(3, RESTARTED), revision(2, NEW))),
    ),
    (
        "complete, and all revisions are old",
        Reason.NOT_RECENT,
        with_pods(
            *(pod(f"checkout-{n}", "checkout-3", ready=False, created=LONG_AGO) for n in range(3)),
            revisions=(revision(3, NEW, created=LONG_AGO), revision(2, OLD, created=LONG_AGO)),
        ),
    ),
    (
        "complete, and the revision was used again: nobody can say when",
        Reason.NOT_RECENT,
        with_pods(
            *NEW_ONES, revisions=(revision(3, NEW, created=LONG_AGO), revision(2, OLD, created=NOW - timedelta(days=1)))
        ),
    ),
    ("no pod of the new revision yet", Reason.NOT_RECENT, with_pods(*PODS[:2])),
    (
        "the alert began before its first pod",
        Reason.NOT_RECENT,
        story(alert=alert(starts_at=ROLLOUT_AT - timedelta(minutes=1))),
    ),
    ("no pod of the former revision is ready", Reason.PREVIOUS_NOT_PROVEN_GOOD, with_pods(*NEW_ONES)),
    (
        "the former revision was left before",
        Reason.ALREADY_ROLLED_BACK,
        story(ledger=(event("rolled-back-from", OLD),)),
    ),
    ("we put this one there", Reason.ALREADY_ROLLED_BACK, story(ledger=(event("installed", NEW),))),
    ("deployed again", Reason.REDEPLOYED_AFTER_ROLLBACK, story(ledger=(event("rolled-back-from", NEW),))),
    ("the node of the broken pod is away", Reason.NODE_NOT_READY, story(findings=(SICK,))),
    ("the node of the broken pod was not looked at", Reason.FACT_MISSING, story(findings=())),
]


@pytest.mark.parametrize(("reason", "of"), [row[1:] for row in REFUSALS], ids=[row[0] for row in REFUSALS])
def test_refuses_by_name(reason: Reason, of: Case) -> None:
    answer = plan(of)

    assert isinstance(answer, NoPlan)
    assert answer.reason is reason, answer.detail


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet"])
def test_acts_only_on_kinds_that_the_rule_names(kind: str) -> None:
    answer = plan(story(kind), Parameters())

    assert isinstance(answer, NoPlan)
    assert (answer.reason, answer.is_escalation) == (Reason.TARGET_UNSUPPORTED, False)
    assert isinstance(plan(story(kind)), Plan), "the negative control: named, it goes through"


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet"])
def test_patches_the_template_and_nothing_else_of_the_spec(kind: str) -> None:
    """Bound to uid and generation; volumeClaimTemplates and the format of what is in them are not ours."""
    answer = plan(story(kind))

    assert isinstance(answer, Plan)
    operations = {(op["op"], op["path"]): op["value"] for op in answer.steps[0].request.body}
    assert operations[("test", "/metadata/uid")] == TARGET.uid
    assert operations[("test", "/metadata/generation")] == 7
    assert operations[("replace", "/spec/template")] == OLD
    assert [path for _, path in operations if path.startswith("/spec")] == ["/spec/template"]
    assert answer.steps[0].request.path.endswith(f"/{kind.lower()}s/checkout")
    assert "$patch" not in answer.after


def test_evicts_the_broken_pod_after_the_controller_has_seen_the_patch() -> None:
    answer = plan(story())

    assert isinstance(answer, Plan)
    _, eviction = answer.steps
    assert eviction.request.path == "/api/v1/namespaces/shop/pods/checkout-2/eviction"
    assert eviction.request.body["apiVersion"] == "policy/v1"
    assert eviction.request.body["deleteOptions"] == {"preconditions": {"uid": "uid-checkout-2"}}
    assert (eviction.told_by, eviction.after_observed, eviction.inverse) == (ToldBy.GONE, True, None)
    assert "evict checkout-2" in answer.summary
    assert answer.details["kubectl"].endswith("--to-revision=2 && kubectl -n shop delete pod checkout-2")


EVICTED: list[tuple[str, Case, list[str]]] = [
    (
        "the highest ordinal first, also beyond nine",
        with_pods(
            PODS[0],
            pod("checkout-9", "checkout-3", ready=False),
            pod("checkout-10", "checkout-3", ready=False),
        ),
        ["checkout-10", "checkout-9"],
    ),
    ("no pod that is ready", with_pods(PODS[0], pod("checkout-2", "checkout-3", ready=True)), []),
    (
        "no pod of the release that comes back",
        with_pods(PODS[0], pod("checkout-1", "checkout-2", ready=False), PODS[2]),
        ["checkout-2"],
    ),
    (
        "no pod that goes already",
        with_pods(PODS[0], pod("checkout-2", "checkout-3", ready=False, deletionTimestamp="2026-11-23T12:00:00Z")),
        [],
    ),
    (
        "nobody where pods do not wait for each other",
        edited(lambda i: i["spec"].update(podManagementPolicy="Parallel")),
        [],
    ),
    ("nobody of a DaemonSet", story("DaemonSet"), []),
    (
        "a pod without a node",
        with_pods(PODS[0], pod("checkout-2", "checkout-3", ready=False) | {"spec": {"containers": []}}, findings=()),
        ["checkout-2"],
    ),
]


@pytest.mark.parametrize(("of", "names"), [row[1:] for row in EVICTED], ids=[row[0] for row in EVICTED])
def test_evicts_only_what_is_in_the_way(of: Case, names: list[str]) -> None:
    answer = plan(of)

    assert isinstance(answer, Plan), answer
    assert [step.touched.name for step in answer.steps[1:]] == names


def test_a_revision_used_again_is_recent_while_its_rollout_runs() -> None:
    """Its creation time says days ago; pods of another revision that are still there say now."""
    used_again = (revision(3, NEW, created=LONG_AGO), revision(2, OLD, created=LONG_AGO))

    assert isinstance(plan(story(revisions=used_again)), Plan)


def test_goes_past_a_restart_to_the_last_different_release() -> None:
    revisions = (revision(4, RESTARTED), revision(3, NEW), revision(2, OLD, created=LONG_AGO))
    item = workload_of("StatefulSet", RESTARTED)
    pods = (PODS[0], pod("checkout-2", "checkout-4", ready=False))
    answer = plan(story(item=item, revisions=revisions, pods=pods))

    assert isinstance(answer, Plan)
    assert (answer.details["from_revision"], answer.details["to_revision"]) == (4, 2)


def test_a_completed_rollout_is_undone_where_the_former_release_is_on_record() -> None:
    """With `Parallel`, no pod of the former release is left to prove it."""
    of = with_pods(*NEW_ONES, ledger=(event("seen-good", OLD),))

    assert isinstance(plan(of), Plan)
