"""`rollback` on a real API server: against `kubectl rollout undo` on the same state, and its writes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from remediator.actions.base import NoPlan
from remediator.actions.rollback import Rollback
from remediator.actions.rollback.parameters import Parameters
from remediator.actions.rollback.preconditions import INSTALLED, ROLLED_BACK_FROM, SEEN_GOOD
from remediator.actions.write import act, read_back, revert
from remediator.clock import Clock, FastClock, SystemClock
from remediator.errors import PermanentError
from remediator.kube.base import Conflict
from remediator.kube.client import KubernetesCluster, connect
from remediator.kube.ownership import LAST_ACTION
from remediator.kube.rollout import meaningful_hash
from remediator.kube.workload import read_workload
from remediator.model import Answer, Plan, Reason, Target
from remediator.store.base import TemplateEvent
from remediator.target.resolve import Resolved, resolve
from remediator.target.spec import TargetSpec
from tests.cluster.controlplane import ControlPlane
from tests.cluster.credentials import ACTIVE
from tests.cluster.steps import MERGE_PATCH, App, Object, images, stopped
from tests.cluster.waiting import wait_for, wait_for_async
from tests.workloads import alert, case

CHANGE_CAUSE = "kubernetes.io/change-cause"
GOOD, NEXT, BAD = "shop:1.4", "shop:1.5", "shop:crash-1.6"


@pytest.fixture
async def cluster(control_plane: ControlPlane, permissions: None) -> AsyncIterator[KubernetesCluster]:
    """The service's own client, with the rights of its account."""
    connected = await connect(name="rig", kubeconfig=control_plane.kubeconfig(ACTIVE))
    yield connected
    await connected.close()


@pytest.fixture
def app(control_plane: ControlPlane, namespace: str) -> App:
    return App(control_plane, namespace)


def target_of(item: Object, kind: str = "Deployment") -> Target:
    metadata = item["metadata"]
    return Target("rig", kind, metadata["namespace"], metadata["name"], metadata["uid"])


def event(kind: str, template: Object) -> TemplateEvent:
    return TemplateEvent("", meaningful_hash(template), kind, datetime.now(UTC))


async def plan_for(
    target: Target, cluster: KubernetesCluster, *, ledger: tuple[TemplateEvent, ...] = (), clock: Clock | None = None
) -> Plan | NoPlan:
    """Steps 3 to 5 for an alert that has just begun."""
    clock = clock or SystemClock()
    picture = await read_workload(target, cluster, clock)
    assert picture is not None
    now = clock.now()
    return Rollback().plan(
        case(picture, target=target, alert=alert(starts_at=now), ledger=ledger, now=now), Parameters()
    )


async def planned(app: App, cluster: KubernetesCluster, *, ledger: tuple[TemplateEvent, ...] = ()) -> Plan:
    answer = await plan_for(target_of(app.live()), cluster, ledger=ledger)
    assert isinstance(answer, Plan), answer
    return answer


async def refusal(app: App, cluster: KubernetesCluster, *, ledger: tuple[TemplateEvent, ...] = ()) -> NoPlan:
    answer = await plan_for(target_of(app.live()), cluster, ledger=ledger)
    assert isinstance(answer, NoPlan), answer
    return answer


# Where both agree


def bad_release(app: App) -> None:
    app.deploy(GOOD)
    app.release(BAD)


def third_release(app: App) -> None:
    app.deploy(GOOD)
    app.release(NEXT)
    app.release(BAD)


def after_an_earlier_rollback(app: App) -> None:
    """Revision 1 is gone: its ReplicaSet is revision 3 now, and older than revision 2."""
    app.deploy(GOOD)
    app.release("shop:crash-1.5")
    app.kubectl("rollout", "undo", "deployment/shop")
    app.settle()
    app.release(BAD)
    assert set(app.revisions()) == {2, 3, 4}


def one_container_of_two(app: App) -> None:
    init = {"initContainers": [{"name": "migrate", "image": "migrate:7"}], "terminationGracePeriodSeconds": 5}
    app.deploy(GOOD, "proxy:2", pod=init, minReadySeconds=0)
    app.release("proxy:crash-3", container="app-2")


def everything_of_the_template(app: App) -> None:
    """The bad release differs in environment, resources, ports and annotations, not in its image."""
    app.deploy("shop:neverready-1")
    app.deploy(GOOD)
    worse = app.manifest(GOOD)
    worse["spec"]["template"]["metadata"]["annotations"] = {"remediator.test/failure": "crash"}
    worse["spec"]["template"]["spec"]["containers"][0] |= {
        "env": [{"name": "MODE", "value": "fast"}],
        "ports": [{"containerPort": 8080}],
        "resources": {"limits": {"memory": "64Mi"}},
    }
    app.control_plane.apply(worse)
    wait_for(lambda: len(app.revisions()) == 3, timeout_seconds=10, what="the third revision")


AGREEMENTS: dict[str, tuple[Callable[[App], None], list[str]]] = {
    "a bad release": (bad_release, [GOOD]),
    "the last of three releases": (third_release, [NEXT]),
    "after an earlier rollback": (after_an_earlier_rollback, [GOOD]),
    "one container of two": (one_container_of_two, [GOOD, "proxy:2"]),
    "everything but the image": (everything_of_the_template, [GOOD]),
}


@pytest.mark.parametrize(("prepare", "restored"), AGREEMENTS.values(), ids=AGREEMENTS.keys())
async def test_restores_the_spec_that_kubectl_undo_restores(
    app: App, cluster: KubernetesCluster, prepare: Callable[[App], None], restored: list[str]
) -> None:
    """The API server's answers to both dry runs hold the same spec, and neither dry run writes."""
    prepare(app)
    plan = await planned(app, cluster)
    before = app.live()

    ours = await cluster.send(plan.request, dry_run=True)

    assert images(ours["spec"]["template"]) == restored
    assert ours["spec"] == app.kubectl_undo()["spec"]
    assert app.live()["spec"] == before["spec"]


async def test_recreate_agrees_once_the_previous_release_is_proven(app: App, cluster: KubernetesCluster) -> None:
    """Recreate leaves no ready pod of the previous release, so that its having been good must be on record."""
    app.deploy(GOOD, strategy={"type": "Recreate"})
    good = app.live()["spec"]["template"]
    app.release(BAD)

    assert (await refusal(app, cluster)).reason is Reason.PREVIOUS_NOT_PROVEN_GOOD
    plan = await planned(app, cluster, ledger=(event(SEEN_GOOD, good),))
    ours = await cluster.send(plan.request, dry_run=True)

    assert images(ours["spec"]["template"]) == [GOOD]
    assert ours["spec"] == app.kubectl_undo()["spec"]


async def test_both_refuse_a_paused_deployment(app: App, cluster: KubernetesCluster) -> None:
    """A paused Deployment would not roll out what is restored."""
    bad_release(app)
    app.kubectl("rollout", "pause", "deployment/shop")

    undo = app.kubectl("rollout", "undo", "deployment/shop", "--dry-run=server", check=False)

    assert (undo.returncode, "paused" in undo.stderr) == (1, True), undo.stderr
    assert (await refusal(app, cluster)).reason is Reason.PAUSED


# Where we differ on purpose


async def test_an_unobserved_release_is_refused_where_kubectl_goes_back_two(
    app: App, cluster: KubernetesCluster, control_plane: ControlPlane
) -> None:
    """While the controller has made no ReplicaSet of it yet, "the one before" is the release before last."""
    app.deploy(GOOD)
    app.release(NEXT)
    with stopped(control_plane, "kube-controller-manager"):
        app.kubectl("set", "image", "deployment/shop", f"app={BAD}")
        # Twenty times as fast: the ten seconds that we wait for the controller.
        ours = await plan_for(target_of(app.live()), cluster, clock=FastClock(speed=20))
        kubectl = app.kubectl_undo()

    assert isinstance(ours, NoPlan)
    assert ours.reason is Reason.NOT_OBSERVED
    assert images(kubectl["spec"]["template"]) == [GOOD], "two releases back"
    app.settle()
    assert images((await planned(app, cluster)).after) == [NEXT]


async def test_a_restart_is_no_release_where_kubectl_restores_the_same_image(
    app: App, cluster: KubernetesCluster
) -> None:
    """Someone tries a restart first: its revision differs from the bad release only in the annotation."""
    bad_release(app)
    app.kubectl("rollout", "restart", "deployment/shop")
    app.settle()

    plan = await planned(app, cluster)

    assert images(app.kubectl_undo()["spec"]["template"]) == [BAD]
    assert images(plan.after) == [GOOD]
    assert (plan.details["from_revision"], plan.details["to_revision"]) == (3, 1)


async def test_undo_twice_is_refused_where_kubectl_deploys_the_bad_release_again(
    app: App, cluster: KubernetesCluster
) -> None:
    """The ledger, not the cluster, knows that the newest other revision is the one we left."""
    bad_release(app)
    plan = await planned(app, cluster)
    assert (await act(plan, cluster)).answer is Answer.APPLIED
    app.settle()

    again = await refusal(
        app, cluster, ledger=(event(ROLLED_BACK_FROM, plan.before), event(INSTALLED, plan.after))
    )

    assert again.reason is Reason.ALREADY_ROLLED_BACK
    assert images(app.kubectl_undo()["spec"]["template"]) == [BAD]


async def test_a_bad_release_deployed_again_is_escalated(app: App, cluster: KubernetesCluster) -> None:
    """Someone brought back what we had rolled back: they or their pipeline mean it, so a person must decide."""
    bad_release(app)
    plan = await planned(app, cluster)
    assert (await act(plan, cluster)).answer is Answer.APPLIED
    app.settle()
    app.release(BAD)

    again = await refusal(
        app, cluster, ledger=(event(ROLLED_BACK_FROM, plan.before), event(INSTALLED, plan.after))
    )

    assert again.reason is Reason.REDEPLOYED_AFTER_ROLLBACK
    assert again.is_escalation


async def test_live_annotations_stay_where_kubectl_drops_them(app: App, cluster: KubernetesCluster) -> None:
    """kubectl puts back the annotations of the old ReplicaSet, and so loses what was said since."""
    bad_release(app)
    app.kubectl("annotate", "deployment/shop", "team=checkout")
    app.settle()

    ours = await cluster.send((await planned(app, cluster)).request, dry_run=True)

    assert ours["metadata"]["annotations"]["team"] == "checkout"
    assert "team" not in app.kubectl_undo()["metadata"]["annotations"]


async def test_a_previous_release_that_never_was_ready_is_refused(app: App, cluster: KubernetesCluster) -> None:
    """Two bad releases in a row: kubectl exchanges one for the other."""
    app.deploy(GOOD)
    app.release("shop:crash-1.5")
    app.release(BAD)

    answer = await refusal(app, cluster)

    assert answer.reason is Reason.PREVIOUS_NOT_PROVEN_GOOD
    assert images(app.kubectl_undo()["spec"]["template"]) == ["shop:crash-1.5"]


# What is read besides the Deployment


async def test_a_config_map_edited_after_the_rollout_is_named(app: App, cluster: KubernetesCluster) -> None:
    """The change time comes from managedFields, of which a list of metadata alone holds all."""
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"mode": "slow"}}
    app.control_plane.apply(config, app.namespace)
    uses = {"volumes": [{"name": "settings", "configMap": {"name": "settings"}}]}
    app.deploy(GOOD, pod=uses)
    app.release(BAD)
    assert images((await planned(app, cluster)).after) == [GOOD], "older than the rollout, it is in nobody's way"
    rollout = max(rs["metadata"]["creationTimestamp"] for rs in app.replica_sets())
    begun = datetime.fromisoformat(rollout) + timedelta(seconds=1)
    wait_for(lambda: datetime.now(UTC) > begun, timeout_seconds=3, what="the next second, as times have no parts")

    app.control_plane.apply({**config, "data": {"mode": "fast"}}, app.namespace)

    answer = await refusal(app, cluster)
    assert answer.reason is Reason.CONFIG_CHANGED
    assert "ConfigMap settings" in answer.advice
    names = await cluster.list(f"/api/v1/namespaces/{app.namespace}/configmaps", metadata_only=True)
    assert all("data" not in item for item in names), "the content is not even sent"


async def test_a_pruned_config_map_of_the_previous_release_is_named(app: App, cluster: KubernetesCluster) -> None:
    """kustomize gives ConfigMaps a hash for a name and prunes the old: the old pods could not start."""
    for name in ("settings-a1", "settings-b2"):
        app.kubectl("create", "configmap", name, "--from-literal=mode=slow")
    app.deploy(GOOD, pod={"volumes": [{"name": "settings", "configMap": {"name": "settings-a1"}}]})
    app.deploy(BAD, pod={"volumes": [{"name": "settings", "configMap": {"name": "settings-b2"}}]})
    app.kubectl("delete", "configmap", "settings-a1")

    answer = await refusal(app, cluster)

    assert answer.reason is Reason.REFERENCE_MISSING
    assert "settings-a1" in answer.detail


def by_argo_cd(app: App) -> None:
    bad_release(app)
    mark = f"argocd.argoproj.io/tracking-id=web:apps/Deployment:{app.namespace}/shop"
    app.kubectl("annotate", "deployment/shop", mark)


def by_flux(app: App) -> None:
    bad_release(app)
    app.kubectl("label", "deployment/shop", "kustomize.toolkit.fluxcd.io/name=web")


def by_server_side_apply(app: App) -> None:
    for image in (GOOD, BAD):
        words = ("apply", "--server-side", "--field-manager=pipeline", "-f", "-")
        app.control_plane.kubectl(*words, stdin=json.dumps(app.manifest(image)))
        app.settle()


@pytest.mark.parametrize(
    ("prepare", "owner"),
    [
        (by_argo_cd, "Argo CD application web"),
        (by_flux, "Flux Kustomization ?/web"),
        (by_server_side_apply, "server-side apply by pipeline"),
    ],
)
async def test_what_gitops_would_revert_is_left_to_it(
    app: App, cluster: KubernetesCluster, prepare: Callable[[App], None], owner: str
) -> None:
    """The advice names the source that has to be changed."""
    prepare(app)
    app.settle()

    answer = await refusal(app, cluster)

    assert answer.reason is Reason.OWNED_BY_GITOPS
    assert answer.advice == f"git revert the change of the pod template in the source of {owner}"


async def test_the_namespace_can_opt_out(app: App, cluster: KubernetesCluster) -> None:
    """One annotation of the namespace holds for all workloads in it."""
    bad_release(app)
    app.kubectl("annotate", "namespace", app.namespace, "remediator.io/mode=off")

    answer = await refusal(app, cluster)

    assert answer.reason is Reason.OPTED_OUT
    assert "the namespace" in answer.detail


def manifest_of(kind: str, app: App) -> Object:
    """A workload of another kind with the same pods."""
    pods = app.manifest(GOOD)["spec"]["template"]
    selected = {"selector": {"matchLabels": {"app": "shop"}}, "template": pods}
    once = {**pods, "spec": {**pods["spec"], "restartPolicy": "Never"}}
    versions_and_specs: dict[str, tuple[str, Object]] = {
        "StatefulSet": ("apps/v1", {"serviceName": "shop", **selected}),
        "DaemonSet": ("apps/v1", selected),
        "Job": ("batch/v1", {"template": once}),
        "CronJob": ("batch/v1", {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": once}}}),
    }
    version, spec = versions_and_specs[kind]
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "shop"}, "spec": spec}


@pytest.mark.parametrize(
    ("kind", "label"),
    [("StatefulSet", "statefulset"), ("DaemonSet", "daemonset"), ("Job", "job_name"), ("CronJob", "cronjob")],
)
async def test_other_kinds_get_a_recommendation_only(
    app: App, cluster: KubernetesCluster, kind: str, label: str
) -> None:
    """An alert about a StatefulSet finds its target, and the action says by name that it does not act on one."""
    app.control_plane.apply(manifest_of(kind, app), app.namespace)
    found = await resolve(
        alert(labels={"alertname": "Stuck", "namespace": app.namespace, label: "shop"}),
        TargetSpec(from_alert=True),
        cluster=cluster,
        protected_namespaces=frozenset(),
    )
    assert isinstance(found, Resolved), found

    answer = await plan_for(found.target, cluster)

    assert isinstance(answer, NoPlan)
    assert (answer.reason, answer.is_escalation) == (Reason.TARGET_UNSUPPORTED, False)
    assert kind in answer.detail


# Real writes


async def test_the_write_changes_the_object_once_and_says_so(app: App, cluster: KubernetesCluster) -> None:
    """Old pods come back, the marks name us, and the controller copies the change-cause for `rollout history`."""
    bad_release(app)
    plan = await planned(app, cluster)

    written = await act(plan, cluster)
    again = await act(plan, cluster)

    app.settle()
    live = app.live()
    assert (written.answer, again.answer) == (Answer.APPLIED, Answer.APPLIED)
    assert written.generation == again.generation == live["metadata"]["generation"] == plan.generation + 1
    assert app.images() == [GOOD]
    annotations = live["metadata"]["annotations"]
    assert annotations[LAST_ACTION] == plan.action_id
    assert annotations[CHANGE_CAUSE].startswith("rolled back from revision 2 to 1 by remediator: crash-loop, action ")
    assert app.revisions() == {2: [BAD], 3: [GOOD]}
    history = app.kubectl("rollout", "history", "deployment/shop").stdout
    assert annotations[CHANGE_CAUSE] in history


async def test_a_write_leaves_no_trace_in_the_template(app: App, cluster: KubernetesCluster) -> None:
    """What was restored is the old ReplicaSet itself, hash label and all: no third kind of pod appears."""
    bad_release(app)
    before = {rs["metadata"]["name"] for rs in app.replica_sets()}
    plan = await planned(app, cluster)

    await act(plan, cluster)

    app.settle()
    assert {rs["metadata"]["name"] for rs in app.replica_sets()} == before
    assert app.live()["spec"]["template"] == plan.after


def scale(app: App) -> None:
    app.kubectl("scale", "deployment/shop", "--replicas=3")


def apply_a_fix(app: App) -> None:
    app.control_plane.apply(app.manifest("shop:1.7"))


def annotate(app: App) -> None:
    app.kubectl("annotate", "deployment/shop", "team=checkout")


@pytest.mark.parametrize("meanwhile", [scale, apply_a_fix, annotate])
async def test_a_change_between_read_and_write_wins(
    app: App, cluster: KubernetesCluster, meanwhile: Callable[[App], None]
) -> None:
    """The generation is another: nothing is written, neither by a dry run nor by the write."""
    bad_release(app)
    plan = await planned(app, cluster)
    meanwhile(app)
    before = app.live()

    with pytest.raises(Conflict):
        await cluster.send(plan.request, dry_run=True)
    written = await act(plan, cluster)

    assert (written.answer, written.reason) == (Answer.NOT_APPLIED, Reason.CONFLICT)
    assert spec_and_annotations(app.live()) == spec_and_annotations(before)


async def test_status_churn_between_read_and_write_does_not_block(app: App, cluster: KubernetesCluster) -> None:
    """The status of a crash-looping Deployment changes all the time; its generation does not."""
    bad_release(app)
    plan = await planned(app, cluster)
    read = app.live()
    churn = {"status": {"conditions": [{"type": "Churn", "status": "True", "reason": "Test", "message": ""}]}}
    app.control_plane.request("PATCH", f"{app.path}/status", churn, content_type=MERGE_PATCH)
    assert app.live()["metadata"]["resourceVersion"] != read["metadata"]["resourceVersion"]

    assert (await act(plan, cluster)).answer is Answer.APPLIED
    assert app.images() == [GOOD]


async def test_another_object_of_that_name_is_not_written(app: App, cluster: KubernetesCluster) -> None:
    """Deleted and made again meanwhile, at the same generation: only its uid tells it from the one decided on."""
    bad_release(app)
    plan = await planned(app, cluster)
    app.kubectl("delete", "deployment", "shop")
    gone = await act(plan, cluster)
    bad_release(app)
    before = app.live()
    assert before["metadata"]["generation"] == plan.generation

    written = await act(plan, cluster)

    assert (gone.answer, gone.reason) == (Answer.NOT_APPLIED, Reason.TARGET_NOT_FOUND)
    assert (written.answer, written.reason) == (Answer.NOT_APPLIED, Reason.CONFLICT)
    assert (await read_back(plan, cluster)).reason is Reason.TARGET_CHANGED
    assert await read_workload(plan.target, cluster, SystemClock()) is None
    assert spec_and_annotations(app.live()) == spec_and_annotations(before)


@pytest.fixture
def frozen(app: App) -> Iterator[str]:
    """An admission policy that lets the service change no Deployment of this namespace; its name."""
    name, place = app.namespace, "/apis/admissionregistration.k8s.io/v1"
    rule = {"apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments"], "operations": ["UPDATE"]}
    policy = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [
            {"expression": f"request.userInfo.username != '{ACTIVE}'", "message": "frozen until the sale is over"}
        ],
    }
    here = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": app.namespace}}}
    binding = {"policyName": name, "validationActions": ["Deny"], "matchResources": here}
    parts = {"validatingadmissionpolicies": policy, "validatingadmissionpolicybindings": binding}
    for plural, spec in parts.items():
        app.control_plane.request("POST", f"{place}/{plural}", {"metadata": {"name": name}, "spec": spec})
    yield name
    for plural in parts:
        app.control_plane.request("DELETE", f"{place}/{plural}/{name}")


async def test_an_admission_policy_that_denies_it_is_named(app: App, cluster: KubernetesCluster, frozen: str) -> None:
    """The dry run meets the policy first; the write, too, is refused for good and leaves the object alone."""
    bad_release(app)
    plan = await planned(app, cluster)

    async def is_denied() -> bool:
        try:
            await cluster.send(plan.request, dry_run=True)
        except PermanentError as error:
            return "frozen until the sale is over" in str(error)
        return False

    await wait_for_async(is_denied, timeout_seconds=20, what="the policy is in force")
    before = app.live()

    written = await act(plan, cluster)

    assert (written.answer, written.reason) == (Answer.NOT_APPLIED, Reason.REFUSED_BY_API)
    assert f"ValidatingAdmissionPolicy '{frozen}'" in written.detail
    assert "frozen until the sale is over" in written.detail
    assert spec_and_annotations(app.live()) == spec_and_annotations(before)


async def test_the_inverse_restores_the_former_template(app: App, cluster: KubernetesCluster) -> None:
    """While our mark and template stand; what else was changed meanwhile stays."""
    app.deploy(GOOD)
    app.kubectl("annotate", "deployment/shop", f"{CHANGE_CAUSE}=release 1.6")
    app.release(BAD)
    plan = await planned(app, cluster)
    await act(plan, cluster)
    app.kubectl("scale", "deployment/shop", "--replicas=1")

    written = await revert(plan, cluster)
    again = await revert(plan, cluster)

    live = app.live()
    assert (written.answer, again.answer) == (Answer.APPLIED, Answer.APPLIED)
    assert again.generation == live["metadata"]["generation"]
    assert live["spec"]["template"] == plan.before
    assert live["spec"]["replicas"] == 1
    assert live["metadata"]["annotations"][CHANGE_CAUSE] == "release 1.6"
    assert live["metadata"]["annotations"][LAST_ACTION] == f"{plan.action_id}.revert"


def undo_with_kubectl(app: App) -> None:
    """Takes our mark off, too: it is an annotation that the old ReplicaSet does not have."""
    app.settle()
    app.kubectl("rollout", "undo", "deployment/shop")


@pytest.mark.parametrize("meanwhile", [apply_a_fix, undo_with_kubectl])
async def test_the_inverse_is_refused_after_someone_else_changed_the_template(
    app: App, cluster: KubernetesCluster, meanwhile: Callable[[App], None]
) -> None:
    """Their template wins: there is nothing of ours left to take back."""
    bad_release(app)
    plan = await planned(app, cluster)
    await act(plan, cluster)
    meanwhile(app)
    before = app.live()

    written = await revert(plan, cluster)

    assert (written.answer, written.reason) == (Answer.NOT_APPLIED, Reason.CONFLICT)
    assert spec_and_annotations(app.live()) == spec_and_annotations(before)


def spec_and_annotations(item: Object) -> Object:
    """What people write; the controller's own revision number may still be on its way."""
    own = "deployment.kubernetes.io/"
    said = {key: text for key, text in item["metadata"]["annotations"].items() if not key.startswith(own)}
    return {"spec": item["spec"], "annotations": said}
