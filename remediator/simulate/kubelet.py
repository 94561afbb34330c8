"""The scheduler and the kubelets of the embedded cluster: pods get a node, start, fail by their image, and go.

Called by the ticks of `apiserver.py`; what a pod becomes is `podstatus.py`'s.
"""

from __future__ import annotations

import copy
import re
from datetime import datetime, timedelta

from remediator.clock import Clock
from remediator.model import Json
from remediator.simulate.conditions import find
from remediator.simulate.deployments import Emit
from remediator.simulate.podstatus import failure_of, running_status, scheduled_conditions, unschedulable_condition
from remediator.simulate.storage import PLACES, POD, Storage, seconds

NODE = PLACES["Node"]


class Kubelet:
    """`start_seconds` pass between a pod's creation and its containers; `backoff_seconds` is the first back-off."""

    def __init__(
        self, storage: Storage, clock: Clock, emit: Emit, *, start_seconds: float, backoff_seconds: float
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._emit = emit
        self._start = timedelta(seconds=start_seconds)
        self._backoff_seconds = backoff_seconds
        # By pod uid. The API's own times are whole seconds, too coarse for a quick clock.
        self._seen_at: dict[str, datetime] = {}
        self._placed = 0

    def step(self) -> None:
        """Bring every pod to where it should be now."""
        now = self._clock.now()
        pods = self._storage.all(POD)
        for uid in self._seen_at.keys() - {pod["metadata"]["uid"] for pod in pods}:
            del self._seen_at[uid]
        for pod in pods:
            if "deletionTimestamp" in pod["metadata"]:
                self._storage.remove(POD, pod["metadata"]["namespace"], pod["metadata"]["name"])
            elif not pod["spec"].get("nodeName"):
                self._schedule(pod, now)
            elif pod["status"]["phase"] in ("Pending", "Running"):
                self._run(pod, now)

    def _schedule(self, pod: Json, now: datetime) -> None:
        nodes = self._storage.all(NODE)
        if not nodes:
            return
        short = [missing for node in nodes if (missing := insufficient(pod, node))]
        if len(short) == len(nodes):
            self._leave_pending(pod, f"0/{len(nodes)} nodes are available: {len(nodes)} Insufficient {short[0]}.", now)
            return
        self._seen_at[pod["metadata"]["uid"]] = now
        node = nodes[self._placed % len(nodes)]["metadata"]["name"]
        self._placed += 1
        placed = copy.deepcopy(pod)
        placed["spec"]["nodeName"] = node
        placed["status"] |= {"conditions": scheduled_conditions(now)}
        self._storage.replace(POD, placed, subresource="binding")
        meta = pod["metadata"]
        text = f"Successfully assigned {meta['namespace']}/{meta['name']} to {node}"
        self._emit(pod, "Normal", "Scheduled", text)

    def _leave_pending(self, pod: Json, text: str, now: datetime) -> None:
        if find(pod["status"].get("conditions") or (), "PodScheduled") is not None:
            return
        text += " preemption: 0/" + text.partition("/")[2].partition(":")[0]
        text += f": {len(self._storage.all(NODE))} Preemption is not helpful for scheduling."
        status = pod["status"] | {"conditions": [unschedulable_condition(text, now)]}
        self._storage.replace(POD, pod | {"status": status}, subresource="status")
        self._emit(pod, "Warning", "FailedScheduling", text)

    def _run(self, pod: Json, now: datetime) -> None:
        started_at = self._seen_at.setdefault(pod["metadata"]["uid"], now) + self._start
        if started_at > now:
            return
        status = running_status(pod, started_at=started_at, now=now, first_backoff_seconds=self._backoff_seconds)
        if status == pod["status"]:
            return
        before = _restarts(pod["status"])
        self._storage.replace(POD, pod | {"status": status}, subresource="status")
        if "containerStatuses" not in pod["status"] or _restarts(status) != before:
            self._tell(pod)

    def _tell(self, pod: Json) -> None:
        for container in pod["spec"]["containers"]:
            about = pod | {"fieldPath": f"spec.containers{{{container['name']}}}"}
            match failure_of(container["image"]):
                case "crash" | "oom":
                    meta = pod["metadata"]
                    where = f"pod {meta['name']}_{meta['namespace']}({meta['uid']})"
                    text = f"Back-off restarting failed container {container['name']} in {where}"
                    self._emit(about, "Warning", "BackOff", text)
                case "imagepull":
                    text = f'Failed to pull image "{container["image"]}": not found'
                    self._emit(about, "Warning", "Failed", text)
                    self._emit(about, "Warning", "Failed", "Error: ImagePullBackOff")
                    self._emit(about, "Normal", "BackOff", f'Back-off pulling image "{container["image"]}"')
                case "noconfig":
                    self._emit(about, "Warning", "Failed", 'Error: configmap "app-config" not found')
                case "neverready":
                    text = "Readiness probe failed: HTTP probe failed with statuscode: 503"
                    self._emit(about, "Warning", "Unhealthy", text)
                case _:
                    self._emit(about, "Normal", "Started", f"Started container {container['name']}")


def insufficient(pod: Json, node: Json) -> str:
    """The resource that an empty node would not have enough of for this pod; "" if it fits. Other pods do not count."""
    for resource in ("cpu", "memory"):
        wanted = sum(
            quantity(container.get("resources", {}).get("requests", {}).get(resource, "0"))
            for container in pod["spec"]["containers"]
        )
        if wanted > quantity(node["status"]["allocatable"][resource]):
            return resource
    return ""


def quantity(text: Json) -> float:
    """A `resource.Quantity`: `500m`, `2`, `16Gi`. Raises ValueError."""
    found = re.fullmatch(r"([0-9.]+)(m|[kMGTPE]i?|Ki)?", str(text))
    if found is None:
        raise ValueError(f"not a quantity: {text!r}")
    suffix = found[2] or ""
    power = "kMGTPE".find(suffix[:1].replace("K", "k")) + 1 if suffix not in ("", "m") else 0
    return float(found[1]) * (0.001 if suffix == "m" else (1024 if suffix.endswith("i") else 1000) ** power)


def _restarts(status: Json) -> int:
    return sum(container["restartCount"] for container in status.get("containerStatuses") or ())


def node(name: str, *, now: datetime) -> Json:
    """A Ready node."""
    at = seconds(now)
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "KubeletReady",
        "message": "kubelet is posting ready status",
        "lastHeartbeatTime": at,
        "lastTransitionTime": at,
    }
    room = {"cpu": "8", "memory": "16Gi", "pods": "110"}
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "spec": {},
        "status": {"capacity": room, "allocatable": room, "conditions": [ready]},
    }
