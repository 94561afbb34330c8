"""`restart` on real controllers, with `kubectl rollout restart` on the same state as the oracle."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from remediator.actions.base import NoPlan
from remediator.actions.restart import Restart
from remediator.actions.restart.preconditions import Parameters
from remediator.actions.write import Written, read_back
from remediator.checks.base import Look, Result, Scene
from remediator.checks.pods_ready import PodsReady
from remediator.checks.rollout_complete import RolloutComplete
from remediator.clock import SystemClock
from remediator.kube.base import Conflict
from remediator.kube.client import KubernetesCluster, connect
from remediator.kube.ownership import LAST_ACTION, MANAGER
from remediator.kube.restarts import RESTARTED_AT
from remediator.kube.workload import read_workload
from remediator.model import Answer, Plan, Proof
from remediator.reasons import Reason
from tests.cluster.controlplane import ControlPlane
from tests.cluster.credentials import ACTIVE
from tests.cluster.lossy import Fate, LossyProxy
from tests.cluster.plans import GOOD, NEXT, act, target_of
from tests.cluster.steps import App, stopped
from tests.cluster.test_rollback_statefulset import Ordered
from tests.cluster.waiting import wait_for_async
from tests.workloads import alert, case

PROOF = Proof(("rollout-complete", "pods-ready"), timedelta(minutes=2), timedelta(seconds=1), "escalate")
Any_ = App | Ordered
KINDS = ("Deployment", "StatefulSet", "DaemonSet")


@pytest.fixture(params=KINDS)
def any_kind(control_plane: ControlPlane, namespace: str, request: pytest.FixtureRequest) -> Any_:
    """One of each kind, deployed and complete."""
    kind = request.param
    item: Any_ = App(control_plane, namespace) if kind == "Deployment" else Ordered(control_plane, namespace, kind)
    item.deploy(GOOD)
    return item


async def restarted(app: Any_, cluster: KubernetesCluster, *, later: timedelta = timedelta()) -> Plan | NoPlan:
    item = app.live()
    target, now = target_of(item, item["kind"]), datetime.now(UTC) + later
    picture = await read_workload(target, cluster, SystemClock())
    assert picture is not None
    return Restart().plan(case(picture, target=target, now=now, proof=PROOF), Parameters())


async def plan_of(app: Any_, cluster: KubernetesCluster) -> Plan:
    answer = await restarted(app, cluster)
    assert isinstance(answer, Plan), answer
    return answer


async def done(plan: Plan, cluster: KubernetesCluster) -> Written:
    return await act(plan, 0, cluster=cluster)


async def looks(plan: Plan, cluster: KubernetesCluster, since: datetime) -> list[Result]:
    scene = Scene(plan, alert(), since, datetime.now(UTC), cluster, None, {})
    return [await check.look(scene) for check in (RolloutComplete(), PodsReady())]


def pods(app: Any_) -> dict[str, str]:
    """uid -> image of all that are there."""
    found = app.control_plane.get(f"/api/v1/namespaces/{app.namespace}/pods")["items"]
    return {pod["metadata"]["uid"]: pod["spec"]["containers"][0]["image"] for pod in found}


def kubectl_restart(app: Any_) -> None:
    app.kubectl("rollout", "restart", f"{app.live()['kind'].lower()}/{app.name}")


async def test_every_pod_is_another_one_of_the_same_template(any_kind: Any_, cluster: KubernetesCluster) -> None:
    """Done once, marked, and complete when all pods are new and ready."""
    before, generation = pods(any_kind), any_kind.live()["metadata"]["generation"]
    plan, since = await plan_of(any_kind, cluster), datetime.now(UTC)
    await cluster.send(plan.steps[0].request, dry_run=True)
    assert any_kind.live()["metadata"]["generation"] == generation

    written, again = await done(plan, cluster), await done(plan, cluster)

    assert (written.answer, again.answer) == (Answer.APPLIED, Answer.APPLIED)
    assert any_kind.live()["metadata"]["generation"] == generation + 1

    async def complete() -> bool:
        return [result.look for result in await looks(plan, cluster, since)] == [Look.PASSED, Look.PASSED]

    await wait_for_async(complete, timeout_seconds=60, what="the restart is complete")
    after = pods(any_kind)
    assert not before.keys() & after.keys()
    assert sorted(after.values()) == sorted(before.values())
    live = any_kind.live()
    assert live["metadata"]["annotations"][LAST_ACTION] == plan.action_id
    assert MANAGER in {entry["manager"] for entry in live["metadata"]["managedFields"]}


async def test_a_restart_that_no_controller_has_seen_is_not_complete(
    any_kind: Any_, cluster: KubernetesCluster
) -> None:
    """All counts are those of before, and all pods are ready."""
    plan, since = await plan_of(any_kind, cluster), datetime.now(UTC) - timedelta(minutes=1)
    assert Look.WAITING not in [result.look for result in await looks(plan, cluster, since)], "the negative control"
    with stopped(any_kind.control_plane, "kube-controller-manager"):
        assert (await done(plan, cluster)).answer is Answer.APPLIED
        found = await looks(plan, cluster, since)

    assert [result.look for result in found] == [Look.WAITING, Look.WAITING]


async def test_the_template_is_the_one_that_kubectl_would_write(any_kind: Any_, cluster: KubernetesCluster) -> None:
    """But for the second at which it is written; and nothing else of the spec changes."""
    plan = await plan_of(any_kind, cluster)
    ours = await cluster.send(plan.steps[0].request, dry_run=True)

    kubectl_restart(any_kind)

    theirs = any_kind.live()
    at = theirs["spec"]["template"]["metadata"]["annotations"][RESTARTED_AT]
    said = copy.deepcopy(ours["spec"])
    said["template"]["metadata"]["annotations"][RESTARTED_AT] = at
    assert said == theirs["spec"]
    assert plan.details["kubectl"].split()[3:] == ["rollout", "restart", f"{theirs['kind'].lower()}/{any_kind.name}"]


def scale(app: Any_) -> None:
    app.kubectl("scale", f"{app.live()['kind']}/{app.name}", "--replicas=4")


def release(app: Any_) -> None:
    app.kubectl("set", "image", f"{app.live()['kind']}/{app.name}", f"app={NEXT}")


@pytest.mark.parametrize("meanwhile", [scale, release, kubectl_restart])
async def test_a_change_between_read_and_write_wins(
    app: App, cluster: KubernetesCluster, meanwhile: Callable[[Any_], None]
) -> None:
    app.deploy(GOOD)
    plan = await plan_of(app, cluster)
    meanwhile(app)
    before = app.live()["spec"]

    with pytest.raises(Conflict):
        await cluster.send(plan.steps[0].request, dry_run=True)
    written = await done(plan, cluster)

    assert (written.answer, written.reason) == (Answer.NOT_APPLIED, Reason.CONFLICT)
    assert app.live()["spec"] == before


async def test_an_annotation_that_came_meanwhile_is_not_lost(
    control_plane: ControlPlane, namespace: str, cluster: KubernetesCluster
) -> None:
    """A StatefulSet's generation does not tell of it, so the patch that makes room for the mark tests for it."""
    db = Ordered(control_plane, namespace, "StatefulSet")
    # kubectl's own apply would annotate it.
    control_plane.request("POST", db.path.rpartition("/")[0], db.manifest(GOOD))
    db.settle()
    plan = await plan_of(db, cluster)
    db.kubectl("annotate", "statefulset/db", "team=checkout")
    assert db.live()["metadata"]["generation"] == plan.generation

    written = await done(plan, cluster)

    assert (written.answer, written.reason) == (Answer.NOT_APPLIED, Reason.CONFLICT)
    assert db.live()["metadata"]["annotations"] == {"team": "checkout"}
    assert (await done(await plan_of(db, cluster), cluster)).answer is Answer.APPLIED
    assert db.live()["metadata"]["annotations"].keys() == {"team", LAST_ACTION}


async def test_a_reply_that_is_lost_is_told_by_the_mark(app: App, cluster: KubernetesCluster, tmp_path: Path) -> None:
    app.deploy(GOOD)
    plan = await plan_of(app, cluster)
    with LossyProxy(app.control_plane, Fate.REPLY_LOST) as proxy:
        kubeconfig = proxy.kubeconfig(tmp_path, token=app.control_plane.token(ACTIVE))
        through = await connect(name="rig", kubeconfig=kubeconfig, request_timeout_seconds=2)
        try:
            written = await done(plan, through)
        finally:
            await through.close()

    assert (written.answer, len(proxy.writes)) == (Answer.APPLIED, 1)
    other = replace(plan, action_id=type(plan.action_id)("b" * 32))
    assert (await read_back(other, 0, cluster=cluster)).answer is not Answer.APPLIED, "the negative control"


async def test_a_restart_that_would_leave_nothing_to_roll_back_to_is_refused(
    app: App, cluster: KubernetesCluster
) -> None:
    """kubectl does it, and the other release is gone."""
    app.deploy(GOOD, revisionHistoryLimit=1)
    app.release(NEXT)
    assert app.revisions() == {1: [GOOD], 2: [NEXT]}

    answer = await restarted(app, cluster)

    assert isinstance(answer, NoPlan)
    assert answer.reason is Reason.HISTORY_WOULD_BE_LOST
    kubectl_restart(app)
    await wait_for_async(
        lambda: app.revisions() == {2: [NEXT], 3: [NEXT]}, timeout_seconds=20, what="the history without it"
    )


async def test_a_history_with_room_is_kept_by_the_controllers(any_kind: Any_, cluster: KubernetesCluster) -> None:
    """The negative control: two revisions are kept beside the present one, so the other release stays."""
    any_kind.deploy(GOOD, revisionHistoryLimit=2)
    any_kind.release(NEXT)
    plan = await plan_of(any_kind, cluster)

    assert (await done(plan, cluster)).answer is Answer.APPLIED

    any_kind.settle()
    kept = any_kind.revisions()
    assert len(kept) == 3


def no_surge(app: App) -> None:
    rolling = {"maxSurge": 0, "maxUnavailable": "100%"}
    app.deploy(GOOD, strategy={"type": "RollingUpdate", "rollingUpdate": rolling})


def recreate(app: App) -> None:
    app.deploy(GOOD, strategy={"type": "Recreate", "rollingUpdate": None})


REFUSED: list[tuple[str, Callable[[App], Any], Reason]] = [
    ("paused", lambda app: app.kubectl("rollout", "pause", "deployment/shop"), Reason.PAUSED),
    ("mid-rollout", lambda app: app.release("shop:neverready-2"), Reason.ROLLOUT_RUNNING),
    ("a crash loop", lambda app: app.release("shop:crash-2"), Reason.CRASH_LOOP),
    ("Recreate", recreate, Reason.UNSUPPORTED_STRATEGY),
    ("all away at once", no_surge, Reason.NO_SPARE_POD),
    ("scaled to zero", lambda app: app.kubectl("scale", "deployment/shop", "--replicas=0"), Reason.SCALED_TO_ZERO),
]


@pytest.mark.parametrize(("prepare", "reason"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
async def test_refuses_what_kubectl_would_do(
    app: App, cluster: KubernetesCluster, prepare: Callable[[App], Any], reason: Reason
) -> None:
    app.deploy(GOOD)
    assert isinstance(await restarted(app, cluster), Plan), "the negative control"
    prepare(app)

    answer = await restarted(app, cluster)

    assert isinstance(answer, NoPlan)
    assert answer.reason is reason, answer.detail


async def test_someones_restart_within_the_hour_is_enough(any_kind: Any_, cluster: KubernetesCluster) -> None:
    """Read from kubectl's own annotation."""
    kubectl_restart(any_kind)
    any_kind.settle()

    lately = await restarted(any_kind, cluster)
    in_an_hour = await restarted(any_kind, cluster, later=timedelta(hours=1))

    assert isinstance(lately, NoPlan)
    assert lately.reason is Reason.RESTARTED_LATELY
    assert isinstance(in_an_hour, Plan)


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet"])
async def test_on_delete_is_refused(
    control_plane: ControlPlane, namespace: str, cluster: KubernetesCluster, kind: str
) -> None:
    """The annotation would be written, and no pod would ever be replaced."""
    app = Ordered(control_plane, namespace, kind)
    app.deploy(GOOD, updateStrategy={"type": "OnDelete"})

    answer = await restarted(app, cluster)

    assert isinstance(answer, NoPlan)
    assert answer.reason is Reason.UNSUPPORTED_STRATEGY
