"""`events`: Kubernetes Events about the workload, its present ReplicaSet and its worst pods, newest last.

Asked for by uid, so that an earlier object of the same name says nothing here. The scheduler's Events have null
`firstTimestamp` and `lastTimestamp`; the API server lists the oldest first, so all are read and the newest kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from remediator.diagnose.base import Scene, attempt, events_about, is_ready, present_revision, words
from remediator.kube.base import instant_of, path_of
from remediator.kube.permissions import to
from remediator.kube.rollout import current_replica_set
from remediator.model import Finding, Json
from remediator.together import together

MAX_OBJECTS = 6
MAX_CLAIMS = 2
MAX_PER_OBJECT = 50
MAX_EVENTS = 120
BEFORE_ALERT = timedelta(hours=1)
"""How long before the alert Events still belong to it; the API server keeps them an hour by default."""


class Events:
    name = "events"
    permissions = (to("CoreEvent", "list"),)

    async def collect(self, scene: Scene) -> Sequence[Finding]:
        path = path_of("CoreEvent", namespace=scene.target.namespace or None)
        since = min(scene.alert.starts_at, scene.now) - BEFORE_ALERT
        reads = [
            attempt(self.name, f"events of {item['metadata']['name']}", events_about(scene, path, selector))
            for item, selector in _objects(scene)
        ]
        failed: list[Finding] = []
        kept: dict[str, tuple[datetime, Json]] = {}
        for events in await together(*reads):
            if isinstance(events, Finding):
                failed.append(events)
                continue
            timed = sorted(((_when(event), event) for event in events if event.get("reason")), key=lambda pair: pair[0])
            recent = [pair for pair in timed if pair[0] >= since]
            kept |= {_key(event): (at, event) for at, event in recent[-MAX_PER_OBJECT:]}
        newest = sorted(kept.values(), key=lambda pair: pair[0])[-MAX_EVENTS:]
        return [*failed, *(_finding(at, event) for at, event in newest)]


def _objects(scene: Scene) -> list[tuple[Json, str]]:
    """What to ask about, most telling first, each with its field selector."""
    workload = scene.workload
    if scene.target.kind == "Node":
        # The kubelet writes its node's name where the uid belongs.
        return [(workload.object, f"involvedObject.kind=Node,involvedObject.name={scene.target.name}")]
    objects = [workload.object]
    if workload.replica_sets and (current := current_replica_set(workload.object, workload.replica_sets)) is not None:
        objects.append(current)
    sick, is_present = [pod for pod in workload.pods if not is_ready(pod)], present_revision(workload)
    sick.sort(key=lambda pod: (not is_present(pod), -restarts(pod), pod["metadata"]["name"]))
    chosen = [(item, f"involvedObject.uid={item['metadata']['uid']}") for item in [*objects, *sick][:MAX_OBJECTS]]
    return [*chosen, *_claims(sick)[:MAX_CLAIMS]]


def _claims(pods: Sequence[Json]) -> list[tuple[Json, str]]:
    """Claims that pods without a node wait for, by name: their uid is not in the picture."""
    names = {
        volume["persistentVolumeClaim"]["claimName"]
        for pod in pods
        if not pod["spec"].get("nodeName")
        for volume in pod["spec"].get("volumes") or ()
        if volume.get("persistentVolumeClaim")
    }
    kind = "involvedObject.kind=PersistentVolumeClaim"
    return [({"metadata": {"name": name}}, f"{kind},involvedObject.name={name}") for name in sorted(names)]


def restarts(pod: Json) -> int:
    status = pod.get("status") or {}
    every = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    return sum(container.get("restartCount") or 0 for container in every)


def _key(event: Json) -> str:
    meta = event["metadata"]
    return str(meta.get("uid") or meta["name"])


def _when(event: Json) -> datetime:
    """Newest sighting (kubectl `pkg/cmd/events/events.go` has this order)."""
    series = event.get("series") or {}
    stamps = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    text = next((stamp for stamp in stamps if stamp), event["metadata"]["creationTimestamp"])
    instant = instant_of(text)
    assert instant is not None
    return instant


def _finding(at: datetime, event: Json) -> Finding:
    about, series = event.get("involvedObject") or {}, event.get("series") or {}
    message, reason = words(event.get("message") or "", max_length=1024), words(event["reason"], max_length=128)
    return Finding(
        "event",
        f"{about.get('kind')}/{about.get('name')}: {reason}: {message}",
        {
            "reason": reason,
            "type": event.get("type"),
            "message": message,
            "count": series.get("count") or event.get("count") or 1,
            "object": f"{about.get('kind')}/{about.get('name')}",
            "last_seen": at.isoformat(),
        },
    )
