"""`events`: Kubernetes Events about the workload, its present ReplicaSet and its worst pods, newest last."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from remediator.diagnose.base import Scene
from remediator.errors import cut
from remediator.kube.base import instant_of, path_of
from remediator.kube.rollout import condition, current_replica_set
from remediator.model import Finding, Json
from remediator.redact import redact

MAX_OBJECTS = 4
MAX_EVENTS = 50


class Events:
    name = "events"

    async def collect(self, scene: Scene) -> Sequence[Finding]:
        workload = scene.workload
        objects = [workload.object]
        if (current := current_replica_set(workload.object, workload.replica_sets)) is not None:
            objects.append(current)
        objects += [pod for pod in workload.pods if (condition(pod, "Ready") or {}).get("status") != "True"]
        path = path_of("CoreEvent", namespace=scene.target.namespace or None)
        items: list[Json] = []
        for item in objects[:MAX_OBJECTS]:
            uid = item["metadata"]["uid"]
            items += await scene.cluster.list(path, field_selector=f"involvedObject.uid={uid}", limit=MAX_EVENTS)
        items.sort(key=_when)
        return [_finding(item) for item in items[-MAX_EVENTS:] if item.get("reason")]


def _when(event: Json) -> datetime:
    """Newest sighting. The scheduler's events have no lastTimestamp, only eventTime (kubectl `events.go` order)."""
    series = event.get("series") or {}
    stamps = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    text = next((stamp for stamp in stamps if stamp), event["metadata"]["creationTimestamp"])
    instant = instant_of(text)
    assert instant is not None
    return instant


def _finding(event: Json) -> Finding:
    about = event.get("involvedObject") or {}
    message = cut(redact(event.get("message") or ""))
    return Finding(
        "event",
        f"{about.get('kind')}/{about.get('name')}: {event['reason']}: {message}",
        {
            "reason": event["reason"],
            "type": event.get("type"),
            "message": message,
            "count": event.get("count") or 1,
            "object": f"{about.get('kind')}/{about.get('name')}",
            "last_seen": _when(event).isoformat(),
        },
    )
