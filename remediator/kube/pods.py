"""Pods as their status tells: ready, living, failing, and the marks that say "leave me alone". Pure.

Used by the actions that restart, replace or resize pods. Sources: kubernetes/api `core/v1/types.go`, kubernetes/kubectl
`pkg/drain/filters.go`, kubernetes-sigs/descheduler `pkg/framework/plugins/defaultevictor`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from remediator.kube.base import annotations_of, controller_of, instant_of
from remediator.kube.rollout import condition
from remediator.model import Json

STARTING = frozenset({None, "", "ContainerCreating", "PodInitializing"})
"""Reasons for waiting that only say: not yet."""

SETTLED_AFTER = timedelta(minutes=10)
"""A container that has run this long is over its crashes: the kubelet forgets its back-off then."""

MIRROR = "kubernetes.io/config.mirror"
CRITICAL_PRIORITIES = frozenset({"system-cluster-critical", "system-node-critical"})
CRITICAL_PRIORITY = 2_000_000_000
"""From here on priorities are the system's own (kubernetes `pkg/apis/scheduling/types.go`)."""

VETOES = (
    ("cluster-autoscaler.kubernetes.io/safe-to-evict", "false"),
    ("karpenter.sh/do-not-disrupt", "true"),
)
"""Annotations by which an owner asks drains and autoscalers to leave a pod."""


def name_of(pod: Json) -> str:
    return str(pod["metadata"]["name"])


def is_terminal(pod: Json) -> bool:
    """Whether all its containers have ended for good."""
    return (pod.get("status") or {}).get("phase") in ("Failed", "Succeeded")


def is_living(pod: Json) -> bool:
    """Neither ended nor on its way out."""
    return not is_terminal(pod) and not pod["metadata"].get("deletionTimestamp")


def is_ready(pod: Json) -> bool:
    return is_living(pod) and (condition(pod, "Ready") or {}).get("status") == "True"


def statuses_of(pod: Json) -> Sequence[Json]:
    """Of all containers, init containers and sidecars included."""
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def failure_of(pod: Json, now: datetime) -> str | None:
    """Why a container of it does not stay up, in words: it waits for something that is wrong, or crashed lately, again.

    None: none fails, as far as the kubelet tells. One that runs between two crashes counts as failing.
    """
    for container in statuses_of(pod):
        waiting = ((container.get("state") or {}).get("waiting") or {}).get("reason")
        if waiting not in STARTING:
            return f"{container['name']} is in {waiting}"
        if recent_crashes(container, now) >= 2:
            return f"{container['name']} crashed {container['restartCount']} times, last within {SETTLED_AFTER}"
    return None


def recent_crashes(container: Json, now: datetime) -> int:
    """How often it was restarted, unless it has run well for long since; 0 where its last end was orderly."""
    ended = (container.get("lastState") or {}).get("terminated") or {}
    if not ended or ended.get("exitCode") == 0:
        return 0
    started = instant_of(((container.get("state") or {}).get("running") or {}).get("startedAt"))
    is_settled = bool(container.get("ready")) and started is not None and now - started >= SETTLED_AFTER
    return 0 if is_settled else int(container.get("restartCount") or 0)


def protection_of(pod: Json) -> str | None:
    """Why nobody but its owner or the node may end it, in words; None: nothing on it says so."""
    spec, owner = pod["spec"], controller_of(pod)
    if MIRROR in annotations_of(pod) or (owner is not None and owner["kind"] == "Node"):
        return "it is a static pod of its node"
    if owner is None:
        return "no controller owns it: nothing would replace it"
    if owner["kind"] == "Job":
        return "it belongs to a Job, which would count it as failed"
    if spec.get("priorityClassName") in CRITICAL_PRIORITIES or (spec.get("priority") or 0) >= CRITICAL_PRIORITY:
        return f"its priority is {spec.get('priorityClassName') or spec['priority']}"
    return None


def veto_of(pod: Json) -> str | None:
    """The annotation by which its owner asks to leave it, as `key: value`."""
    annotations = annotations_of(pod)
    return next((f"{key}: {value}" for key, value in VETOES if annotations.get(key) == value), None)


def scratch_volumes(pod: Json) -> list[str]:
    """Volumes whose content goes with the pod."""
    return sorted(one["name"] for one in pod["spec"].get("volumes") or () if "emptyDir" in one)
