"""`containers`: what the pods of the workload say of themselves: waiting, terminated, restarts, readiness.

Read from the picture already taken: no call of its own. Findings are bound to the revision of the pod, since "the new
release crashes, the old one is healthy" is the strongest evidence there is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from remediator.diagnose.base import Scene, is_ready, present_revision, words
from remediator.kube.base import instant_of
from remediator.kube.permissions import Permission
from remediator.kube.rollout import condition
from remediator.model import Finding, Json

MAX_PODS = 10
MAX_MESSAGE = 1000
"""Characters of the kubelet's words: why an image was not pulled stands behind its name and address, twice."""

SETTLED_AFTER = timedelta(minutes=10)
"""A container that has run this long is over its crashes: the kubelet forgets its back-off then."""

FAILED_PODS = frozenset({"Evicted", "NodeLost", "Shutdown", "UnexpectedAdmissionError"})


class Containers:
    name = "containers"
    permissions: tuple[Permission, ...] = ()

    async def collect(self, scene: Scene) -> Sequence[Finding]:
        workload = scene.workload
        is_present = present_revision(workload)
        pods = sorted(workload.pods, key=lambda pod: (is_ready(pod), pod["metadata"]["name"]))
        findings = [_share([pod for pod in pods if is_present(pod)], [pod for pod in pods if not is_present(pod)])]
        for pod in pods[:MAX_PODS]:
            findings += _pod_findings(pod, is_present(pod), scene.now)
        return findings


def _share(mine: Sequence[Json], others: Sequence[Json]) -> Finding:
    sick, healthy_old = sum(not is_ready(pod) for pod in mine), sum(map(is_ready, others))
    return Finding(
        "readiness",
        f"{sick} of {len(mine)} pods of the present revision are not ready, {healthy_old} older pods are ready",
        {"not_ready": sick, "pods": len(mine), "old_ready": healthy_old},
    )


def _pod_findings(pod: Json, current: bool, now: datetime) -> list[Finding]:
    name, status = pod["metadata"]["name"], pod.get("status") or {}
    base = {"pod": name, "is_current": current, "node": pod["spec"].get("nodeName")}
    found = []
    if status.get("reason") in FAILED_PODS:
        # How its containers ended says nothing of the release.
        return [Finding("pod-failed", f"{name}: {status['reason']}", {**base, "reason": status["reason"]})]
    scheduled = condition(pod, "PodScheduled") or {}
    if scheduled.get("status") == "False":
        text = words(scheduled.get("message") or "")
        facts = {**base, "reason": scheduled.get("reason", ""), "message": text}
        found.append(Finding("pod-not-scheduled", f"{name}: {scheduled.get('reason')}: {text}", facts))
    statuses = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    for container in statuses:
        found += _container_findings(container, base, now)
    return found


def _is_settled(container: Json, now: datetime) -> bool:
    """Whether it runs and is ready, and has run long enough for how it ended before to be history."""
    started = instant_of(((container.get("state") or {}).get("running") or {}).get("startedAt"))
    return bool(container.get("ready")) and started is not None and now - started >= SETTLED_AFTER


def missing_reference(message: str) -> str | None:
    """The object that the kubelet says it could not find (kubernetes/kubernetes `kubelet_pods.go`), or None."""
    if (found := re.search(r'(?i)\b(configmap|secret) "([^"]+)" not found', message)) is not None:
        return f"{'ConfigMap' if found[1].lower() == 'configmap' else 'Secret'} {found[2]}"
    if (found := re.search(r"couldn't find key (\S+) in (ConfigMap|Secret) \S*?([^/\s]+)$", message)) is not None:
        return f"key {found[1]} of {found[2]} {found[3]}"
    return None


def _container_findings(container: Json, base: dict[str, Json], now: datetime) -> list[Finding]:
    facts = {
        **base,
        "container": container["name"],
        "restarts": container.get("restartCount", 0),
        "is_settled": _is_settled(container, now),
    }
    found = []
    waiting = (container.get("state") or {}).get("waiting")
    if waiting and waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
        message = words(waiting.get("message") or "", max_length=MAX_MESSAGE)
        missing = missing_reference(message)
        summary = f"{base['pod']}/{container['name']}: {waiting['reason']}, {facts['restarts']} restarts"
        found.append(
            Finding(
                "container-waiting",
                f"{summary}: {missing} is missing" if missing else summary,
                {**facts, "reason": waiting["reason"], "message": message, **({"missing": missing} if missing else {})},
            )
        )
    for where in ("state", "lastState"):
        ended = (container.get(where) or {}).get("terminated")
        if ended:
            code, reason = ended.get("exitCode"), ended.get("reason", "")
            said = words(ended.get("message") or "", max_length=MAX_MESSAGE)
            found.append(
                Finding(
                    "container-terminated",
                    f"{base['pod']}/{container['name']}: exit {code} {reason}",
                    {**facts, "exit_code": code, "reason": reason, "message": said},
                )
            )
            break
    return found
