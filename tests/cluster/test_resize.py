"""`resize` on a real API server: what the resize subresource takes, tells and refuses. The kubelet is played."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from remediator.actions.base import NoPlan
from remediator.actions.resize import RESIZED, Resize
from remediator.actions.resize.parameters import Parameters
from remediator.actions.write import Written, read_back
from remediator.checks.base import Look
from remediator.checks.base import Scene as CheckScene
from remediator.checks.pod_resized import PodResized
from remediator.clock import SystemClock
from remediator.diagnose.base import Scene
from remediator.diagnose.diagnose import diagnose
from remediator.errors import PermanentError
from remediator.kube.base import Conflict, Invalid
from remediator.kube.client import KubernetesCluster, connect
from remediator.kube.workload import read_workload
from remediator.model import Answer, Finding, Plan, Proof, Request
from remediator.reasons import Reason
from tests.cluster.credentials import ACTIVE
from tests.cluster.lossy import Fate, LossyProxy
from tests.cluster.plans import GOOD, act, target_of
from tests.cluster.steps import App, Object
from tests.cluster.waiting import wait_for_async
from tests.workloads import alert, case

PROOF = Proof(("rollout-complete", "pods-ready"), timedelta(minutes=2), timedelta(seconds=1), "escalate")
BURSTABLE = {"requests": {"memory": "64Mi"}, "limits": {"memory": "100Mi"}}
GUARANTEED = {"requests": {"cpu": "100m", "memory": "100Mi"}, "limits": {"cpu": "100m", "memory": "100Mi"}}


def deploy(app: App, resources: Object | None = None, **container: Any) -> None:
    """Two pods with these resources, which their kubelet has put into force."""
    item = app.manifest(GOOD)
    (only,) = item["spec"]["template"]["spec"]["containers"]
    only |= {"resources": resources or BURSTABLE, **container}
    app.control_plane.apply(item)
    app.settle()
    for pod in pods(app):
        in_force(app, pod, pod["spec"]["containers"][0]["resources"])


def pods(app: App) -> list[Object]:
    found: list[Object] = app.control_plane.get(f"/api/v1/namespaces/{app.namespace}/pods")["items"]
    return sorted(found, key=lambda pod: str(pod["metadata"]["name"]))


def kubelet_says(app: App, pod: Object, status: Object) -> None:
    path = f"/api/v1/namespaces/{app.namespace}/pods/{pod['metadata']['name']}/status"
    app.control_plane.request("PATCH", path, {"status": status}, content_type="application/strategic-merge-patch+json")


def in_force(app: App, pod: Object, resources: Object) -> None:
    (before,) = app.control_plane.get(path_to(app, pod))["status"]["containerStatuses"]
    kubelet_says(app, pod, {"containerStatuses": [before | {"resources": resources}]})


def path_to(app: App, pod: Object) -> str:
    return f"/api/v1/namespaces/{app.namespace}/pods/{pod['metadata']['name']}"


async def resized(app: App, cluster: KubernetesCluster, *, full: int = 0, **parameters: Any) -> Plan | NoPlan:
    """What is read from the cluster is real; how full the containers and the nodes are, nobody measures here."""
    item = app.live()
    target, now = target_of(item), datetime.now(UTC)
    picture = await read_workload(target, cluster, SystemClock())
    assert picture is not None
    scene = Scene(target, alert(starts_at=now), picture, cluster, None, now)
    real = (await diagnose(("autoscaling", "resources"), scene)).findings
    name = pods(app)[full]["metadata"]["name"]
    memory = {"pod": name, "container": "app", "working_set_bytes": 0, "limit_bytes": 0, "ratio": 0.95}
    room = {"quota_pods": 10, "node_pods": 5, "tightest": ""}
    findings = [
        *(one for one in real if one.kind != "headroom" and one.facts.get("what") not in ("memory", "CPU")),
        Finding("memory", "95% of its limit", memory),
        Finding("headroom", "room for 5", room),
    ]
    of = case(picture, target=target, findings=tuple(findings), now=now, proof=PROOF)
    return Resize().plan(of, Parameters(**{"ceiling": "1Gi", **parameters}))


async def plan_of(app: App, cluster: KubernetesCluster, **parameters: Any) -> Plan:
    answer = await resized(app, cluster, **parameters)
    assert isinstance(answer, Plan), answer
    return answer


async def done(plan: Plan, cluster: KubernetesCluster) -> Written:
    return await act(plan, 0, cluster=cluster)


async def looks(plan: Plan, cluster: KubernetesCluster) -> tuple[Look, str]:
    now = datetime.now(UTC)
    result = await PodResized().look(CheckScene(plan, alert(), now, now, cluster, None, {}))
    return result.look, result.detail


def limit(app: App, number: int = 0) -> str:
    return str(pods(app)[number]["spec"]["containers"][0]["resources"]["limits"]["memory"])


@pytest.mark.parametrize("resources", [BURSTABLE, GUARANTEED], ids=["Burstable", "Guaranteed"])
async def test_one_container_gets_more_memory_and_no_other(
    app: App, cluster: KubernetesCluster, resources: Object
) -> None:
    """Accepted with the same quality of service, told by the value, and in force when the kubelet says so."""
    deploy(app, resources)
    before = pods(app)
    plan = await plan_of(app, cluster)
    (step,) = plan.steps
    reply = await cluster.send(step.request, dry_run=True)
    assert (reply["kind"], limit(app)) == ("Pod", "100Mi")

    written, again = await done(plan, cluster), await done(plan, cluster)

    assert (written.answer, again.answer) == (Answer.APPLIED, Answer.APPLIED)
    after = pods(app)
    assert (limit(app, 0), limit(app, 1)) == ("150Mi", "100Mi")
    assert after[0]["metadata"]["uid"] == before[0]["metadata"]["uid"]
    assert after[0]["status"]["qosClass"] == before[0]["status"]["qosClass"]
    assert app.live()["metadata"]["generation"] == plan.generation, "the template is not touched"
    assert (await looks(plan, cluster))[0] is Look.WAITING
    in_force(app, after[0], after[0]["spec"]["containers"][0]["resources"])
    assert (await looks(plan, cluster))[0] is Look.PASSED
    assert RESIZED in plan.proof.expect


async def test_the_api_server_writes_the_amount_as_we_do(app: App, cluster: KubernetesCluster) -> None:
    """1536Mi stays, 2Gi is not 2048Mi: else the value would never tell that it was done."""
    deploy(app, {"limits": {"memory": "1Gi"}})
    plan = await plan_of(app, cluster, ceiling="8Gi")
    assert (await done(plan, cluster)).answer is Answer.APPLIED
    assert (limit(app), plan.after["memory"]) == ("1536Mi", "1536Mi")
    in_force(app, pods(app)[0], {"limits": {"memory": "1536Mi"}})

    plan = await plan_of(app, cluster, ceiling="2Gi")

    assert (await done(plan, cluster)).answer is Answer.APPLIED
    assert (limit(app), plan.after["memory"]) == ("2Gi", "2Gi")


async def test_someone_elses_resize_wins(app: App, cluster: KubernetesCluster) -> None:
    deploy(app)
    plan = await plan_of(app, cluster)
    app.kubectl(
        *("patch", "pod", pods(app)[0]["metadata"]["name"], "--subresource=resize", "-p"),
        '{"spec":{"containers":[{"name":"app","resources":{"limits":{"memory":"120Mi"}}}]}}',
    )

    with pytest.raises(Conflict):
        await cluster.send(plan.steps[0].request, dry_run=True)
    written = await done(plan, cluster)

    assert (written.answer, written.reason, limit(app)) == (Answer.NOT_APPLIED, Reason.CONFLICT, "120Mi")
    assert (await read_back(plan, 0, cluster=cluster)).reason is Reason.CHANGED_BY_SOMEONE_ELSE


async def test_the_kubectl_command_that_people_are_given_does_the_same(app: App, cluster: KubernetesCluster) -> None:
    deploy(app, GUARANTEED)
    plan = await plan_of(app, cluster)
    words, _, patch = plan.details["kubectl"].partition(" -p ")

    app.kubectl(*words.split()[3:], "-p", patch.strip("'"))

    assert (await read_back(plan, 0, cluster=cluster)).answer is Answer.APPLIED


async def test_a_reply_that_is_lost_is_told_by_the_value(
    app: App, cluster: KubernetesCluster, tmp_path: Path
) -> None:
    deploy(app)
    plan = await plan_of(app, cluster)
    with LossyProxy(app.control_plane, Fate.REPLY_LOST, losing="PATCH", under="/resize") as proxy:
        kubeconfig = proxy.kubeconfig(tmp_path, token=app.control_plane.token(ACTIVE))
        through = await connect(name="rig", kubeconfig=kubeconfig, request_timeout_seconds=2)
        try:
            written = await done(plan, through)
        finally:
            await through.close()

    assert (written.answer, len(proxy.writes), limit(app)) == (Answer.APPLIED, 1, "150Mi")


async def test_infeasible_fails_and_deferred_waits(app: App, cluster: KubernetesCluster) -> None:
    """In the kubelet's words, which the API server takes as they come."""
    deploy(app)
    plan = await plan_of(app, cluster)
    assert (await done(plan, cluster)).answer is Answer.APPLIED
    for reason, look in (("Deferred", Look.WAITING), ("Infeasible", Look.FAILED)):
        said = {"type": "PodResizePending", "status": "True", "reason": reason, "message": "Node didn't have enough"}
        kubelet_says(app, pods(app)[0], {"conditions": [said]})
        found = await looks(plan, cluster)
        assert found[0] is look
        assert "Node didn't have enough" in found[1]


def a_quota(app: App) -> None:
    hard = {"limits.memory": "210Mi"}
    item = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"}, "spec": {"hard": hard}}
    app.control_plane.apply(item, app.namespace)


def a_limit_range(app: App) -> None:
    limits = [{"type": "Container", "max": {"memory": "110Mi"}}]
    item = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "small"}, "spec": {"limits": limits}}
    app.control_plane.apply(item, app.namespace)


@pytest.mark.parametrize("bound", [a_quota, a_limit_range])
async def test_what_bounds_it_in_the_namespace_is_kept_and_the_dry_run_agrees(
    app: App, cluster: KubernetesCluster, bound: Callable[[App], None]
) -> None:
    """Unlike those of a workload's pods, these are asked when the resize is written, dry or not."""
    deploy(app)
    unbounded = await plan_of(app, cluster)
    bound(app)

    async def bounded() -> Plan | None:
        answer = await resized(app, cluster)
        is_bounded = isinstance(answer, Plan) and answer.after["memory"] == "110Mi"
        return answer if is_bounded and isinstance(answer, Plan) else None



    plan = await wait_for_async(bounded, timeout_seconds=20, what="the bound is seen")
    with pytest.raises(PermanentError):
        await cluster.send(unbounded.steps[0].request, dry_run=True)
    assert plan is not None
    assert (await done(plan, cluster)).answer is Answer.APPLIED


async def test_a_change_of_the_quality_of_service_is_what_the_api_server_refuses(
    app: App, cluster: KubernetesCluster
) -> None:
    """Hence a Guaranteed pod gets its request raised with its limit."""
    deploy(app, GUARANTEED)
    (step,) = (await plan_of(app, cluster)).steps
    only_limit = [op for op in step.request.body if "/requests/" not in op["path"]]
    request = Request("PATCH", step.request.path, step.request.content_type, only_limit)

    with pytest.raises(Invalid):
        await cluster.send(request, dry_run=True)


async def test_a_policy_that_would_restart_the_container_is_seen_before(
    app: App, cluster: KubernetesCluster
) -> None:
    """Without one it is NotRequired, which the API server does not write down: the negative control."""
    deploy(app)
    assert "resizePolicy" not in pods(app)[0]["spec"]["containers"][0]
    assert isinstance(await resized(app, cluster), Plan)
    deploy(app, resizePolicy=[{"resourceName": "memory", "restartPolicy": "RestartContainer"}])

    answer = await resized(app, cluster)

    assert isinstance(answer, NoPlan)
    assert answer.reason is Reason.NOT_RESIZABLE
