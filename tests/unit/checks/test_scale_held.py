"""`scale-held`: the number is still ours, nobody else decides on it, and its pods are let in."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from remediator.actions.scale import Scale
from remediator.actions.scale.parameters import Parameters
from remediator.checks.base import Look, Scene
from remediator.checks.scale_held import ScaleHeld
from remediator.clock import rfc3339
from remediator.kube.base import Forbidden, path_of
from remediator.model import Finding, Plan
from tests.fakes import FakeCluster
from tests.unit.checks.worlds import ACTED_AT, GOOD, scene
from tests.workloads import TARGET, case, deployment, replica_set, workload

NOBODY = Finding("autoscaling", "", {"autoscalers": [], "vertical": []})
ROOM = Finding("headroom", "", {"quota_pods": 100, "node_pods": 100, "tightest": ""})
BLIND = {
    "kind": "HorizontalPodAutoscaler",
    "name": "checkout",
    "uid": "h-1",
    "min": 1,
    "max": 8,
    "current": 2,
    "desired": 2,
    "is_active": False,
    "is_limited": None,
    "owner": None,
    "gitops": None,
    "is_annotated": True,
}
QUOTA = 'pods "x" is forbidden: exceeded quota: small'
HPAS = path_of("HorizontalPodAutoscaler", namespace="shop")
Edit = Callable[[dict[str, Any]], Any]


def live(replicas: int = 3, *, ready: int | None = None, kind: str = "Deployment") -> dict[str, Any]:
    item = deployment(GOOD, replicas=replicas)
    count = replicas if ready is None else ready
    item["status"] |= {name: count for name in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")}
    return item | {"kind": kind}


def plan(*, kind: str = "Deployment", autoscaler: bool = False) -> Plan:
    """From two replicas to three, or the lower bound of an autoscaler from one to three."""
    found = Finding("autoscaling", "", {"autoscalers": [BLIND], "vertical": []}) if autoscaler else NOBODY
    sets = (replica_set(3, GOOD, created=ACTED_AT - timedelta(days=2)),)
    item = live(2, kind=kind)
    of = case(workload(object=item, replica_sets=sets), target=replace(TARGET, kind=kind), findings=(found, ROOM))
    answer = Scale().plan(of, Parameters(max_replicas=9, hpa="raise", kinds=("Deployment", "StatefulSet")))
    assert isinstance(answer, Plan), answer
    return answer


def written_by(manager: str, field: str, at: str = "2026-11-23T12:01:00Z") -> dict[str, Any]:
    return {"manager": manager, "time": at, "fieldsV1": {"f:spec": {f"f:{field}": {}}}}


def edited(edit: Edit, *, replicas: int = 3) -> dict[str, Any]:
    item = copy.deepcopy(live(replicas))
    edit(item)
    return item


def hpa(**spec: Any) -> dict[str, Any]:
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout"}
    return {
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "checkout", "namespace": "shop", "uid": "h-1"},
        "spec": {"scaleTargetRef": reference, "minReplicas": 3, "maxReplicas": 8, **spec},
    }


def budget(**spec: Any) -> dict[str, Any]:
    selector = {"matchLabels": {"app": "checkout"}}
    metadata = {"name": "enough", "namespace": "shop", "uid": "b"}
    return {"kind": "PodDisruptionBudget", "metadata": metadata, "spec": {"selector": selector, **spec}}


def failed(message: str) -> Edit:
    entry = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
    return lambda item: item["status"]["conditions"].append(entry)


def set_back(manager: str, replicas: int) -> dict[str, Any]:
    def edit(item: dict[str, Any]) -> None:
        mine = written_by("remediator", "replicas", "2026-11-23T12:00:00Z")
        item["metadata"]["managedFields"] = [written_by(manager, "replicas"), mine]

    return edited(edit, replicas=replicas)


def looked(*items: dict[str, Any], **changes: Any) -> Scene:
    return scene(**{"plan": plan(), "cluster": FakeCluster(*items), **changes})


CASES: list[tuple[str, Scene, Look, str]] = [
    ("held, and all are ready", looked(live()), Look.PASSED, "3 of 3 replicas ready"),
    ("one is still to come", looked(live(ready=2)), Look.WAITING, "2 of 3 replicas ready"),
    (
        "not observed yet",
        looked(edited(lambda item: item["status"].update(observedGeneration=6))),
        Look.WAITING,
        "3 of 3 replicas ready",
    ),
    ("set back", looked(set_back("argocd", 2)), Look.FAILED, "was set back to 2 by argocd"),
    ("set further", looked(set_back("kubectl", 9)), Look.UNKNOWN, "was set to 9 by kubectl"),
    (
        "set further long after it helped: there is nothing to give back",
        looked(set_back("kubectl", 9), gives_back=True),
        Look.PASSED,
        "nothing of ours is left",
    ),
    ("gone", looked(), Look.FAILED, "is gone"),
    ("another of that name", looked(edited(lambda i: i["metadata"].update(uid="d-9"))), Look.FAILED, "was replaced"),
    ("an autoscaler came", looked(live(), hpa()), Look.UNKNOWN, "HorizontalPodAutoscaler checkout decides"),
    (
        "an autoscaler of something else",
        looked(live(), hpa(scaleTargetRef={"kind": "StatefulSet", "name": "checkout"})),
        Look.PASSED,
        "",
    ),
    ("a quota is in the way", looked(edited(failed(QUOTA))), Look.FAILED, "exceeded quota: small"),
    ("the controller had a hiccup", looked(edited(failed("timeout"))), Look.PASSED, ""),
    ("the budget is looked at when it is given back", looked(live(), budget(minAvailable=3)), Look.PASSED, ""),
    (
        "a budget that giving back would break",
        looked(live(), budget(minAvailable=3), gives_back=True),
        Look.WAITING,
        "disruption budget enough wants 3 available, 2 would be left",
    ),
    ("a budget that allows it", looked(live(), budget(minAvailable=2), gives_back=True), Look.PASSED, ""),
    ("a budget by share", looked(live(), budget(maxUnavailable=0), gives_back=True), Look.PASSED, ""),
    (
        "another workload's budget",
        looked(live(), budget(minAvailable=3) | {"spec": {"minAvailable": 3, "selector": {"matchLabels": {"a": "b"}}}}),
        Look.PASSED,
        "",
    ),
    ("a bound that is held", looked(live(), hpa(), plan=plan(autoscaler=True)), Look.PASSED, "3 of 3"),
    (
        "a bound that was set back",
        looked(live(), hpa(minReplicas=1), plan=plan(autoscaler=True)),
        Look.FAILED,
        "minReplicas of shop/horizontalpodautoscaler/checkout was set back to 1 by someone",
    ),
]


@pytest.mark.parametrize(("of", "look", "detail"), [row[1:] for row in CASES], ids=[row[0] for row in CASES])
async def test_looks(of: Scene, look: Look, detail: str) -> None:
    result = await ScaleHeld().look(of)

    assert result.look is look, result.detail
    assert detail in result.detail


def event(message: str, *, minutes: float) -> dict[str, Any]:
    return {
        "kind": "CoreEvent",
        "metadata": {"name": "e", "namespace": "shop"},
        "involvedObject": {"uid": TARGET.uid},
        "reason": "FailedCreate",
        "message": message,
        "lastTimestamp": rfc3339(ACTED_AT + timedelta(minutes=minutes)),
    }


@pytest.mark.parametrize(
    ("said", "look"),
    [
        (event(QUOTA, minutes=1), Look.FAILED),
        (event(QUOTA, minutes=-5), Look.WAITING),
        (event("timeout", minutes=1), Look.WAITING),
    ],
    ids=["since the action", "from before", "no refusal"],
)
async def test_a_stateful_set_tells_in_its_events(said: dict[str, Any], look: Look) -> None:
    """It has no condition for it."""
    item = live(3, ready=2, kind="StatefulSet")
    result = await ScaleHeld().look(looked(item, said, plan=plan(kind="StatefulSet")))

    assert result.look is look, result.detail


async def test_what_may_not_be_read_is_not_called_held() -> None:
    cluster = FakeCluster(live())
    cluster.errors[HPAS] = Forbidden("no")

    with pytest.raises(Forbidden):
        await ScaleHeld().look(looked(cluster=cluster))
