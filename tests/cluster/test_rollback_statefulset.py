"""`rollback` of StatefulSets and DaemonSets on real controllers, against `kubectl rollout undo` on the same state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from remediator.actions.base import NoPlan
from remediator.actions.rollback import Rollback
from remediator.actions.rollback.parameters import Parameters
from remediator.actions.write import read_back
from remediator.clock import SystemClock
from remediator.diagnose.base import Scene
from remediator.diagnose.diagnose import diagnose
from remediator.kube.base import DisruptionBudget
from remediator.kube.client import KubernetesCluster
from remediator.kube.controller_revisions import current_revision, pods_of
from remediator.kube.rollout import condition, owned_by
from remediator.kube.workload import read_workload
from remediator.model import Answer, Plan
from remediator.reasons import Reason
from remediator.store.base import TemplateEvent
from tests.cluster.controlplane import ControlPlane
from tests.cluster.credentials import ADMIN
from tests.cluster.plans import act, event, target_of, undo
from tests.cluster.steps import Object, images, stopped
from tests.cluster.waiting import wait_for
from tests.workloads import alert, case

GOOD, NEXT, BAD = "db:1.4", "db:1.5", "db:crash-1.6"
ALL = Parameters(kinds=("Deployment", "StatefulSet", "DaemonSet"))


@dataclass(frozen=True, slots=True)
class Ordered:
    """One StatefulSet of three or DaemonSet over all three nodes, in the namespace of a test."""

    control_plane: ControlPlane
    namespace: str
    kind: str
    name: str = "db"

    @property
    def path(self) -> str:
        return f"/apis/apps/v1/namespaces/{self.namespace}/{self.kind.lower()}s/{self.name}"

    def manifest(self, image: str, **spec: Any) -> Object:
        labels = {"app": self.name}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": image}]}}
        own = {"serviceName": self.name, "replicas": 3} if self.kind == "StatefulSet" else {}
        whole = {"selector": {"matchLabels": labels}, "template": template, **own, **spec}
        return {"apiVersion": "apps/v1", "kind": self.kind, "metadata": {"name": self.name}, "spec": whole}

    def deploy(self, image: str, **spec: Any) -> None:
        self.control_plane.apply(self.manifest(image, **spec), self.namespace)
        self.settle()

    def release(self, image: str) -> None:
        self.kubectl("set", "image", f"{self.kind}/{self.name}", f"app={image}")
        self.settle()

    def kubectl(self, *words: str, check: bool = True) -> Any:
        return self.control_plane.kubectl(*words, "--namespace", self.namespace, check=check)

    def live(self) -> Object:
        return self.control_plane.get(self.path)

    def images(self) -> list[str]:
        return images(self.live()["spec"]["template"])

    def pods(self) -> dict[str, tuple[str, bool]]:
        """Name -> (image, ready)."""
        return {pod["metadata"]["name"]: (pod["spec"]["containers"][0]["image"], is_ready(pod)) for pod in self._pods()}

    def revisions(self) -> Sequence[Object]:
        items = self.control_plane.get(f"/apis/apps/v1/namespaces/{self.namespace}/controllerrevisions")["items"]
        return owned_by(self.live(), items)

    def settle(self) -> None:
        """Until all pods are of the live template and ready, or one of a bad image fails."""
        wait_for(self._is_settled, timeout_seconds=40, what=f"{self.kind} with {self.images()} is settled")

    def _is_settled(self) -> bool:
        live, pods = self.live(), self._pods()
        current = current_revision(live, self.revisions())
        if current is None or len(pods) != 3 or any(pod["metadata"].get("deletionTimestamp") for pod in pods):
            return False
        mine = pods_of(current, pods)
        if any("crash" in image for image in images(live["spec"]["template"])):
            return any("waiting" in c["state"] for pod in mine for c in pod["status"].get("containerStatuses", ()))
        status = live["status"]
        counted = status.get("currentRevision") == status.get("updateRevision")
        if self.kind == "DaemonSet":
            counted = status.get("updatedNumberScheduled") == status.get("numberReady") == 3
        return len(mine) == 3 and all(map(is_ready, mine)) and counted

    def _pods(self) -> Sequence[Object]:
        return owned_by(self.live(), self.control_plane.get(f"/api/v1/namespaces/{self.namespace}/pods")["items"])

    def kubectl_undo(self) -> Object:
        """The API server's answer to kubectl's own dry run."""
        seen = len(self.control_plane.dry_runs(ADMIN, self.namespace))
        self.kubectl("rollout", "undo", f"{self.kind}/{self.name}", "--dry-run=server")
        asked = wait_for(
            lambda: self.control_plane.dry_runs(ADMIN, self.namespace)[seen:],
            timeout_seconds=5,
            what="kubectl's dry run in the audit log",
        )
        answer: Object = asked[-1]["responseObject"]
        return answer


def is_ready(pod: Object) -> bool:
    return bool((condition(pod, "Ready") or {}).get("status") == "True")


@pytest.fixture(params=["StatefulSet", "DaemonSet"])
def either(control_plane: ControlPlane, namespace: str, request: pytest.FixtureRequest) -> Ordered:
    return Ordered(control_plane, namespace, request.param)


@pytest.fixture
def db(control_plane: ControlPlane, namespace: str) -> Ordered:
    return Ordered(control_plane, namespace, "StatefulSet")


async def decided(
    app: Ordered, cluster: KubernetesCluster, *, parameters: Parameters = ALL, ledger: tuple[TemplateEvent, ...] = ()
) -> Plan | NoPlan:
    """Steps 3 to 5 for an alert that has just begun, with what the collector of nodes says."""
    target = target_of(app.live(), app.kind)
    picture = await read_workload(target, cluster, SystemClock())
    assert picture is not None
    now = datetime.now(UTC)
    found = await diagnose(("node",), Scene(target, alert(starts_at=now), picture, cluster, None, now))
    of = case(
        picture, target=target, alert=alert(starts_at=now), findings=tuple(found.findings), ledger=ledger, now=now
    )
    return Rollback().plan(of, parameters)


async def planned(app: Ordered, cluster: KubernetesCluster, **more: Any) -> Plan:
    answer = await decided(app, cluster, **more)
    assert isinstance(answer, Plan), answer
    return answer


async def refusal(app: Ordered, cluster: KubernetesCluster, **more: Any) -> NoPlan:
    answer = await decided(app, cluster, **more)
    assert isinstance(answer, NoPlan), answer
    return answer


async def do(plan: Plan, cluster: KubernetesCluster) -> list[Answer]:
    clock = SystemClock()
    return [(await act(plan, number, cluster=cluster, clock=clock)).answer for number in range(len(plan.steps))]


# Where both agree


def bad_release(app: Ordered) -> None:
    app.deploy(GOOD)
    app.release(BAD)


def third_release(app: Ordered) -> None:
    app.deploy(GOOD)
    app.release(NEXT)
    app.release(BAD)


def after_an_earlier_rollback(app: Ordered) -> None:
    """The revision of the good release was used again: its number grew, its creation time stayed."""
    app.deploy(GOOD)
    app.release(NEXT)
    app.kubectl("rollout", "undo", f"{app.kind}/{app.name}")
    app.settle()
    app.release(BAD)


@pytest.mark.parametrize(
    ("prepare", "restored"), [(bad_release, GOOD), (third_release, NEXT), (after_an_earlier_rollback, GOOD)]
)
async def test_restores_the_spec_that_kubectl_undo_restores(
    either: Ordered, cluster: KubernetesCluster, prepare: Callable[[Ordered], None], restored: str
) -> None:
    prepare(either)
    plan = await planned(either, cluster)
    before = either.live()

    ours = await cluster.send(plan.steps[0].request, dry_run=True)

    assert images(ours["spec"]["template"]) == [restored]
    assert ours["spec"] == either.kubectl_undo()["spec"]
    assert either.live()["spec"] == before["spec"]


async def test_an_unobserved_release_is_refused(either: Ordered, cluster: KubernetesCluster) -> None:
    """kubectl takes the second newest of the revisions there are, and so goes back two releases."""
    either.deploy(GOOD)
    either.release(NEXT)
    with stopped(either.control_plane, "kube-controller-manager"):
        either.kubectl("set", "image", f"{either.kind}/db", f"app={BAD}")
        ours = await refusal(either, cluster)
        kubectl = either.kubectl_undo()

    assert ours.reason is Reason.NOT_OBSERVED
    assert images(kubectl["spec"]["template"]) == [GOOD], "two releases back"


async def test_kinds_that_the_rule_does_not_name_are_left_alone(either: Ordered, cluster: KubernetesCluster) -> None:
    bad_release(either)

    assert (await refusal(either, cluster, parameters=Parameters())).reason is Reason.TARGET_UNSUPPORTED


# What kubectl leaves undone


async def test_a_broken_pod_of_a_stateful_set_is_taken_out_of_the_way(db: Ordered, cluster: KubernetesCluster) -> None:
    """The update stopped at db-2; with the template restored alone it would stay broken for ever."""
    bad_release(db)
    assert db.pods() == {"db-0": (GOOD, True), "db-1": (GOOD, True), "db-2": (BAD, False)}
    plan = await planned(db, cluster)
    assert [step.touched.name for step in plan.steps] == ["db", "db-2"]

    assert await do(plan, cluster) == [Answer.APPLIED, Answer.APPLIED]

    db.settle()
    assert set(db.pods().values()) == {(GOOD, True)}
    for number in range(2):
        assert (await read_back(plan, number, cluster=cluster)).answer is Answer.APPLIED, "and both can be told"
    again = await act(plan, 1, cluster=cluster)
    assert again.answer is Answer.APPLIED, "the pod with that uid is gone"
    assert set(db.pods().values()) == {(GOOD, True)}, "the new one of that name is another, and stays"


async def test_the_patch_alone_would_leave_it_broken(db: Ordered, cluster: KubernetesCluster) -> None:
    """The negative control: the controller has seen the good template, and waits for the bad pod."""
    bad_release(db)
    plan = await planned(db, cluster)
    await act(plan, 0, cluster=cluster)
    wait_for(
        lambda: db.live()["status"]["observedGeneration"] == db.live()["metadata"]["generation"],
        timeout_seconds=10,
        what="the patch is observed",
    )

    # Another StatefulSet of the same age comes up meanwhile: the controller has had time enough.
    other = Ordered(db.control_plane, db.namespace, "StatefulSet", "other")
    other.deploy(GOOD)

    assert db.pods()["db-2"] == (BAD, False)


async def test_a_disruption_budget_holds_the_plan_before_anything_is_done(
    db: Ordered, cluster: KubernetesCluster
) -> None:
    """Two of three are healthy, and all three have to be: the eviction's dry run says so first."""
    bad_release(db)
    budget = {"minAvailable": 3, "selector": {"matchLabels": {"app": "db"}}}
    item = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "all"}, "spec": budget}
    db.control_plane.apply(item, db.namespace)
    path = f"/apis/policy/v1/namespaces/{db.namespace}/poddisruptionbudgets/all"
    wait_for(
        lambda: db.control_plane.get(path).get("status", {}).get("observedGeneration"),
        timeout_seconds=10,
        what="the budget is counted",
    )
    plan = await planned(db, cluster)

    with pytest.raises(DisruptionBudget):
        await cluster.send(plan.steps[1].request, dry_run=True)

    assert db.pods()["db-2"] == (BAD, False)


async def test_pods_of_a_parallel_stateful_set_are_left_to_the_controller(
    db: Ordered, cluster: KubernetesCluster
) -> None:
    db.deploy(GOOD, podManagementPolicy="Parallel")
    db.release(BAD)
    plan = await planned(db, cluster)
    assert len(plan.steps) == 1

    assert await do(plan, cluster) == [Answer.APPLIED]

    db.settle()
    assert set(db.pods().values()) == {(GOOD, True)}


async def test_a_daemon_set_is_rolled_back_and_its_inverse_put_back(
    control_plane: ControlPlane, namespace: str, cluster: KubernetesCluster
) -> None:
    app = Ordered(control_plane, namespace, "DaemonSet")
    bad_release(app)
    plan = await planned(app, cluster)

    assert await do(plan, cluster) == [Answer.APPLIED]

    app.settle()
    assert app.images() == [GOOD]
    assert set(app.pods().values()) == {(GOOD, True)}
    assert (await undo(plan, 0, cluster=cluster)).answer is Answer.APPLIED
    assert app.images() == [BAD]


# What is refused


def on_delete(app: Ordered) -> None:
    app.kubectl(
        "patch", app.kind, app.name, "-p", '{"spec":{"updateStrategy":{"type":"OnDelete","rollingUpdate":null}}}'
    )


def with_partition(app: Ordered) -> None:
    app.kubectl("patch", app.kind, app.name, "-p", '{"spec":{"updateStrategy":{"rollingUpdate":{"partition":2}}}}')


@pytest.mark.parametrize("prepare", [on_delete, with_partition])
async def test_a_strategy_that_keeps_pods_back_is_left_to_people(
    db: Ordered, cluster: KubernetesCluster, prepare: Callable[[Ordered], None]
) -> None:
    bad_release(db)
    prepare(db)

    answer = await refusal(db, cluster)

    assert answer.reason is Reason.UNSUPPORTED_STRATEGY
    assert f"kubectl -n {db.namespace} rollout undo statefulset/db" in answer.advice


async def test_undo_twice_is_refused(either: Ordered, cluster: KubernetesCluster) -> None:
    """kubectl would deploy the bad release again."""
    bad_release(either)
    plan = await planned(either, cluster)
    await do(plan, cluster)
    either.settle()

    ledger = (event("rolled-back-from", plan.before), event("installed", plan.after))
    again = await refusal(either, cluster, ledger=ledger)

    assert again.reason is Reason.ALREADY_ROLLED_BACK
    assert images(either.kubectl_undo()["spec"]["template"]) == [BAD]


async def test_volumes_stay_as_they_are(db: Ordered, cluster: KubernetesCluster) -> None:
    """Claim templates cannot be changed: a request that named them would be refused whole."""
    spec: Object = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    for number in range(3):
        volume = {
            "metadata": {"name": f"{db.namespace}-{number}"},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "capacity": {"storage": "1Gi"},
                "hostPath": {"path": "/none"},
                "claimRef": {"namespace": db.namespace, "name": f"data-db-{number}"},
            },
        }
        db.control_plane.request("POST", "/api/v1/persistentvolumes", volume)
    db.deploy(GOOD, volumeClaimTemplates=[{"metadata": {"name": "data"}, "spec": spec}])
    before = db.live()["spec"]["volumeClaimTemplates"]
    db.release(BAD)

    assert await do(await planned(db, cluster), cluster) == [Answer.APPLIED, Answer.APPLIED]

    db.settle()
    assert set(db.pods().values()) == {(GOOD, True)}
    assert db.live()["spec"]["volumeClaimTemplates"] == before
