"""The kubelets of the embedded cluster: pods get a node, start, fail by their image, and go.

Called by the ticks of `apiserver.py`; what a pod becomes is `podstatus.py`'s, where it fits is `scheduler.py`'s. Only
pods that changed, or that time brings something, are looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from remediator.clock import Clock
from remediator.kube.base import Resource, annotations_of
from remediator.model import Json
from remediator.simulate.conditions import find
from remediator.simulate.deployments import Emit
from remediator.simulate.nodes import evicted_at, is_ready
from remediator.simulate.podstatus import (
    FAILS,
    LOOPING,
    crash_times,
    fault_of,
    lost_status,
    running_status,
    scheduled_conditions,
    unschedulable_condition,
)
from remediator.simulate.scheduler import fitting
from remediator.simulate.storage import PLACES, POD, Key, Storage, copied

NODE, CLAIM = PLACES["Node"], PLACES["PersistentVolumeClaim"]


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
        self._failing: dict[str, tuple[Sequence[str], datetime]] = {}
        self._placed = 0
        # When to look at a pod next; one that is not here waits for a change.
        self._due: dict[Key, datetime] = {}
        storage.watch(self._changed)

    @property
    def due(self) -> datetime | None:
        return min(self._due.values(), default=None)

    def step(self) -> None:
        """Bring every pod to where it should be now."""
        now = self._clock.now()
        for key in sorted(key for key, at in self._due.items() if at <= now):
            self._due.pop(key)
            pod = self._storage.find(POD, *key)
            if pod is None:
                continue
            again = self._look(pod, now)
            # What was written in this look is no news.
            self._due.pop(key, None)
            if again is not None:
                self._due[key] = again

    def _changed(self, place: Resource, before: Json | None, after: Json | None) -> None:
        if place == POD and after is not None:
            self._due[after["metadata"]["namespace"], after["metadata"]["name"]] = self._clock.now()
        elif place == POD and before is not None:
            self._seen_at.pop(before["metadata"]["uid"], None)
            self._failing.pop(before["metadata"]["uid"], None)
            self._look_at_all(waiting=True)
        elif place in (NODE, CLAIM):
            self._look_at_all(waiting=False)

    def _look_at_all(self, *, waiting: bool) -> None:
        """Soon, at every pod, or at those that wait for a node."""
        for pod in self._storage.all(POD):
            if not (waiting and pod["spec"].get("nodeName")):
                self._due[pod["metadata"]["namespace"], pod["metadata"]["name"]] = self._clock.now()

    def _look(self, pod: Json, now: datetime) -> datetime | None:
        """What there is to do for a pod now; when to look again, None: when it changes."""
        name = pod["spec"].get("nodeName")
        node = self._storage.find(NODE, None, name) if name else None
        if node is not None and not is_ready(node):
            return self._lost(pod, node, now)
        if "deletionTimestamp" in pod["metadata"]:
            self._storage.remove(POD, pod["metadata"]["namespace"], pod["metadata"]["name"])
        elif not name:
            return self._schedule(pod, now)
        elif pod["status"]["phase"] in ("Pending", "Running"):
            return self._run(self._as_on(node, pod), now)
        return None

    def _as_on(self, node: Json | None, pod: Json) -> Json:
        """What every pod of this node fails with, this one fails with too."""
        told = annotations_of(node or {"metadata": {}}).get(FAILS)
        if told is None or annotations_of(pod).get(FAILS) == told:
            return pod
        annotations = {**annotations_of(pod), FAILS: told}
        return self._storage.replace(POD, {**pod, "metadata": {**pod["metadata"], "annotations": annotations}})

    def _schedule(self, pod: Json, now: datetime) -> datetime | None:
        nodes = self._storage.all(NODE)
        if not nodes:
            return None
        fit, message = fitting(pod, nodes, placed=self._storage.all(POD), unbound=self._has_unbound_claim(pod))
        if not fit:
            self._leave_pending(pod, message, now)
            return None
        self._seen_at[pod["metadata"]["uid"]] = now
        node = fit[self._placed % len(fit)]["metadata"]["name"]
        self._placed += 1
        placed = copied(pod)
        placed["spec"]["nodeName"] = node
        placed["status"] |= {"conditions": scheduled_conditions(now)}
        self._storage.replace(POD, placed, subresource="binding")
        meta = pod["metadata"]
        text = f"Successfully assigned {meta['namespace']}/{meta['name']} to {node}"
        self._emit(pod, "Normal", "Scheduled", text)
        return now + self._start

    def _has_unbound_claim(self, pod: Json) -> bool:
        names = [
            volume["persistentVolumeClaim"]["claimName"]
            for volume in pod["spec"].get("volumes") or ()
            if "persistentVolumeClaim" in volume
        ]
        claims = [self._storage.find(CLAIM, pod["metadata"]["namespace"], name) for name in names]
        return any(claim is None or (claim.get("status") or {}).get("phase") != "Bound" for claim in claims)

    def _leave_pending(self, pod: Json, text: str, now: datetime) -> None:
        if (find(pod["status"].get("conditions") or (), "PodScheduled") or {}).get("message") == text:
            return
        status = pod["status"] | {"conditions": [unschedulable_condition(text, now)]}
        self._storage.replace(POD, pod | {"status": status}, subresource="status")
        self._emit(pod, "Warning", "FailedScheduling", text)

    def _run(self, pod: Json, now: datetime) -> datetime | None:
        started_at = self._seen_at.setdefault(pod["metadata"]["uid"], now) + self._start
        if started_at > now:
            return started_at
        since = self._failing_since(pod, started_at, now)
        status = running_status(
            pod, started_at=started_at, failing_since=since, now=now, first_backoff_seconds=self._backoff_seconds
        )
        if status != pod["status"]:
            before = _restarts(pod["status"])
            self._storage.replace(POD, pod | {"status": status}, subresource="status")
            if "containerStatuses" not in pod["status"] or _restarts(status) != before:
                self._tell(pod)
        return self._restarts_at(pod, since, now)

    def _failing_since(self, pod: Json, started_at: datetime, now: datetime) -> datetime:
        """Since when its containers fail as they do: from their start, or from when that changed."""
        uid, faults = pod["metadata"]["uid"], [fault_of(pod, container) for container in pod["spec"]["containers"]]
        before = self._failing.get(uid)
        if before is None:
            self._failing[uid] = (faults, started_at)
        elif before[0] != faults:
            self._failing[uid] = (faults, now)
        return self._failing[uid][1]

    def _restarts_at(self, pod: Json, since: datetime, now: datetime) -> datetime | None:
        """When the next container that crashes is started again."""
        if not any(fault_of(pod, container) in LOOPING for container in pod["spec"]["containers"]):
            return None
        _, died_at, wait = crash_times(since, now, self._backoff_seconds)
        return died_at + timedelta(seconds=wait)

    def _lost(self, pod: Json, node: Json, now: datetime) -> datetime | None:
        """The node does not answer: its pods are set to not ready, and once their toleration is over they are to go,
        which nobody there does. Source: kubernetes `pkg/controller/{nodelifecycle,tainteviction}`."""
        if find(pod["status"].get("conditions") or (), "Ready") is not None:
            status = lost_status(pod["status"], now)
            if status != pod["status"]:
                pod = self._storage.replace(POD, pod | {"status": status}, subresource="status")
        if "deletionTimestamp" in pod["metadata"]:
            return None
        at = min(filter(None, (evicted_at(pod, taint) for taint in node["spec"].get("taints") or ())), default=None)
        if at is None or at > now:
            return at
        self._storage.begin_deletion(POD, pod, grace_seconds=pod["spec"].get("terminationGracePeriodSeconds", 30))
        self._emit(pod, "Normal", "TaintManagerEviction", f"Marking for deletion Pod {pod['metadata']['name']}")
        return None

    def _tell(self, pod: Json) -> None:
        for container in pod["spec"]["containers"]:
            about = pod | {"fieldPath": f"spec.containers{{{container['name']}}}"}
            word = fault_of(pod, container)
            match word:
                case "crash" | "oom" | "probekill":
                    meta = pod["metadata"]
                    where = f"pod {meta['name']}_{meta['namespace']}({meta['uid']})"
                    text = f"Back-off restarting failed container {container['name']} in {where}"
                    self._emit(about, "Warning", "BackOff", text)
                    if word == "probekill":
                        killed = f"Container {container['name']} failed liveness probe, will be restarted"
                        self._emit(about, "Normal", "Killing", killed)
                case "imagepull" | "registryaway":
                    why = "not found" if word == "imagepull" else "dial tcp 10.96.7.7:443: i/o timeout"
                    text = f'Failed to pull image "{container["image"]}": {why}'
                    self._emit(about, "Warning", "Failed", text)
                    self._emit(about, "Warning", "Failed", "Error: ImagePullBackOff")
                    self._emit(about, "Normal", "BackOff", f'Back-off pulling image "{container["image"]}"')
                case "cannotstart":
                    self._emit(about, "Warning", "Failed", 'Error: exec: "/app/server": no such file or directory')
                case "noconfig":
                    self._emit(about, "Warning", "Failed", 'Error: configmap "app-config" not found')
                case "neverready":
                    text = "Readiness probe failed: HTTP probe failed with statuscode: 503"
                    self._emit(about, "Warning", "Unhealthy", text)
                case _:
                    self._emit(about, "Normal", "Started", f"Started container {container['name']}")


def _restarts(status: Json) -> int:
    return sum(container["restartCount"] for container in status.get("containerStatuses") or ())
