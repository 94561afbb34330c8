"""Releases that do not run: KubePodCrashLooping, KubeContainerWaiting, KubeDeploymentRolloutStuck,
KubeDeploymentReplicasMismatch, KubePodNotReady."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.cluster.scenarios.base import (
    FACT_MISSING,
    FOR,
    LOOK_ALIKE,
    Scenario,
    Stage,
    is_back_at_good,
    of_deployment,
    of_pod,
)
from tests.cluster.waiting import wait_for

ROLLED_BACK = ("patch deployments",)
Labels = Mapping[str, str]


def then(image: str, reason: str, *, about: str = "pod") -> Callable[[Stage], Labels]:
    """A good release, then this one, until a container of it waits for `reason`."""

    def build(stage: Stage) -> Labels:
        stage.deploy()
        stage.set_image(image)
        pod = stage.wait_until_waiting(reason)
        return of_pod(stage, pod) if about == "pod" else of_deployment(stage)

    return build


def first(image: str, reason: str, *, about: str = "pod") -> Callable[[Stage], Labels]:
    """The same as the first release there ever was."""

    def build(stage: Stage) -> Labels:
        stage.deploy(image, wait=False)
        pod = stage.wait_until_waiting(reason)
        return of_pod(stage, pod) if about == "pod" else of_deployment(stage)

    return build


def never_good(image: str, reason: str, *, about: str = "pod") -> Callable[[Stage], Labels]:
    """Two releases of which none ever ran: nobody can say that the one before was good."""

    def build(stage: Stage) -> Labels:
        stage.deploy(image, wait=False)
        stage.wait_until_waiting(reason)
        stage.set_image(f"{image}-again")
        wait_for(
            lambda: any(
                pod["spec"]["containers"][0]["image"].endswith("-again")
                and pod.get("status", {}).get("containerStatuses")
                for pod in stage.pods()
            ),
            timeout_seconds=60,
            what="a pod of the second release",
        )
        return of_pod(stage, stage.wait_until_waiting(reason)) if about == "pod" else of_deployment(stage)

    return build


def unschedulable(stage: Stage) -> Labels:
    """The new release asks for more than any node has; the old one still serves."""
    stage.deploy()
    huge = {"containers": [{"name": "app", "resources": {"requests": {"cpu": "4000"}}}]}
    stage.patch({"spec": {"template": {"spec": huge}}})
    wait_for(lambda: any(is_unschedulable(pod) for pod in stage.pods()), timeout_seconds=60, what="a pending pod")
    return of_deployment(stage)


def over_quota(stage: Stage) -> Labels:
    """A quota of two pods, and a third wanted."""
    stage.apply(
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"}, "spec": {"hard": {"pods": "2"}}}
    )
    stage.deploy()
    stage.patch({"spec": {"replicas": 3}})
    wait_for(
        lambda: any(c["type"] == "ReplicaFailure" for c in stage.live()["status"].get("conditions", ())),
        timeout_seconds=60,
        what="the condition ReplicaFailure",
    )
    return of_deployment(stage)


def paused(stage: Stage) -> Labels:
    """Someone paused the rollout of a release that crashes: theirs to resume."""
    labels = then("shop:crash-1.5", "CrashLoopBackOff", about="deployment")(stage)
    stage.patch({"spec": {"paused": True}})
    return labels


def tainted(stage: Stage) -> Labels:
    """A node selector that no node meets."""
    stage.deploy()
    stage.patch({"spec": {"template": {"spec": {"nodeSelector": {"disk": "none-has-it"}}}}})
    pod = wait_for(
        lambda: next((pod for pod in stage.pods() if is_unschedulable(pod)), None),
        timeout_seconds=60,
        what="a pending pod",
    )
    return of_pod(stage, pod)


def never_ready(stage: Stage) -> Labels:
    """The first release, running and never ready, without a word why."""
    stage.deploy("shop:neverready-1", wait=False)
    pod = wait_for(
        lambda: next((p for p in stage.pods() if p.get("status", {}).get("phase") == "Running"), None),
        timeout_seconds=60,
        what="a running pod",
    )
    return of_pod(stage, pod)


def opted_out(stage: Stage) -> Labels:
    labels = then("shop:crash-1.5", "CrashLoopBackOff")(stage)
    stage.patch({"metadata": {"annotations": {"remediator.io/mode": "off"}}})
    return labels


def by_gitops(stage: Stage) -> Labels:
    labels = then("shop:crash-1.5", "CrashLoopBackOff")(stage)
    stage.patch({"metadata": {"labels": {"kustomize.toolkit.fluxcd.io/name": "shop"}}})
    return labels


def is_unschedulable(pod: Mapping[str, Mapping[str, object]]) -> bool:
    conditions = pod.get("status", {}).get("conditions", ())
    assert isinstance(conditions, list | tuple)
    return any(each["type"] == "PodScheduled" and each["status"] == "False" for each in conditions)


SCENARIOS: tuple[Scenario, ...] = (
    # KubePodCrashLooping
    Scenario(
        row="KubePodCrashLooping",
        name="a new release crashes",
        shows=FOR,
        build=then("shop:crash-1.5", "CrashLoopBackOff"),
        cause="code-error",
        outcome="verified",
        writes=ROLLED_BACK,
        is_over=is_back_at_good,
    ),
    Scenario(
        row="KubePodCrashLooping",
        name="it runs out of memory",
        shows=LOOK_ALIKE,
        build=then("shop:oom-1.5", "CrashLoopBackOff"),
        cause="out-of-memory",
        outcome="recommended",
        reason="row-recommends",
    ),
    Scenario(
        row="KubePodCrashLooping",
        name="no release before it was ever good",
        shows=FACT_MISSING,
        build=never_good("shop:crash-1.5", "CrashLoopBackOff"),
        cause="unknown",
        outcome="escalated",
        reason="row-escalates",
    ),
    Scenario(
        row="KubePodCrashLooping",
        name="the owner said off",
        shows=LOOK_ALIKE,
        build=opted_out,
        cause="code-error",
        outcome="recommended",
        reason="opted-out",
    ),
    Scenario(
        row="KubePodCrashLooping",
        name="Flux would put it back",
        shows=LOOK_ALIKE,
        build=by_gitops,
        cause="code-error",
        outcome="recommended",
        reason="owned-by-gitops",
    ),
    # KubeContainerWaiting
    Scenario(
        row="KubeContainerWaiting",
        name="the image of a new release does not exist",
        shows=FOR,
        build=then("shop:imagepull-1.5", "ImagePullBackOff"),
        cause="image-error",
        outcome="verified",
        writes=ROLLED_BACK,
        is_over=is_back_at_good,
    ),
    Scenario(
        row="KubeContainerWaiting",
        name="a ConfigMap is missing",
        shows=LOOK_ALIKE,
        build=then("shop:noconfig-1.5", "CreateContainerConfigError"),
        cause="missing-config",
        outcome="recommended",
        reason="row-recommends",
    ),
    Scenario(
        row="KubeContainerWaiting",
        name="there is no release to go back to",
        shows=FACT_MISSING,
        build=first("shop:imagepull-1.5", "ImagePullBackOff"),
        cause="image-error",
        outcome="recommended",
        reason="no-history",
    ),
    # KubeDeploymentRolloutStuck
    Scenario(
        row="KubeDeploymentRolloutStuck",
        name="the new release crashes",
        shows=FOR,
        build=then("shop:crash-1.5", "CrashLoopBackOff", about="deployment"),
        cause="code-error",
        outcome="verified",
        writes=ROLLED_BACK,
        is_over=is_back_at_good,
    ),
    Scenario(
        row="KubeDeploymentRolloutStuck",
        name="no node has room for the new release",
        shows=LOOK_ALIKE,
        build=unschedulable,
        cause="capacity",
        outcome="recommended",
        reason="row-recommends",
    ),
    Scenario(
        row="KubeDeploymentRolloutStuck",
        name="no release before it was ever good",
        shows=FACT_MISSING,
        build=never_good("shop:imagepull-1.5", "ImagePullBackOff", about="deployment"),
        cause="unknown",
        outcome="escalated",
        reason="row-escalates",
    ),
    # KubeDeploymentReplicasMismatch
    Scenario(
        row="KubeDeploymentReplicasMismatch",
        name="the new release crashes",
        shows=FOR,
        build=then("shop:crash-1.5", "CrashLoopBackOff", about="deployment"),
        cause="code-error",
        outcome="verified",
        writes=ROLLED_BACK,
        is_over=is_back_at_good,
    ),
    Scenario(
        row="KubeDeploymentReplicasMismatch",
        name="a quota is used up",
        shows=LOOK_ALIKE,
        build=over_quota,
        cause="quota",
        outcome="recommended",
        reason="row-recommends",
    ),
    Scenario(
        row="KubeDeploymentReplicasMismatch",
        name="someone paused the rollout",
        shows=FACT_MISSING,
        build=paused,
        cause="code-error",
        outcome="recommended",
        reason="paused",
    ),
    # KubePodNotReady
    Scenario(
        row="KubePodNotReady",
        name="the new release crashes",
        shows=FOR,
        build=then("shop:crash-1.5", "CrashLoopBackOff"),
        cause="code-error",
        outcome="verified",
        writes=ROLLED_BACK,
        is_over=is_back_at_good,
    ),
    Scenario(
        row="KubePodNotReady",
        name="no node meets its selector",
        shows=LOOK_ALIKE,
        build=tainted,
        cause="taint-or-affinity",
        outcome="escalated",
        reason="row-escalates",
    ),
    Scenario(
        row="KubePodNotReady",
        name="the first release was never ready",
        shows=FACT_MISSING,
        build=never_ready,
        cause="bad-rollout",
        outcome="escalated",
        reason="row-escalates",
    ),
)
