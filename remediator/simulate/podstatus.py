"""What the embedded kubelet makes of a pod, by words in the image: the same words as the cluster tests' KWOK stages.

`crash` and `oom` loop in CrashLoopBackOff, `imagepull` and `noconfig` never start, `neverready` runs and fails its
readiness probe; everything else is ready once it has started. Stories have three more: `probekill` is ended for its
liveness probe, `registryaway` cannot be pulled for want of a registry, `cannotstart` has a command that is not there.
The annotation `FAILS` says so of one pod, whatever its image is. Pure; called by `kubelet.py`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from remediator.model import Json
from remediator.simulate.conditions import find
from remediator.simulate.storage import seconds

_WORD = re.compile("crash|oom|imagepull|noconfig|neverready|probekill|registryaway|cannotstart")

FAILS = "simulate.remediator.io/fails"
LOOPING = ("crash", "oom", "probekill")

MAX_BACKOFF_SECONDS = 300.0
NEVER_STARTED = ("ImagePullBackOff", "CreateContainerConfigError", "CreateContainerError")


def failure_of(image: str) -> str:
    """The failing word in an image name, or "" for one that works."""
    found = _WORD.search(image)
    return found.group() if found else ""


def fault_of(pod: Json, container: Json) -> str:
    """The word for how this container fails, "" for one that works; `none` on the pod mends a failing image."""
    told = (pod["metadata"].get("annotations") or {}).get(FAILS)
    return failure_of(container["image"]) if told is None else told.replace("none", "")


def crash_times(started_at: datetime, now: datetime, first_backoff_seconds: float) -> tuple[int, datetime, float]:
    """How often a crashing container has been restarted, when it died last, and the current back-off in seconds.

    The back-off doubles from the first up to five minutes, as the kubelet's does.
    """
    count, at, wait = 1, started_at, first_backoff_seconds
    while at + timedelta(seconds=wait) <= now:
        at += timedelta(seconds=wait)
        wait = min(wait * 2, MAX_BACKOFF_SECONDS)
        count += 1
    return count, at, wait


def running_status(
    pod: Json, *, started_at: datetime, failing_since: datetime, now: datetime, first_backoff_seconds: float
) -> Json:
    """`status` of a pod whose containers were first started at `started_at`; what loops ended first at
    `failing_since`."""
    statuses = []
    for container in pod["spec"]["containers"]:
        word = fault_of(pod, container)
        restarts, died_at, wait = 0, started_at, 0.0
        if word in LOOPING:
            restarts, died_at, wait = crash_times(failing_since, now, first_backoff_seconds)
        statuses.append(_container_status(pod, container, word, restarts, seconds(died_at), wait))
    never_started = any((s["state"].get("waiting") or {}).get("reason") in NEVER_STARTED for s in statuses)
    unready = [status["name"] for status in statuses if not status["ready"]]
    status = dict(pod["status"])
    status |= {
        "phase": "Pending" if never_started else "Running",
        "startTime": seconds(started_at),
        "hostIP": "127.0.0.1",
        "hostIPs": [{"ip": "127.0.0.1"}],
        "podIP": _pod_ip(pod),
        "podIPs": [{"ip": _pod_ip(pod)}],
        "containerStatuses": statuses,
        "observedGeneration": pod["metadata"]["generation"],
    }
    status["conditions"] = _conditions(pod["status"].get("conditions") or (), unready, seconds(now))
    return status


def scheduled_conditions(now: datetime) -> list[Json]:
    """The conditions of a pod that has a node and nothing else yet."""
    return [_condition("PodScheduled", "True", seconds(now))]


def unschedulable_condition(text: str, now: datetime) -> Json:
    """The scheduler's word on a pod that fits nowhere."""
    return _condition("PodScheduled", "False", seconds(now), reason="Unschedulable", message=text)


def lost_status(status: Json, now: datetime) -> Json:
    """`status` of a pod whose node does not answer: as it was last told, but not ready."""
    conditions = [
        _condition("Ready", "False", seconds(now))
        if condition["type"] == "Ready" and condition["status"] == "True"
        else condition
        for condition in status["conditions"]
    ]
    return status | {"conditions": conditions}


def _condition(kind: str, status: str, now: str, **why: str) -> Json:
    return {"type": kind, "status": status, "lastProbeTime": None, "lastTransitionTime": now, **why}


def _conditions(old: Sequence[Json], unready: list[str], now: str) -> list[Json]:
    why = {}
    if unready:
        text = f"containers with unready status: [{' '.join(unready)}]"
        why = {"reason": "ContainersNotReady", "message": text}
    ready = "False" if unready else "True"
    wanted = [
        _condition("PodReadyToStartContainers", "True", now),
        _condition("Initialized", "True", now),
        _condition("ContainersReady", ready, now, **why),
        _condition("Ready", ready, now, **why),
        _condition("PodScheduled", "True", now),
    ]
    for condition in wanted:
        before = find(old, condition["type"])
        if before is not None and before["status"] == condition["status"]:
            condition["lastTransitionTime"] = before["lastTransitionTime"]
    return wanted


def _container_status(pod: Json, container: Json, word: str, restarts: int, at: str, wait: float) -> Json:
    name, image = container["name"], container["image"]
    status: dict[str, Json] = {
        "name": name,
        "image": image,
        "imageID": f"test@sha256:{hashlib.sha256(image.encode()).hexdigest()}",
        "ready": word == "",
        "started": word in ("", "neverready"),
        "restartCount": restarts,
        "lastState": {},
    }
    if container.get("resources"):
        # In force as asked for: these nodes are never too small.
        status["resources"] = container["resources"]
    match word:
        case "" | "neverready":
            status["state"] = {"running": {"startedAt": at}}
            status["containerID"] = _container_id(pod, name, 0)
        case "crash" | "oom" | "probekill":
            meta = pod["metadata"]
            where = f"pod={meta['name']}_{meta['namespace']}({meta['uid']})"
            text = f"back-off {_go_duration(wait)} restarting failed container={name} {where}"
            status["state"] = {"waiting": {"reason": "CrashLoopBackOff", "message": text}}
            ended: dict[str, Json] = dict(ENDS[word])
            identity = _container_id(pod, name, restarts - 1)
            ended |= {"startedAt": at, "finishedAt": at, "containerID": identity}
            status["lastState"] = {"terminated": ended}
            status["containerID"] = identity
        case "imagepull" | "registryaway":
            status["imageID"] = ""
            why = "not found" if word == "imagepull" else "dial tcp 10.96.7.7:443: i/o timeout"
            text = f'Back-off pulling image "{image}": ErrImagePull: {why}'
            status["state"] = {"waiting": {"reason": "ImagePullBackOff", "message": text}}
        case "cannotstart":
            status["imageID"] = ""
            text = 'exec: "/app/server": stat /app/server: no such file or directory'
            status["state"] = {"waiting": {"reason": "CreateContainerError", "message": text}}
        case _:
            status["imageID"] = ""
            text = 'configmap "app-config" not found'
            status["state"] = {"waiting": {"reason": "CreateContainerConfigError", "message": text}}
    return status


ENDS: Mapping[str, Mapping[str, Json]] = {
    "crash": {"exitCode": 1, "reason": "Error"},
    "oom": {"exitCode": 137, "reason": "OOMKilled"},
    "probekill": {"exitCode": 137, "reason": "Error"},
}


def _container_id(pod: Json, name: str, restarts: int) -> str:
    seed = f"{pod['metadata']['uid']}/{name}/{restarts}"
    return f"containerd://{hashlib.sha256(seed.encode()).hexdigest()}"


def _pod_ip(pod: Json) -> str:
    number = int(pod["metadata"]["uid"][:4], 16)
    return f"10.244.{number >> 8}.{number & 0xFF}"


def _go_duration(wait: float) -> str:
    minutes, rest = divmod(int(wait), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
