"""`scheduling`: why pods are not placed, in the scheduler's own words by class, and pods that a quota does not let be.

The condition `PodScheduled` is read, not the FailedScheduling events: those come without times and go after an hour.
A quota leaves no pending pod behind, only a condition on the Deployment and events on what creates the pods.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from remediator.diagnose.base import Scene, attempt, events_about, present_revision, words
from remediator.kube.base import path_of
from remediator.kube.permissions import to
from remediator.kube.rollout import condition, current_replica_set
from remediator.kube.unschedulable import Unschedulable, unschedulable
from remediator.model import Finding, Json
from remediator.together import together

MAX_PODS = 50
MAX_QUOTA_FINDINGS = 5

# kubernetes/apiserver `pkg/admission/plugin/resourcequota/controller.go`: the second is "must specify limits.memory".
_QUOTA = re.compile(r"(?:exceeded|failed) quota: ([^,:\s]{1,253})")


class Scheduling:
    name = "scheduling"
    permissions = (to("CoreEvent", "list"),)

    async def collect(self, scene: Scene) -> Sequence[Finding]:
        waiting = [pod for pod in scene.workload.pods if _is_waiting(pod)]
        is_present = present_revision(scene.workload)
        waiting.sort(key=lambda pod: (not is_present(pod), pod["metadata"]["name"]))
        findings = [_of_pod(pod, is_present(pod)) for pod in waiting[:MAX_PODS]]
        return [*findings, *await self._quota(scene)]

    async def _quota(self, scene: Scene) -> list[Finding]:
        """From the conditions if they tell, else from events: a StatefulSet has no such condition."""
        creators = _creators(scene)
        said = [
            found.get("message") or ""
            for item in creators
            if (found := condition(item, "ReplicaFailure") or {}).get("status") == "True"
        ]
        findings: list[Finding] = []
        if not any(map(_QUOTA.search, said)):
            path = path_of("CoreEvent", namespace=scene.target.namespace or None)
            reads = [
                attempt(
                    self.name,
                    f"events of {item['metadata']['name']}",
                    events_about(scene, path, f"involvedObject.uid={item['metadata']['uid']}"),
                )
                for item in creators
            ]
            for events in await together(*reads):
                if isinstance(events, Finding):
                    findings.append(events)
                else:
                    said += [event.get("message") or "" for event in events if event.get("reason") == "FailedCreate"]
        refused = {match[1]: text for text in said if (match := _QUOTA.search(text)) is not None}
        for quota, text in sorted(refused.items())[:MAX_QUOTA_FINDINGS]:
            message = words(text)
            summary = f"quota {quota} does not let pods be created: {message}"
            findings.append(Finding("quota-exceeded", summary, {"quota": quota, "message": message}))
        return findings


def _creators(scene: Scene) -> list[Json]:
    """What creates pods and complains when it cannot. A Node or a bare pod has none."""
    workload = scene.workload
    if not scene.target.namespace or scene.target.kind in ("Pod", "CronJob"):
        return []
    current = current_replica_set(workload.object, workload.replica_sets) if workload.replica_sets else None
    return [workload.object, *([current] if current is not None else [])]


def _is_waiting(pod: Json) -> bool:
    status = pod.get("status") or {}
    if pod["spec"].get("nodeName") or pod["metadata"].get("deletionTimestamp"):
        return False
    scheduled = condition(pod, "PodScheduled")
    # Without the condition nobody has looked at the pod: no scheduler of that name runs.
    return bool(scheduled["status"] == "False" if scheduled else status.get("phase", "Pending") == "Pending")


def _of_pod(pod: Json, current: bool) -> Finding:
    name, scheduled = pod["metadata"]["name"], condition(pod, "PodScheduled")
    if scheduled is None:
        scheduler = pod["spec"].get("schedulerName") or "default-scheduler"
        read, message = unschedulable("", ""), f"no scheduler has looked at it; its scheduler is {words(scheduler)}"
    else:
        raw = scheduled.get("message") or ""
        read, message = unschedulable(scheduled.get("reason") or "", raw), words(raw)
    nominated = (pod.get("status") or {}).get("nominatedNodeName") or None
    summary = f"{name} is not scheduled ({read.kind}{_counts(read)}): {message}"
    if nominated:
        summary = f"{name} waits for node {nominated} to be freed of pods of lower priority: {message}"
    return Finding(
        "scheduling",
        summary,
        {
            "pod": name,
            "is_current": current,
            "class": read.kind.value,
            "classes": {kind.value: count for kind, count in read.classes.items()},
            "nodes": read.nodes,
            "message": message,
            "nominated_node": nominated,
        },
    )


def _counts(read: Unschedulable) -> str:
    if len(read.classes) < 2:
        return ""
    return ": " + ", ".join(f"{count} {kind}" for kind, count in sorted(read.classes.items()))
