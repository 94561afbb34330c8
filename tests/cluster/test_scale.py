"""`scale` on a real API server with its controllers: atomic, bounded, held against others, given back."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from remediator.actions.base import NoPlan
from remediator.actions.scale import HELD, Scale
from remediator.actions.scale.parameters import Parameters
from remediator.actions.write import Written, read_back
from remediator.checks.base import Look
from remediator.checks.base import Scene as CheckScene
from remediator.checks.scale_held import ScaleHeld
from remediator.clock import SystemClock
from remediator.diagnose.base import Scene
from remediator.diagnose.diagnose import diagnose
from remediator.kube.base import Conflict
from remediator.kube.client import KubernetesCluster
from remediator.kube.ownership import LAST_ACTION
from remediator.kube.scaling import scale_request
from remediator.kube.workload import read_workload
from remediator.model import Answer, Plan, Proof
from remediator.reasons import Reason
from tests.cluster.plans import GOOD, act, target_of, undo
from tests.cluster.steps import MERGE_PATCH, App, Object, stopped
from tests.cluster.waiting import wait_for, wait_for_async
from tests.workloads import alert, case

PROOF = Proof(("rollout-complete", HELD), timedelta(minutes=2), timedelta(seconds=1), "revert")


async def scaled(
    app: App, cluster: KubernetesCluster, *, item: Object | None = None, **parameters: Any
) -> Plan | NoPlan:
    """Steps 3 to 5 with all that the action needs to know. Without Prometheus the room on nodes is unknown."""
    item = item or app.live()
    target = target_of(item, item["kind"])
    picture = await read_workload(target, cluster, SystemClock())
    assert picture is not None
    now = datetime.now(UTC)
    scene = Scene(target, alert(starts_at=now), picture, cluster, None, now)
    found = await diagnose(("autoscaling", "resources", "scheduling"), scene)
    of = case(picture, target=target, findings=tuple(found.findings), now=now, proof=PROOF)
    return Scale().plan(of, Parameters(**{"max_replicas": 10, **parameters}))


async def plan_of(app: App, cluster: KubernetesCluster, **parameters: Any) -> Plan:
    answer = await scaled(app, cluster, **parameters)
    assert isinstance(answer, Plan), answer
    return answer


async def done(plan: Plan, cluster: KubernetesCluster) -> Written:
    return await act(plan, 0, cluster=cluster)


async def looks(plan: Plan, cluster: KubernetesCluster, since: datetime) -> tuple[Look, str]:
    scene = CheckScene(plan, alert(), since, datetime.now(UTC), cluster, None, {})
    result = await ScaleHeld().look(scene)
    return result.look, result.detail


def replicas(app: App) -> int:
    return int(app.live()["spec"]["replicas"])


def quota(app: App, **hard: str) -> None:
    """A ResourceQuota, once its controller has counted what is there."""
    item = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"}, "spec": {"hard": hard}}
    app.control_plane.apply(item, app.namespace)
    path = f"/api/v1/namespaces/{app.namespace}/resourcequotas/small"
    wait_for(
        lambda: app.control_plane.get(path).get("status", {}).get("used"), timeout_seconds=20, what="the quota counts"
    )


def autoscaler(app: App, **spec: Any) -> Object:
    """An HPA on cpu, of which nobody here has metrics: without them it keeps what is within its bounds."""
    metric = {
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}},
    }
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": app.name}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": app.name, "namespace": app.namespace},
        "spec": {"scaleTargetRef": reference, "metrics": [metric], "minReplicas": 1, "maxReplicas": 4, **spec},
    }


def hpa_path(app: App) -> str:
    return f"/apis/autoscaling/v2/namespaces/{app.namespace}/horizontalpodautoscalers/{app.name}"


def is_blind(app: App) -> bool:
    conditions = app.control_plane.get(hpa_path(app)).get("status", {}).get("conditions") or []
    return any((c["type"], c["status"]) == ("ScalingActive", "False") for c in conditions)


async def test_one_more_replica_comes_and_is_given_back(app: App, cluster: KubernetesCluster) -> None:
    """Done once, seen on the number itself, held while its pods come, and undone once."""
    app.deploy(GOOD)
    plan, since = await plan_of(app, cluster), datetime.now(UTC)
    assert plan.after == {"replicas": 3}, "the room on the nodes is unknown"
    reply = await cluster.send(plan.steps[0].request, dry_run=True)
    assert (reply["kind"], reply["spec"]["replicas"], replicas(app)) == ("Scale", 3, 2)

    assert (await done(plan, cluster)).answer is Answer.APPLIED
    again = await done(plan, cluster)

    assert again.answer is Answer.APPLIED, "the number says that it was done"
    app.settle()
    assert (await looks(plan, cluster, since))[0] is Look.PASSED
    assert (await undo(plan, 0, cluster=cluster)).answer is Answer.APPLIED
    assert (await undo(plan, 0, cluster=cluster)).answer is Answer.APPLIED
    assert replicas(app) == 2


async def test_to_zero_and_back(app: App, cluster: KubernetesCluster) -> None:
    """As `shed` does with other workloads. A Scale leaves zero out, so there is nothing to test or replace."""
    app.deploy(GOOD)
    target = target_of(app.live())

    down = await cluster.send(scale_request(target, 2, 0), dry_run=False)
    with pytest.raises(Conflict):
        await cluster.send(scale_request(target, 2, 0), dry_run=True)
    up = await cluster.send(scale_request(target, 0, 2), dry_run=False)
    with pytest.raises(Conflict):
        await cluster.send(scale_request(target, 0, 2), dry_run=True)

    assert ("replicas" in down["spec"], up["spec"]["replicas"], replicas(app)) == (False, 2, 2)


async def test_a_concurrent_scale_wins(app: App, cluster: KubernetesCluster) -> None:
    """422 without a cause: the test on the old number failed, inside the API server's own update."""
    app.deploy(GOOD)
    plan = await plan_of(app, cluster)
    app.kubectl("scale", "deployment/shop", "--replicas=4")

    with pytest.raises(Conflict):
        await cluster.send(plan.steps[0].request, dry_run=True)
    written = await done(plan, cluster)

    assert (written.answer, written.reason) == (Answer.NOT_APPLIED, Reason.CONFLICT)
    assert replicas(app) == 4
    assert (await undo(plan, 0, cluster=cluster)).reason is Reason.CONFLICT
    assert (await read_back(plan, 0, cluster=cluster)).reason is Reason.CHANGED_BY_SOMEONE_ELSE
    assert replicas(app) == 4


async def test_status_churn_does_not_stand_in_the_way(app: App, cluster: KubernetesCluster) -> None:
    """Only the number and the uid are tested, no resourceVersion."""
    app.deploy(GOOD)
    plan = await plan_of(app, cluster)
    churn = {"status": {"conditions": [{"type": "Churn", "status": "True", "reason": "Test", "message": ""}]}}
    app.control_plane.request("PATCH", f"{app.path}/status", churn, content_type=MERGE_PATCH)

    assert (await done(plan, cluster)).answer is Answer.APPLIED


async def test_another_deployment_of_that_name_is_not_scaled(app: App, cluster: KubernetesCluster) -> None:
    app.deploy(GOOD)
    plan = await plan_of(app, cluster)
    app.kubectl("delete", "deployment", "shop")
    app.deploy(GOOD)

    written = await done(plan, cluster)

    assert (written.answer, written.reason) == (Answer.NOT_APPLIED, Reason.CONFLICT)
    assert replicas(app) == 2


async def test_a_quota_without_room_is_seen_before(app: App, cluster: KubernetesCluster) -> None:
    """Neither the dry run nor the write would have said so: a quota looks at pods only."""
    app.deploy(GOOD)
    quota(app, pods="2")

    answer = await scaled(app, cluster)

    assert isinstance(answer, NoPlan)
    assert answer.reason is Reason.NO_ROOM


async def test_room_for_a_surge_is_kept(app: App, cluster: KubernetesCluster) -> None:
    """With three of three pods used, the next rollout could not begin."""
    app.deploy(GOOD)
    quota(app, pods="3")
    assert isinstance(await scaled(app, cluster), NoPlan)
    app.kubectl("patch", "resourcequota", "small", "-p", '{"spec":{"hard":{"pods":"4"}}}')

    async def goes() -> bool:
        return isinstance(await scaled(app, cluster), Plan)

    await wait_for_async(goes, timeout_seconds=10, what="room for a pod and a surge of one")


async def test_a_scale_that_a_quota_blocks_is_seen_at_once_and_undone(app: App, cluster: KubernetesCluster) -> None:
    """The quota came after the decision: the scale is accepted, no pod appears, and the controller says why."""
    app.deploy(GOOD)
    plan, since = await plan_of(app, cluster), datetime.now(UTC)
    quota(app, pods="2")

    assert (await done(plan, cluster)).answer is Answer.APPLIED

    async def fails() -> str:
        look, detail = await looks(plan, cluster, since)
        return detail if look is Look.FAILED else ""

    detail = await wait_for_async(fails, timeout_seconds=10, what="the check fails")
    assert "exceeded quota: small" in detail
    assert (await undo(plan, 0, cluster=cluster)).answer is Answer.APPLIED
    app.settle()
    assert replicas(app) == 2


async def test_a_quota_that_blocks_a_stateful_set_is_seen_in_its_events(app: App, cluster: KubernetesCluster) -> None:
    """A StatefulSet has no condition for it."""
    item = stateful(app)
    plan = await scaled(app, cluster, item=item, kinds=["StatefulSet"])
    assert isinstance(plan, Plan), plan
    since = datetime.now(UTC)
    quota(app, pods="2")

    assert (await done(plan, cluster)).answer is Answer.APPLIED

    async def fails() -> bool:
        look, detail = await looks(plan, cluster, since)
        return look is Look.FAILED and "exceeded quota: small" in detail

    await wait_for_async(fails, timeout_seconds=20, what="the check fails")
    assert (await undo(plan, 0, cluster=cluster)).answer is Answer.APPLIED


def stateful(app: App) -> Object:
    """Two replicas of it, ready."""
    spec = app.manifest(GOOD)["spec"] | {"serviceName": "shop"}
    item = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "shop"}, "spec": spec}
    app.control_plane.apply(item, app.namespace)
    path = f"/apis/apps/v1/namespaces/{app.namespace}/statefulsets/shop"

    def is_there() -> Object | None:
        found = app.control_plane.get(path)
        status = found.get("status", {})
        same = status.get("currentRevision") == status.get("updateRevision")
        return found if same and status.get("readyReplicas") == 2 else None

    found = wait_for(is_there, timeout_seconds=30, what="two pods of the StatefulSet")
    assert found is not None
    return found


async def test_an_autoscaler_that_sets_it_back_is_named(app: App, cluster: KubernetesCluster) -> None:
    """It came after the decision, with a lower maximum."""
    app.deploy(GOOD)
    plan, since = await plan_of(app, cluster), datetime.now(UTC)
    app.control_plane.apply(autoscaler(app, minReplicas=2, maxReplicas=2))

    assert (await done(plan, cluster)).answer is Answer.APPLIED

    async def reverted() -> str:
        look, detail = await looks(plan, cluster, since)
        return detail if look is Look.FAILED else ""

    detail = await wait_for_async(reverted, timeout_seconds=15, what="the autoscaler sets it back")
    assert detail.endswith("was set back to 2 by kube-controller-manager")


async def test_replicas_of_an_autoscaler_are_never_touched(app: App, cluster: KubernetesCluster) -> None:
    """Blind, it keeps what it has: the rule recommends its lower bound, with the command."""
    app.deploy(GOOD)
    app.control_plane.apply(autoscaler(app))
    wait_for(lambda: is_blind(app), timeout_seconds=20, what="the autoscaler says that it has no metrics")

    answer = await scaled(app, cluster)

    assert isinstance(answer, NoPlan)
    assert answer.reason is Reason.AUTOSCALER_AT_LIMIT
    assert answer.advice.startswith(f"kubectl -n {app.namespace} patch hpa shop ")


@pytest.mark.parametrize("is_annotated", [False, True], ids=["without annotations", "with annotations"])
async def test_the_floor_of_a_blind_autoscaler_is_raised_and_given_back(
    app: App, cluster: KubernetesCluster, is_annotated: bool
) -> None:
    """The autoscaler itself brings the replicas, and our mark tells whose doing the bound is."""
    app.deploy(GOOD)
    item = autoscaler(app)
    # kubectl's own apply would annotate it.
    app.control_plane.request("POST", hpa_path(app).rpartition("/")[0], item)
    if is_annotated:
        app.kubectl("annotate", "hpa", "shop", "team=checkout")
    wait_for(lambda: is_blind(app), timeout_seconds=20, what="the autoscaler says that it has no metrics")
    plan, since = await plan_of(app, cluster, hpa="raise"), datetime.now(UTC)
    await cluster.send(plan.steps[0].request, dry_run=True)

    assert (await done(plan, cluster)).answer is Answer.APPLIED
    assert (await read_back(plan, 0, cluster=cluster)).answer is Answer.APPLIED

    wait_for(lambda: replicas(app) == 3, timeout_seconds=20, what="the autoscaler obeys its lower bound")
    app.settle()
    assert (await looks(plan, cluster, since))[0] is Look.PASSED
    live = app.control_plane.get(hpa_path(app))
    assert live["spec"]["minReplicas"] == 3
    assert live["metadata"]["annotations"][LAST_ACTION] == plan.action_id
    assert ("team" in live["metadata"]["annotations"]) == is_annotated
    assert (await undo(plan, 0, cluster=cluster)).answer is Answer.APPLIED
    assert (await undo(plan, 0, cluster=cluster)).answer is Answer.APPLIED
    after = app.control_plane.get(hpa_path(app))
    assert after["spec"]["minReplicas"] == 1
    assert after["metadata"]["annotations"][LAST_ACTION] == f"{plan.action_id}.revert"


async def test_annotations_that_came_meanwhile_are_not_lost(app: App, cluster: KubernetesCluster) -> None:
    """The patch that makes room for the mark wants that there is none."""
    app.deploy(GOOD)
    app.control_plane.request("POST", hpa_path(app).rpartition("/")[0], autoscaler(app))
    wait_for(lambda: is_blind(app), timeout_seconds=20, what="the autoscaler says that it has no metrics")
    plan = await plan_of(app, cluster, hpa="raise")
    app.kubectl("annotate", "hpa", "shop", "team=checkout")

    written = await done(plan, cluster)

    assert (written.answer, written.reason) == (Answer.NOT_APPLIED, Reason.CONFLICT)
    assert app.control_plane.get(hpa_path(app))["metadata"]["annotations"] == {"team": "checkout"}


async def test_the_maximum_is_raised_where_the_autoscaler_wants_more(app: App, cluster: KubernetesCluster) -> None:
    """Its status is written by us while its controller stands still; the bound is the real one."""
    app.deploy(GOOD)
    app.control_plane.apply(autoscaler(app, maxReplicas=2))
    wait_for(lambda: is_blind(app), timeout_seconds=20, what="the autoscaler has a status")
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def said(kind: str, reason: str) -> Object:
        return {"type": kind, "status": "True", "reason": reason, "message": "", "lastTransitionTime": now}

    with stopped(app.control_plane, "kube-controller-manager"):
        conditions = [said("ScalingActive", "ValidMetricFound"), said("ScalingLimited", "TooManyReplicas")]
        status = {"currentReplicas": 2, "desiredReplicas": 2, "conditions": conditions}
        app.control_plane.request("PATCH", f"{hpa_path(app)}/status", {"status": status}, content_type=MERGE_PATCH)
        plan = await plan_of(app, cluster, hpa="raise")
        recommended = await scaled(app, cluster)
        written = await done(plan, cluster)

    assert written.answer is Answer.APPLIED
    assert app.control_plane.get(hpa_path(app))["spec"]["maxReplicas"] == 3
    assert isinstance(recommended, NoPlan)
    assert '"maxReplicas":3' in recommended.advice


def two_autoscalers(app: App) -> None:
    app.control_plane.apply([autoscaler(app), autoscaler(app) | {"metadata": {"name": "second"}}], app.namespace)


def unschedulable(app: App) -> None:
    app.control_plane.apply(app.manifest(GOOD, pod={"nodeSelector": {"nowhere": "yes"}}))
    wait_for(
        lambda: [
            c
            for pod in app.control_plane.get(f"/api/v1/namespaces/{app.namespace}/pods")["items"]
            for c in pod["status"].get("conditions", ())
            if c.get("reason") == "Unschedulable"
        ],
        timeout_seconds=20,
        what="a pod that has no place",
    )


def a_volume_for_one_node(app: App) -> None:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    item = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": spec}
    app.control_plane.apply(item, app.namespace)
    volume = {"metadata": {"name": f"pv-{app.namespace}"[:60]}, "spec": {**spec, "hostPath": {"path": "/none"}}}
    volume["spec"] |= {"capacity": {"storage": "1Gi"}, "claimRef": {"namespace": app.namespace, "name": "data"}}
    volume["spec"].pop("resources")
    app.control_plane.request("POST", "/api/v1/persistentvolumes", volume)
    app.deploy(GOOD, pod={"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]})


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (two_autoscalers, Reason.AUTOSCALER_AMBIGUOUS),
        (lambda app: app.kubectl("scale", "deployment/shop", "--replicas=0"), Reason.SCALED_TO_ZERO),
        (lambda app: app.kubectl("rollout", "pause", "deployment/shop"), Reason.PAUSED),
        (lambda app: app.release("shop:neverready-2"), Reason.ROLLOUT_RUNNING),
        (unschedulable, Reason.PODS_UNSCHEDULABLE),
        (a_volume_for_one_node, Reason.SINGLE_WRITER),
        (lambda app: app.deploy(GOOD, strategy={"type": "Recreate", "rollingUpdate": None}), Reason.SINGLE_WRITER),
    ],
    ids=["two autoscalers", "from zero", "paused", "rollout", "unschedulable", "one node's volume", "Recreate"],
)
async def test_refuses_what_the_api_server_would_accept(
    app: App, cluster: KubernetesCluster, prepare: Callable[[App], Any], reason: Reason
) -> None:
    app.deploy(GOOD)
    assert isinstance(await scaled(app, cluster), Plan), "the negative control"
    prepare(app)

    answer = await scaled(app, cluster)

    assert isinstance(answer, NoPlan)
    assert answer.reason is reason, answer.detail


async def test_replicas_that_a_pipeline_applies_are_left_to_it(app: App, cluster: KubernetesCluster) -> None:
    """managedFields tell: a server-side applier owns the number."""
    words = ("apply", "--server-side", "--field-manager=pipeline", "-f", "-")
    app.control_plane.kubectl(*words, stdin=json.dumps(app.manifest(GOOD)))
    app.settle()

    answer = await scaled(app, cluster)

    assert isinstance(answer, NoPlan)
    assert (answer.reason, "pipeline" in answer.advice) == (Reason.OWNED_BY_GITOPS, True)
