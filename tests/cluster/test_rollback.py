"""What `rollback` plans on a real API server, against `kubectl rollout undo` on the same state."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from remediator.actions.base import NoPlan
from remediator.actions.rollback.preconditions import INSTALLED, ROLLED_BACK_FROM, SEEN_GOOD
from remediator.authority import UNLIMITED
from remediator.clock import FastClock
from remediator.kube.client import KubernetesCluster
from remediator.model import Answer
from remediator.reasons import Reason
from remediator.target.resolve import Resolved, resolve
from remediator.target.spec import TargetSpec
from tests.cluster.controlplane import ControlPlane
from tests.cluster.plans import BAD, GOOD, NEXT, act, bad_release, event, plan_for, planned, refusal, target_of
from tests.cluster.steps import App, Object, images, stopped
from tests.cluster.waiting import wait_for
from tests.workloads import alert

# Where both agree


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

    ours = await cluster.send(plan.steps[0].request, dry_run=True)

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
    ours = await cluster.send(plan.steps[0].request, dry_run=True)

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
    assert (await act(plan, 0, cluster=cluster)).answer is Answer.APPLIED
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
    assert (await act(plan, 0, cluster=cluster)).answer is Answer.APPLIED
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

    ours = await cluster.send((await planned(app, cluster)).steps[0].request, dry_run=True)

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
        protected_namespaces=frozenset(), authority=UNLIMITED,
    )
    assert isinstance(found, Resolved), found

    answer = await plan_for(found.target, cluster)

    assert isinstance(answer, NoPlan)
    assert (answer.reason, answer.is_escalation) == (Reason.TARGET_UNSUPPORTED, False)
    assert kind in answer.detail
