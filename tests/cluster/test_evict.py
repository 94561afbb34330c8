"""`evict` on a real API server: what the eviction subresource does, forbids and tells, with all findings real."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from remediator.actions.base import NoPlan
from remediator.actions.evict import Evict
from remediator.actions.evict.parameters import Parameters
from remediator.actions.write import Written, read_back
from remediator.checks.base import Look
from remediator.checks.base import Scene as CheckScene
from remediator.checks.pods_ready import PodsReady
from remediator.clock import SystemClock
from remediator.diagnose.base import Scene
from remediator.diagnose.diagnose import diagnose
from remediator.errors import PermanentError
from remediator.kube.base import Conflict, DisruptionBudget
from remediator.kube.client import KubernetesCluster, connect
from remediator.kube.evicting import deletion_request
from remediator.kube.workload import read_workload
from remediator.model import Answer, Plan, Proof
from remediator.reasons import Reason
from tests.cluster.controlplane import ControlPlane
from tests.cluster.credentials import ACTIVE
from tests.cluster.kwok import FAILURE_ANNOTATION
from tests.cluster.lossy import Fate, LossyProxy
from tests.cluster.plans import GOOD, act, target_of
from tests.cluster.steps import App, Object
from tests.cluster.test_rollback_statefulset import Ordered
from tests.cluster.waiting import wait_for, wait_for_async
from tests.workloads import alert, case

PROOF = Proof(("rollout-complete", "pods-ready"), timedelta(minutes=2), timedelta(seconds=1), "escalate")
NEEDS = ("autoscaling", "logs", "node")


async def evicted(
    app: App | Ordered, cluster: KubernetesCluster, *, pod: str | None = None, needs: tuple[str, ...] = NEEDS
) -> Plan | NoPlan:
    """Steps 3 to 5; with `pod` the alert's own, else the worst."""
    item = app.live()
    target, now = target_of(item, item["kind"]), datetime.now(UTC)
    picture = await read_workload(target, cluster, SystemClock())
    assert picture is not None
    labels = {"alertname": "KubePodNotReady", "namespace": app.namespace} | ({"pod": pod} if pod else {})
    told = alert(labels=labels, starts_at=now)
    found = await diagnose(needs, Scene(target, told, picture, cluster, None, now))
    of = case(picture, target=target, alert=told, findings=tuple(found.findings), now=now, proof=PROOF)
    return Evict().plan(of, Parameters(which="alert" if pod else "worst"))


async def plan_of(app: App | Ordered, cluster: KubernetesCluster, *, pod: str | None = None) -> Plan:
    answer = await evicted(app, cluster, pod=pod)
    assert isinstance(answer, Plan), answer
    return answer


async def done(plan: Plan, cluster: KubernetesCluster) -> Written:
    return await act(plan, 0, cluster=cluster)


def pods(app: App | Ordered) -> list[Object]:
    found: list[Object] = app.control_plane.get(f"/api/v1/namespaces/{app.namespace}/pods")["items"]
    return sorted(found, key=lambda pod: str(pod["metadata"]["name"]))


def uids(app: App | Ordered) -> set[str]:
    return {pod["metadata"]["uid"] for pod in pods(app)}


def sicken(app: App | Ordered, number: int = 0) -> Object:
    """One of its pods begins to crash while it runs; the one that replaces it does not."""
    name = pods(app)[number]["metadata"]["name"]
    app.kubectl("annotate", "pod", name, f"{FAILURE_ANNOTATION}=crash")

    def crashes() -> Object | None:
        pod = next(pod for pod in pods(app) if pod["metadata"]["name"] == name)
        (status,) = pod["status"]["containerStatuses"]
        return pod if "waiting" in status["state"] and status["restartCount"] else None

    found = wait_for(crashes, timeout_seconds=20, what=f"{name} crashes")
    assert found is not None
    return found


def budget(app: App | Ordered, *, name: str = "shop", policy: str | None = None, least: int = 2) -> None:
    """A PodDisruptionBudget that its controller has counted."""
    spec = {"minAvailable": least, "selector": {"matchLabels": {"app": app.name}}}
    spec |= {"unhealthyPodEvictionPolicy": policy} if policy else {}
    item = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name}, "spec": spec}
    app.control_plane.apply(item, app.namespace)
    path = f"/apis/policy/v1/namespaces/{app.namespace}/poddisruptionbudgets/{name}"
    healthy = sum("waiting" not in c["state"] for pod in pods(app) for c in pod["status"]["containerStatuses"])

    def is_counted() -> bool:
        status = app.control_plane.get(path).get("status") or {}
        return bool(status.get("expectedPods") == len(pods(app)) and status.get("currentHealthy") == healthy)

    wait_for(is_counted, timeout_seconds=20, what="the budget counts")


async def test_the_sick_pod_goes_and_another_one_comes(app: App, cluster: KubernetesCluster) -> None:
    """The dry run ends nothing, the write does once, and it is complete when the new pod is ready."""
    app.deploy(GOOD)
    before, sick = uids(app), sicken(app)
    plan, since = await plan_of(app, cluster), datetime.now(UTC)
    (step,) = plan.steps
    assert (step.touched.name, step.touched.uid) == (sick["metadata"]["name"], sick["metadata"]["uid"])
    await cluster.send(step.request, dry_run=True)
    assert uids(app) == before

    written, again = await done(plan, cluster), await done(plan, cluster)

    assert (written.answer, again.answer) == (Answer.APPLIED, Answer.APPLIED)

    async def ready() -> bool:
        scene = CheckScene(plan, alert(), since, datetime.now(UTC), cluster, None, {})
        return (await PodsReady().look(scene)).look is Look.PASSED

    await wait_for_async(ready, timeout_seconds=30, what="two ready pods")
    after = uids(app)
    assert len(after) == 2
    assert before - after == {sick["metadata"]["uid"]}
    assert app.live()["metadata"]["generation"] == plan.generation


async def test_a_budget_forbids_it_dry_or_not(app: App, cluster: KubernetesCluster) -> None:
    """429 with a cause, which names the budget; nothing is ended."""
    app.deploy(GOOD, replicas=3)
    sicken(app)
    plan, before = await plan_of(app, cluster), uids(app)
    budget(app, least=3)

    with pytest.raises(DisruptionBudget, match="shop needs 3 healthy pods and has 2 currently"):
        await cluster.send(plan.steps[0].request, dry_run=True)
    written = await done(plan, cluster)

    assert (written.answer, written.reason) == (Answer.NOT_APPLIED, Reason.DISRUPTION_BUDGET)
    assert uids(app) == before


async def test_a_budget_that_lets_sick_pods_go_does(app: App, cluster: KubernetesCluster) -> None:
    """The negative control: the same budget under unhealthyPodEvictionPolicy AlwaysAllow."""
    app.deploy(GOOD, replicas=3)
    sicken(app)
    budget(app, least=3, policy="AlwaysAllow")

    assert (await done(await plan_of(app, cluster), cluster)).answer is Answer.APPLIED


async def test_two_budgets_are_refused_before_the_api_server_does(app: App, cluster: KubernetesCluster) -> None:
    """500 without a reason: permanent, and no reply that was lost."""
    app.deploy(GOOD)
    sicken(app)
    plan = await plan_of(app, cluster)
    budget(app, least=1)
    budget(app, least=1, name="second")

    answer = await evicted(app, cluster)

    assert isinstance(answer, NoPlan)
    assert answer.reason is Reason.DISRUPTION_BUDGET
    with pytest.raises(PermanentError, match="more than one PodDisruptionBudget"):
        await cluster.send(plan.steps[0].request, dry_run=True)
    assert (await done(plan, cluster)).reason is Reason.REFUSED_BY_API


async def test_another_pod_of_that_name_is_not_evicted(
    control_plane: ControlPlane, namespace: str, cluster: KubernetesCluster
) -> None:
    """409: a StatefulSet gives the new pod the old name. The one that was meant is gone, as was asked."""
    db = Ordered(control_plane, namespace, "StatefulSet")
    db.deploy("db:1.4")
    sick = sicken(db, 1)
    plan = await plan_of(db, cluster)
    db.kubectl("delete", "pod", sick["metadata"]["name"])
    db.settle()
    before = uids(db)

    for request in (plan.steps[0].request, deletion_request(plan.steps[0].touched)):
        with pytest.raises(Conflict):
            await cluster.send(request, dry_run=True)
    written = await done(plan, cluster)

    assert written.answer is Answer.APPLIED
    assert "replaced" in written.detail
    assert uids(db) == before


async def test_a_pod_that_has_ended_is_deleted_whatever_its_budget_says(app: App, cluster: KubernetesCluster) -> None:
    """Its ReplicaSet has replaced it, and leaves it lying."""
    app.deploy(GOOD)
    pod = pods(app)[0]
    name, (container,) = pod["metadata"]["name"], pod["status"]["containerStatuses"]
    path = f"/api/v1/namespaces/{app.namespace}/pods/{name}/status"
    unready = {"type": "Ready", "status": "False", "reason": "PodFailed"}
    container |= {"ready": False, "state": {"terminated": {"exitCode": 137, "reason": "Error"}}}
    status = {"phase": "Failed", "reason": "Evicted", "conditions": [unready], "containerStatuses": [container]}
    failed = {"status": status}
    app.control_plane.request("PATCH", path, failed, content_type="application/strategic-merge-patch+json")
    wait_for(lambda: len(pods(app)) == 3, timeout_seconds=20, what="another pod")
    app.settle()
    plan = await plan_of(app, cluster, pod=name)
    assert plan.steps[0].request.method == "DELETE"
    await cluster.send(plan.steps[0].request, dry_run=True)
    assert len(pods(app)) == 3

    assert (await done(plan, cluster)).answer is Answer.APPLIED

    wait_for(lambda: len(pods(app)) == 2, timeout_seconds=20, what="it is gone")
    assert name not in {pod["metadata"]["name"] for pod in pods(app)}


@pytest.mark.parametrize("fate", [Fate.REPLY_LOST, Fate.RESET], ids=lambda fate: fate.name)
async def test_a_reply_that_is_lost_is_told_by_the_pod(
    app: App, cluster: KubernetesCluster, tmp_path: Path, fate: Fate
) -> None:
    """Gone, it was done; still there, it was not, as far as can be told yet."""
    app.deploy(GOOD)
    sicken(app)
    plan = await plan_of(app, cluster)
    with LossyProxy(app.control_plane, fate, losing="POST", under="/eviction") as proxy:
        kubeconfig = proxy.kubeconfig(tmp_path, token=app.control_plane.token(ACTIVE))
        through = await connect(name="rig", kubeconfig=kubeconfig, request_timeout_seconds=2)
        try:
            written = await done(plan, through)
        finally:
            await through.close()

    assert len(proxy.writes) == 1
    answers = {Fate.REPLY_LOST: Answer.APPLIED, Fate.RESET: Answer.NOT_APPLIED}
    assert written.answer is answers[fate]
    assert (await read_back(plan, 0, cluster=cluster)).answer is answers[fate]


async def test_the_kubectl_command_that_people_are_given_asks_the_budget(
    app: App, cluster: KubernetesCluster
) -> None:
    """`kubectl delete pod` would not."""
    app.deploy(GOOD, replicas=3)
    sick = sicken(app)
    plan = await plan_of(app, cluster)
    budget(app, least=3)
    said = plan.details["kubectl"].removeprefix("echo '").removesuffix(" -f -")
    body, _, path = said.partition("' | kubectl create --raw ")

    def run() -> subprocess.CompletedProcess[str]:
        return app.control_plane.kubectl("create", "--raw", path, "-f", "-", stdin=body, check=False)

    assert "TooManyRequests" in run().stderr
    app.kubectl("delete", "pdb", "shop")
    wait_for(lambda: run().returncode == 0, timeout_seconds=20, what="it is allowed")
    wait_for(lambda: sick["metadata"]["uid"] not in uids(app), timeout_seconds=20, what="it is gone")


async def test_a_pod_of_a_daemon_set_is_replaced_on_its_node(
    control_plane: ControlPlane, namespace: str, cluster: KubernetesCluster
) -> None:
    """The node answers, and the others serve theirs meanwhile."""
    app = Ordered(control_plane, namespace, "DaemonSet")
    app.deploy(GOOD)
    sick = sicken(app)

    plan = await plan_of(app, cluster)

    assert (await done(plan, cluster)).answer is Answer.APPLIED
    app.settle()
    assert sick["metadata"]["uid"] not in uids(app)


def all_sick(app: App) -> None:
    sicken(app, 0)
    sicken(app, 1)


def alone(app: App) -> None:
    app.kubectl("scale", "deployment/shop", "--replicas=1")
    app.settle()
    wait_for(lambda: len(pods(app)) == 1, timeout_seconds=20, what="one pod")
    sicken(app)


def paused(app: App) -> None:
    sicken(app)
    app.kubectl("rollout", "pause", "deployment/shop")


def released(app: App) -> None:
    app.release("shop:crash-2")


def vetoed(app: App) -> None:
    name = sicken(app)["metadata"]["name"]
    app.kubectl("annotate", "pod", name, "cluster-autoscaler.kubernetes.io/safe-to-evict=false")


def well(app: App) -> None:
    """Nothing is wrong with any of them."""


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (all_sick, Reason.SEVERAL_PODS_FAIL),
        (alone, Reason.NO_SPARE_POD),
        (paused, Reason.PAUSED),
        (released, Reason.ROLLOUT_RUNNING),
        (vetoed, Reason.OPTED_OUT),
        (well, Reason.NO_POD),
    ],
)
async def test_refuses_what_the_api_server_would_do(
    app: App, cluster: KubernetesCluster, prepare: Callable[[App], Any], reason: Reason
) -> None:
    app.deploy(GOOD)
    prepare(app)

    answer = await evicted(app, cluster)

    assert isinstance(answer, NoPlan)
    assert answer.reason is reason, answer.detail


@pytest.mark.parametrize("missing", NEEDS)
async def test_what_was_not_looked_at_is_no_permission(app: App, cluster: KubernetesCluster, missing: str) -> None:
    """Each of the collectors that it needs is named when it was left out."""
    app.deploy(GOOD)
    sicken(app)

    answer = await evicted(app, cluster, needs=tuple(name for name in NEEDS if name != missing))

    assert isinstance(answer, NoPlan)
    assert (answer.reason, f"`{missing}` in `diagnose`" in answer.detail) == (Reason.FACT_MISSING, True)
