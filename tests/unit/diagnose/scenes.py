"""What a collector sees, in raw objects: pods of the story in `tests/workloads.py`, their containers, nodes, events."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from remediator.clock import rfc3339
from remediator.diagnose import COLLECTORS
from remediator.diagnose.base import Scene
from remediator.diagnose.diagnose import diagnose
from remediator.model import Cause, Finding, Json
from remediator.rules.load import load_rules
from remediator.rules.shipped import shipped_rules
from tests.fakes import FakeCluster
from tests.workloads import NOW, ROLLOUT_AT, TARGET, alert, workload

NEW, OLD = "rs-3", "rs-2"
NODE = "/api/v1/nodes/node-1"
PATTERNS = load_rules(shipped_rules()).log_patterns
EVENTS = "/api/v1/namespaces/shop/events"
LOG = "/api/v1/namespaces/shop/pods/{}/log"
CRASHED = {"terminated": {"exitCode": 1, "reason": "Error"}}
BACKING_OFF = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}


def container(name: str = "app", **status: Any) -> Json:
    """A container status: in its crash loop, unless told otherwise."""
    facts = {"name": name, "ready": False, "restartCount": 5, "state": BACKING_OFF, "lastState": CRASHED}
    return facts | status


def running(name: str = "app", *, minutes: float = 60, **status: Any) -> Json:
    state = {"running": {"startedAt": rfc3339(NOW - timedelta(minutes=minutes))}}
    return {"name": name, "ready": True, "restartCount": 0, "state": state, "lastState": {}} | status


def pod(
    name: str,
    *containers: Json,
    owner: str = NEW,
    init: tuple[Json, ...] = (),
    spec: dict[str, Any] | None = None,
    meta: dict[str, Any] | None = None,
    **status: Any,
) -> Json:
    """A pod of the present revision; it is ready if its containers are."""
    ready = bool(containers) and all(one["ready"] for one in (*init, *containers))
    return {
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": f"uid-{name}",
            "labels": {"app": "checkout"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": owner, "uid": owner, "controller": True}],
        }
        | (meta or {}),
        "spec": {"nodeName": "node-1", "containers": [{"name": "app", "image": "shop/checkout:1.5"}]} | (spec or {}),
        "status": {
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
            "containerStatuses": list(containers),
            "initContainerStatuses": list(init),
        }
        | status,
    }


def node(**conditions: str) -> Json:
    both = {"Ready": "True", **conditions}
    return {
        "kind": "Node",
        "metadata": {"name": "node-1"},
        "status": {"conditions": [{"type": kind, "status": status} for kind, status in both.items()]},
    }


def event(about: str, reason: str, message: str, *, number: int = 1, **stamps: Any) -> Json:
    stamps = stamps or {"lastTimestamp": rfc3339(NOW - timedelta(minutes=number))}
    return {
        "kind": "CoreEvent",
        "metadata": {"name": f"e-{about}-{number}", "namespace": "shop", "creationTimestamp": rfc3339(NOW)},
        "involvedObject": {"kind": "Pod", "name": about, "uid": f"uid-{about}"},
        "reason": reason,
        "type": "Warning",
        "message": message,
        **stamps,
    }


def scene(
    *pods: Json,
    cluster: FakeCluster | None = None,
    metrics: Any = None,
    labels: dict[str, str] | None = None,
    queries: dict[str, str] | None = None,
    dependencies: tuple[Any, ...] = (),
    **picture: Any,
) -> Scene:
    """The story with these pods; `labels` are added to the alert's, `picture` replaces parts of the workload."""
    world = cluster if cluster is not None else FakeCluster(node())
    firing = alert(labels={**alert().labels, **(labels or {})})
    return Scene(
        TARGET,
        firing,
        workload(pods=pods, **picture),
        world,
        metrics,
        NOW,
        queries=queries or {},
        dependencies=dependencies,
    )


async def collect(name: str, of: Scene) -> list[Finding]:
    return list(await COLLECTORS[name].collect(of))


async def cause_of(*pods: Json, names: tuple[str, ...] = ("containers",), **more: Any) -> Cause:
    """With the shipped log patterns; for an alert older than the rollout, which is not to blame for that alone then."""
    made = scene(*pods, **more)
    older = replace(made, alert=replace(made.alert, starts_at=ROLLOUT_AT - timedelta(minutes=5)))
    return (await diagnose(names, older, patterns=PATTERNS)).cause
