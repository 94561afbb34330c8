"""The `resize` action: where it refuses, which container it takes, how far it goes, and the exact patch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from remediator.actions.base import Case, NoPlan
from remediator.actions.resize import RESIZED, Resize
from remediator.actions.resize.choice import Chosen, choose
from remediator.actions.resize.parameters import Parameters
from remediator.actions.resize.preconditions import POD, WORKLOAD
from remediator.checks import CHECKS
from remediator.kube.quantities import binary_quantity, quantity
from remediator.model import Finding, Plan, ToldBy
from remediator.reasons import Reason
from tests.unit.actions.test_evict import pod as ready_pod
from tests.unit.actions.test_restart import sets, steady
from tests.workloads import TARGET, alert, case, workload

Json = dict[str, Any]
MI = 2**20
FULL, OTHER = "checkout-3-a", "checkout-3-b"
GOOD = steady()["spec"]["template"]

NO_VPA = Finding("autoscaling", "no autoscaler", {"autoscalers": [], "vertical": []})
ROOM = Finding("headroom", "room for 5", {"quota_pods": 10, "node_pods": 5, "tightest": ""})


def used(ratio: float | None, name: str = FULL, container: str = "app") -> Finding:
    facts = {"pod": name, "container": container, "working_set_bytes": 1, "limit_bytes": 1, "ratio": ratio}
    return Finding("memory", f"{name} at {ratio}", facts)


FOUND = (NO_VPA, ROOM, used(0.95))


def pod(
    name: str = FULL, *, limit: str | None = "100Mi", request: str = "64Mi", quality: str = "Burstable", **more: Any
) -> Json:
    """A ready pod whose kubelet has put into force what it asks for."""
    resources = {"requests": {"memory": request}} | ({"limits": {"memory": limit}} if limit else {})
    item = ready_pod(name, resources=resources)
    item["spec"]["containers"][0] |= {"resources": resources, **more}
    item["status"]["qosClass"] = quality
    return item


def story(*pods: Json, item: Json | None = None, findings: tuple[Finding, ...] = FOUND, **facts: Any) -> Case:
    picture = workload(object=item or steady(), replica_sets=sets(GOOD), pods=pods or (pod(), pod(OTHER)), **facts)
    return case(picture, findings=findings, alert=alert(labels={"alertname": "A", "namespace": "shop"}))


def edited(edit: Callable[[Json], Any]) -> Case:
    item = steady()
    edit(item)
    return story(item=item)


def of_pod(edit: Callable[[Json], Any], **facts: Any) -> Case:
    item = pod()
    edit(item)
    return story(item, pod(OTHER), **facts)


def without(*kinds: str) -> tuple[Finding, ...]:
    return tuple(finding for finding in FOUND if finding.kind not in kinds)


def vpa(mode: str, target: int | None = None) -> tuple[Finding, ...]:
    one = {"name": "checkout", "mode": mode, "target_memory_bytes": target}
    return (*without("autoscaling"), Finding("autoscaling", "", {"autoscalers": [], "vertical": [one]}))


def room(quota: int | None, nodes: int | None) -> tuple[Finding, ...]:
    return (*without("headroom"), Finding("headroom", "", {"quota_pods": quota, "node_pods": nodes, "tightest": ""}))


def quota(left: float | None, resource: str = "limits.memory") -> tuple[Finding, ...]:
    return (*FOUND, Finding("quota-left", "quota q", {"quota": "q", "left": {resource: left}}))


def limit_range(most: float, kind: str = "Container") -> tuple[Finding, ...]:
    return (*FOUND, Finding("limit-range", "", {"name": "l", "type": kind, "min": {}, "max": {"memory": most}}))


def says(kind: str) -> Callable[[Json], Any]:
    return lambda pod: pod["status"]["conditions"].append({"type": kind, "status": "True", "reason": "Deferred"})


def unready(pod: Json) -> None:
    pod["status"]["conditions"][0]["status"] = "False"


def on_node(ready: str, *pressure: str) -> tuple[Finding, ...]:
    return (*FOUND, Finding("node-fault", "", {"node": "n-2", "ready": ready, "pressure": list(pressure)}))


NO_RESTART = [{"resourceName": "memory", "restartPolicy": "NotRequired"}]
RESTART = [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]

WORKLOAD_REFUSALS: list[tuple[str, Reason, Case]] = [
    ("a Job", Reason.TARGET_UNSUPPORTED, replace(story(), target=replace(TARGET, kind="Job"))),
    (
        "being deleted",
        Reason.BEING_DELETED,
        edited(lambda item: item["metadata"].update(deletionTimestamp="2026-11-23T12:00:00Z")),
    ),
    (
        "opted out of resizes",
        Reason.OPTED_OUT,
        edited(lambda item: item["metadata"]["annotations"].update({"remediator.io/actions": "evict"})),
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
    ("mid-rollout", Reason.ROLLOUT_RUNNING, edited(lambda item: item["status"].update(updatedReplicas=1))),
]

POD_REFUSALS: list[tuple[str, Reason, Case]] = [
    (
        "a static pod",
        Reason.TARGET_PROTECTED,
        of_pod(lambda pod: pod["metadata"].update(annotations={"kubernetes.io/config.mirror": "x"})),
    ),
    (
        "switched off",
        Reason.OPTED_OUT,
        of_pod(lambda pod: pod["metadata"].update(annotations={"remediator.io/mode": "off"})),
    ),
    (
        "allowing something else",
        Reason.OPTED_OUT,
        of_pod(lambda pod: pod["metadata"].update(annotations={"remediator.io/actions": "evict"})),
    ),
    ("autoscalers were not looked at", Reason.FACT_MISSING, story(findings=without("autoscaling"))),
    (
        "VerticalPodAutoscalers may not be read",
        Reason.FACT_MISSING,
        story(findings=(*FOUND, Finding("unavailable", "403", {"what": "VerticalPodAutoscaler"}))),
    ),
    ("one that recreates pods", Reason.AUTOSCALER_ACTS, story(findings=vpa("Recreate"))),
    ("one that resizes pods", Reason.AUTOSCALER_ACTS, story(findings=vpa("InPlaceOrRecreate"))),
    ("one of the old default", Reason.AUTOSCALER_ACTS, story(findings=vpa("Auto"))),
    ("not running", Reason.NOT_RESIZABLE, of_pod(lambda pod: pod["status"].update(phase="Pending"))),
    (
        "a limit of the whole pod",
        Reason.NOT_RESIZABLE,
        of_pod(lambda pod: pod["spec"].update(resources={"limits": {"memory": "1Gi"}})),
    ),
    (
        "a policy that restarts it",
        Reason.NOT_RESIZABLE,
        of_pod(lambda pod: pod["spec"]["containers"][0].update(resizePolicy=RESTART)),
    ),
    ("a resize that waits", Reason.NOT_RESIZABLE, of_pod(says("PodResizePending"))),
    ("a resize that goes on", Reason.NOT_RESIZABLE, of_pod(says("PodResizeInProgress"))),
    (
        "another limit in force",
        Reason.NOT_RESIZABLE,
        of_pod(lambda pod: pod["status"]["containerStatuses"][0].update(resources={"limits": {"memory": "90Mi"}})),
    ),
    (
        "a kubelet that reports no limits",
        Reason.FACT_MISSING,
        of_pod(lambda pod: pod["status"]["containerStatuses"][0].pop("resources")),
    ),
    ("a limit that the pod does not have itself", Reason.FACT_MISSING, story(pod(limit=None))),
    ("its node is away", Reason.NODE_NOT_READY, story(findings=on_node("Unknown"))),
    ("its node is short of memory", Reason.NODE_NOT_READY, story(findings=on_node("True", "MemoryPressure"))),
    ("its node was not looked at", Reason.FACT_MISSING, of_pod(unready)),
]

SIZE_REFUSALS: list[tuple[str, Reason, Case, Json]] = [
    ("at the ceiling", Reason.AT_CAP, story(), {"ceiling": "100Mi"}),
    ("above the ceiling", Reason.AT_CAP, story(), {"ceiling": "50Mi"}),
    ("less than a MiB below the ceiling", Reason.AT_CAP, story(), {"ceiling": 100 * MI + 1}),
    ("a factor that adds nothing", Reason.AT_CAP, story(), {"factor": 1.001}),
    ("no quality of service", Reason.FACT_MISSING, story(pod(quality="")), {}),
    ("room was not looked at", Reason.FACT_MISSING, story(findings=without("headroom")), {}),
    ("room in quotas is not known", Reason.FACT_MISSING, story(findings=room(None, 5)), {}),
    ("room on nodes is not known", Reason.FACT_MISSING, story(findings=room(5, None)), {}),
    ("the nodes are full", Reason.NO_ROOM, story(findings=room(5, 0)), {}),
    ("a quota is used up", Reason.NO_ROOM, story(findings=quota(0.0)), {}),
    ("a quota is not counted yet", Reason.FACT_MISSING, story(findings=quota(None)), {}),
    (
        "limit ranges may not be read",
        Reason.FACT_MISSING,
        story(findings=(*FOUND, Finding("unavailable", "403", {"collector": "resources"}))),
        {},
    ),
    ("a limit range that is reached", Reason.NO_ROOM, story(findings=limit_range(100 * MI)), {}),
    (
        "a Guaranteed pod whose request has no quota left",
        Reason.NO_ROOM,
        story(pod(request="100Mi", quality="Guaranteed"), findings=quota(0.0, "requests.memory")),
        {},
    ),
]


def plan(of: Case, **parameters: Any) -> Plan | NoPlan:
    return Resize().plan(of, Parameters.model_validate({"ceiling": "1Gi", **parameters}))


@pytest.mark.parametrize(
    ("reason", "of"),
    [row[1:] for row in WORKLOAD_REFUSALS + POD_REFUSALS],
    ids=[row[0] for row in WORKLOAD_REFUSALS + POD_REFUSALS],
)
def test_refuses_by_name(reason: Reason, of: Case) -> None:
    answer = plan(of)

    assert isinstance(answer, NoPlan)
    assert answer.reason is reason, answer.detail


@pytest.mark.parametrize(
    ("reason", "of", "parameters"), [row[1:] for row in SIZE_REFUSALS], ids=[row[0] for row in SIZE_REFUSALS]
)
def test_refuses_a_size(reason: Reason, of: Case, parameters: Json) -> None:
    answer = plan(of, **parameters)

    assert isinstance(answer, NoPlan)
    assert answer.reason is reason, answer.detail


def chosen(of: Case) -> Chosen:
    found = choose(of)
    assert isinstance(found, Chosen)
    return found


def test_no_row_is_caught_by_two_preconditions() -> None:
    """The negative control: taken out of the list, each would let its rows through."""
    for name, _, of in WORKLOAD_REFUSALS + POD_REFUSALS:
        found = [refusal for asked in WORKLOAD if (refusal := asked(of)) is not None]
        if not found:
            found = [refusal for check in POD if (refusal := check(of, chosen(of))) is not None]
        assert len(found) == 1, (name, found)


def test_every_precondition_has_a_row_that_refuses() -> None:
    assert [n for n, asked in enumerate(WORKLOAD) if not any(asked(of) for *_, of in WORKLOAD_REFUSALS)] == []
    assert [n for n, asked in enumerate(POD) if not any(asked(of, chosen(of)) for *_, of in POD_REFUSALS)] == []


def about(**labels: str) -> Callable[[tuple[Finding, ...]], Case]:
    return lambda findings: replace(story(findings=(NO_VPA, ROOM, *findings)), alert=alert(labels=labels))


NOT_CHOSEN: list[tuple[str, Reason, Case]] = [
    ("nothing was measured", Reason.FACT_MISSING, story(findings=without("memory"))),
    ("only of a pod that is gone", Reason.FACT_MISSING, story(findings=(NO_VPA, ROOM, used(0.95, "gone")))),
    ("no limit", Reason.NOT_RESIZABLE, story(findings=(NO_VPA, ROOM, used(None)))),
    ("not nearly full", Reason.NO_POD, story(findings=(NO_VPA, ROOM, used(0.79)))),
    ("a sidecar", Reason.NOT_RESIZABLE, story(findings=(NO_VPA, ROOM, used(0.95, container="proxy")))),
    ("the alert's own is not full", Reason.NO_POD, about(pod=OTHER)((used(0.95), used(0.3, OTHER)))),
]


@pytest.mark.parametrize(("reason", "of"), [row[1:] for row in NOT_CHOSEN], ids=[row[0] for row in NOT_CHOSEN])
def test_no_container_is_taken_without_a_fact(reason: Reason, of: Case) -> None:
    answer = plan(of)

    assert isinstance(answer, NoPlan)
    assert answer.reason is reason, answer.detail


@pytest.mark.parametrize(
    ("of", "name"),
    [
        (about()((used(0.9), used(0.95, OTHER))), OTHER),
        (about(pod=FULL)((used(0.9), used(0.95, OTHER))), FULL),
        (about(pod="kube-state-metrics", exported_pod=FULL)((used(0.9), used(0.95, OTHER))), FULL),
        (about(pod="kube-state-metrics")((used(0.9), used(0.95, OTHER))), OTHER),
        (about(pod=FULL, container="app")((used(0.9), used(0.95, FULL, "proxy"))), FULL),
    ],
    ids=["the fullest", "the alert's pod", "its exported pod", "the exporter is none of these", "its container"],
)
def test_takes_the_fullest_that_the_alert_means(of: Case, name: str) -> None:
    assert chosen(of).pod["metadata"]["name"] == name


NO_CPU = Finding("unavailable", "", {"collector": "resources", "what": "CPU"})
NODE = Finding("node", "", {"node": "n-2", "ready": "True", "pressure": []})

SIZES: list[tuple[str, Case, Json, str]] = [
    ("by half", story(), {}, "150Mi"),
    ("to the double", story(), {"factor": 2}, "200Mi"),
    ("rounded down to a whole MiB", story(pod(limit="101Mi")), {}, "151Mi"),
    ("to the ceiling", story(), {"ceiling": "120Mi"}, "120Mi"),
    ("to the ceiling in whole MiB", story(), {"ceiling": 120 * MI + 5}, "120Mi"),
    ("in the words of the API server", story(pod(limit="1Gi")), {"ceiling": "8Gi"}, "1536Mi"),
    ("in its largest whole unit", story(pod(limit="1Gi")), {"ceiling": "8Gi", "factor": 2}, "2Gi"),
    ("from decimal amounts", story(pod(limit="100M")), {}, "143Mi"),
    ("to what the quota has left", story(findings=quota(20.0 * MI)), {}, "120Mi"),
    ("whatever a quota of other things has left", story(findings=quota(0.0, "pods")), {}, "150Mi"),
    ("whatever is left of requests", story(findings=quota(0.0, "requests.memory")), {}, "150Mi"),
    ("to the most of a limit range", story(findings=limit_range(130.0 * MI)), {}, "130Mi"),
    ("to the most of a pod", story(findings=limit_range(130.0 * MI, "Pod")), {}, "130Mi"),
    ("under one that only recommends", story(findings=vpa("Off")), {}, "150Mi"),
    ("with a policy that says so", story(pod(resizePolicy=NO_RESTART)), {}, "150Mi"),
    ("where only metrics are missing", story(findings=(*FOUND, NO_CPU)), {}, "150Mi"),
    ("a sick pod whose node was looked at", of_pod(unready, findings=(*FOUND, NODE)), {}, "150Mi"),
]


@pytest.mark.parametrize(("of", "parameters", "after"), [row[1:] for row in SIZES], ids=[row[0] for row in SIZES])
def test_goes(of: Case, parameters: Json, after: str) -> None:
    """Near each refusal, what goes through and how far; never less than before."""
    answer = plan(of, **parameters)

    assert isinstance(answer, Plan), answer
    assert answer.after["memory"] == after
    assert quantity(answer.before["memory"]) < quantity(after)


def test_other_containers_share_the_most_of_a_pod() -> None:
    full = pod()
    full["spec"]["containers"].append({"name": "proxy", "resources": {"limits": {"memory": "20Mi"}}})

    answer = plan(story(full, findings=limit_range(130.0 * MI, "Pod")))

    assert isinstance(answer, Plan)
    assert answer.after["memory"] == "110Mi"


@pytest.mark.parametrize("amount", [1, 100, 1023, 1024, 1536, 2048, 2**20, 3 * 2**20, 5 * 2**30])
def test_amounts_are_written_as_the_api_server_writes_them(amount: int) -> None:
    """The largest unit in which it is a whole number."""
    text = binary_quantity(amount * MI)

    assert quantity(text) == amount * MI
    number = int(text[:-2])
    assert number % 1024 or text.endswith("Pi")


@pytest.mark.parametrize("amount", [0, -MI, MI + 1])
def test_only_whole_mebibytes_are_written(amount: int) -> None:
    with pytest.raises(ValueError, match="no whole number"):
        binary_quantity(amount)


def test_patches_one_limit_under_tests() -> None:
    answer = plan(story())

    assert isinstance(answer, Plan)
    (step,) = answer.steps
    memory = "/spec/containers/0/resources/limits/memory"
    assert step.request.path == f"/api/v1/namespaces/shop/pods/{FULL}/resize"
    assert step.request.body == [
        {"op": "test", "path": "/metadata/uid", "value": f"uid-{FULL}"},
        {"op": "test", "path": "/spec/containers/0/name", "value": "app"},
        {"op": "test", "path": memory, "value": "100Mi"},
        {"op": "replace", "path": memory, "value": "150Mi"},
    ]
    assert step.pointer == ("spec", "containers", 0, "resources", "limits", "memory")
    assert (step.told_by, step.before, step.after) == (ToldBy.VALUE, "100Mi", "150Mi")
    assert (step.inverse, answer.is_reversible) == (None, False)


def test_a_guaranteed_pod_takes_its_request_with_it() -> None:
    """Else its quality of service would change, which the API server refuses."""
    answer = plan(story(pod(request="100Mi", quality="Guaranteed")))

    assert isinstance(answer, Plan)
    written = [op["path"].split("/")[-2:] for op in answer.steps[0].request.body if op["op"] == "replace"]
    assert written == [["limits", "memory"], ["requests", "memory"]]
    assert '"requests":{"memory":"150Mi"}' in answer.details["kubectl"]


def test_people_are_told_the_lasting_change_and_that_it_is_not_taken_back() -> None:
    answer = plan(story(findings=vpa("Initial", 300 * MI)))

    assert isinstance(answer, Plan)
    advice = answer.details["advice"]
    assert "kubectl -n shop set resources deployment/checkout -c app --limits=memory=150Mi" in advice
    assert "recommends 300 MiB" in advice
    assert "best effort" in advice
    assert "the next pod has the old one again" in answer.summary


def by_helm(item: Json) -> None:
    item["metadata"]["labels"] = {"app.kubernetes.io/managed-by": "Helm"}
    item["metadata"]["annotations"]["meta.helm.sh/release-name"] = "shop"


def by_flux(item: Json) -> None:
    item["metadata"]["labels"] = {"kustomize.toolkit.fluxcd.io/name": "shop"}


@pytest.mark.parametrize(("owner", "said"), [(by_helm, "Helm release shop"), (by_flux, "Flux Kustomization")])
def test_the_lasting_change_is_for_the_source(owner: Callable[[Json], None], said: str) -> None:
    """The pod itself is nobody's: who owns the template does not stand in the way."""
    answer = plan(edited(owner))

    assert isinstance(answer, Plan)
    assert f"in the source of {said}" in answer.details["advice"]


def test_it_is_always_watched_whether_the_kubelet_did_it() -> None:
    answer = plan(story())

    assert isinstance(answer, Plan)
    assert answer.proof.expect[-1] == RESIZED
    assert RESIZED in CHECKS


@pytest.mark.parametrize(
    "wrong",
    [{"ceiling": "lots"}, {"ceiling": "500m"}, {"ceiling": "1Ki"}, {"factor": 1}, {"factor": 2.1}, {"floor": "1Mi"}],
)
def test_what_is_no_bound_is_refused(wrong: Json) -> None:
    with pytest.raises(ValidationError):
        Parameters.model_validate({"ceiling": "1Gi", **wrong})


def test_the_ceiling_has_to_be_said() -> None:
    with pytest.raises(ValidationError):
        Parameters.model_validate({})
