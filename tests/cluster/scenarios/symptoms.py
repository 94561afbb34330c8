"""What users and autoscalers see: errors, slowness, memory, no room, nobody there, the database; and the nodes.

A row that never acts has for its case the escalation or the advice that it is there for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.cluster.controlplane import NODES
from tests.cluster.scenarios.base import (
    FACT_MISSING,
    FOR,
    LOOK_ALIKE,
    NAME,
    Scenario,
    Stage,
    is_back_at_good,
    of_deployment,
    of_pod,
)
from tests.cluster.scenarios.releases import (
    ROLLED_BACK,
    first,
    is_unschedulable,
    never_ready,
    over_quota,
    tainted,
    then,
    unschedulable,
)
from tests.cluster.waiting import wait_for

Labels = Mapping[str, str]
Build = Callable[[Stage], Labels]


def bad_release(stage: Stage) -> Labels:
    """A new release that runs and never gets ready, while the old one still serves: nothing but the release is new."""
    stage.deploy()
    stage.set_image("shop:neverready-1.5")
    wait_for(
        lambda: any(_runs(pod, "neverready") for pod in stage.pods()), timeout_seconds=60, what="a pod of the release"
    )
    return of_deployment(stage)


def without_pod(build: Build) -> Build:
    """The same trouble, told by an alert about the Deployment."""

    def told(stage: Stage) -> Labels:
        build(stage)
        return of_deployment(stage)

    return told


def never_placed(stage: Stage) -> Labels:
    """The first release there ever was asks for a node that does not exist."""
    stage.deploy(wait=False, nodeSelector={"disk": "none-has-it"})
    wait_for(lambda: any(is_unschedulable(pod) for pod in stage.pods()), timeout_seconds=60, what="a pending pod")
    return of_deployment(stage)


def behind_service(build: Build, *, selects: str = NAME) -> Build:
    """The same trouble behind a Service, told by an alert about that."""

    def told(stage: Stage) -> Labels:
        stage.apply(
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "front"},
                "spec": {"selector": {"app": selects}, "ports": [{"port": 80, "targetPort": 8080}]},
            }
        )
        build(stage)
        return {"namespace": stage.namespace, "service": "front"}

    return told


def autoscaled(build: Build, *, scales: str = NAME) -> Build:
    """The same with an autoscaler, told by an alert about that."""

    def told(stage: Stage) -> Labels:
        build(stage)
        reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": scales}
        stage.apply(
            {
                "apiVersion": "autoscaling/v2",
                "kind": "HorizontalPodAutoscaler",
                "metadata": {"name": "by-load"},
                "spec": {"minReplicas": 1, "maxReplicas": 2, "scaleTargetRef": reference},
            }
        )
        return {"namespace": stage.namespace, "horizontalpodautoscaler": "by-load"}

    return told


def healthy(stage: Stage) -> Labels:
    stage.deploy()
    return of_deployment(stage)


def throttled(stage: Stage) -> Labels:
    stage.deploy()
    return of_pod(stage, stage.pods()[0])


def of_node(name: str, **more: str) -> Build:
    """kube-state-metrics' alerts about nodes; some set-ups add the exporter's own namespace and pod."""
    return lambda _: {"node": name, "condition": "Ready", "status": "true", **more}


def gone(stage: Stage) -> Labels:
    return {"namespace": stage.namespace, "pod": "shop-gone-x", "container": "app"}


def is_good_again(stage: Stage) -> bool:
    """Both kinds of bad release of this table are undone."""
    return is_back_at_good(stage) and "nodeSelector" not in stage.live()["spec"]["template"]["spec"]


def _runs(pod: Mapping[str, Mapping[str, object]], word: str) -> bool:
    containers = pod["spec"]["containers"]
    assert isinstance(containers, list)
    return word in containers[0]["image"] and pod.get("status", {}).get("phase") == "Running"


def _rows(alert: str, *rows: tuple[str, str, Build, str | None, str, str], severity: str = "warning") -> list[Scenario]:
    return [
        Scenario(
            row=alert,
            name=name,
            shows=shows,
            build=build,
            cause=cause,
            outcome=outcome,
            reason=reason,
            severity=severity,
            writes=ROLLED_BACK if outcome == "verified" else (),
            is_over=is_good_again if outcome == "verified" else None,
        )
        for shows, name, build, cause, outcome, reason in rows
    ]


GONE = "target-not-found"
NO_CONFIG = without_pod(then("shop:noconfig-1.5", "CreateContainerConfigError"))
FIRST = without_pod(never_ready)

SCENARIOS: tuple[Scenario, ...] = (
    *_rows(
        "RemediatorHighErrorRate",
        (FOR, "the errors began with a release", bad_release, "bad-rollout", "verified", ""),
        (LOOK_ALIKE, "the release lacks a ConfigMap", NO_CONFIG, "missing-config", "recommended", "row-recommends"),
        (FACT_MISSING, "there is no release to go back to", FIRST, "bad-rollout", "recommended", "no-history"),
        severity="critical",
    ),
    *_rows(
        "RemediatorLatencyAboveBaseline",
        (FOR, "it is slow since a release", bad_release, "bad-rollout", "verified", ""),
        (LOOK_ALIKE, "the release lacks a ConfigMap", NO_CONFIG, "missing-config", "escalated", "row-escalates"),
        (FACT_MISSING, "there is no release to go back to", FIRST, "bad-rollout", "recommended", "no-history"),
    ),
    *_rows(
        "RemediatorMemoryNearLimit",
        (FOR, "memory grew with a release", bad_release, "bad-rollout", "verified", ""),
        (
            LOOK_ALIKE,
            "the limit is too low",
            without_pod(first("shop:oom-1.5", "CrashLoopBackOff")),
            "out-of-memory",
            "recommended",
            "row-recommends",
        ),
        (FACT_MISSING, "there is no release to go back to", FIRST, "bad-rollout", "recommended", "no-history"),
    ),
    *_rows(
        "RemediatorAllPodsPending",
        (FOR, "its release asks for no node there is", without_pod(tainted), "taint-or-affinity", "verified", ""),
        (LOOK_ALIKE, "no node has room", unschedulable, "capacity", "escalated", "row-escalates"),
        (LOOK_ALIKE, "a quota is used up", over_quota, "quota", "recommended", "row-recommends"),
        (FACT_MISSING, "no release was ever placed", never_placed, "taint-or-affinity", "recommended", "no-history"),
        severity="critical",
    ),
    *_rows(
        "RemediatorServiceWithoutEndpoints",
        (
            FOR,
            "the release behind it crashes",
            behind_service(then("shop:crash-1.5", "CrashLoopBackOff")),
            "code-error",
            "verified",
            "",
        ),
        (LOOK_ALIKE, "its selector meets nobody", behind_service(healthy, selects="nobody"), None, "declined", GONE),
        (
            FACT_MISSING,
            "there is no release to go back to",
            behind_service(FIRST),
            "bad-rollout",
            "recommended",
            "no-history",
        ),
        severity="critical",
    ),
    *_rows(
        "RemediatorDatabaseErrors",
        (FOR, "its clients run and cannot reach it", healthy, "bad-rollout", "escalated", "row-escalates"),
        (LOOK_ALIKE, "its address went with a ConfigMap", NO_CONFIG, "missing-config", "escalated", "row-escalates"),
        (FACT_MISSING, "its clients never ran", FIRST, "bad-rollout", "escalated", "row-escalates"),
        severity="critical",
    ),
    *_rows(
        "KubeHpaMaxedOut",
        (FOR, "the load came with a release", autoscaled(healthy), "bad-rollout", "escalated", "row-escalates"),
        (
            LOOK_ALIKE,
            "more could not be placed",
            autoscaled(unschedulable),
            "capacity",
            "recommended",
            "row-recommends",
        ),
        (FACT_MISSING, "what it scales is gone", autoscaled(healthy, scales="gone"), None, "declined", GONE),
    ),
    *_rows(
        "CPUThrottlingHigh",
        (FOR, "throttled since its release", throttled, "bad-rollout", "recommended", "row-recommends"),
        (
            LOOK_ALIKE,
            "it crashes, too",
            then("shop:crash-1.5", "CrashLoopBackOff"),
            "code-error",
            "recommended",
            "row-recommends",
        ),
        (FACT_MISSING, "the pod is gone", gone, None, "declined", GONE),
        severity="info",
    ),
    *_rows(
        "KubeNodeNotReady",
        (FOR, "people mend nodes", of_node(NODES[0]), "unknown", "escalated", "row-escalates"),
        (
            LOOK_ALIKE,
            "its labels name the exporter's pod",
            of_node(NODES[1], namespace="monitoring", pod="kube-state-metrics-0"),
            "unknown",
            "escalated",
            "row-escalates",
        ),
        (FACT_MISSING, "the node is gone", of_node("node-that-was"), None, "declined", GONE),
    ),
)
