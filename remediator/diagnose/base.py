"""What a collector is: it reads one kind of evidence, within its own bounds, and returns findings.

A collector that fails or is not permitted yields a finding that says so; it never ends the diagnosis. `attempt` is how
collectors read: every read is bounded in time and fails alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeVar

from remediator.errors import RemediatorError, cut
from remediator.kube.base import Cluster, controller_of
from remediator.kube.permissions import Permission
from remediator.kube.rollout import condition, current_replica_set
from remediator.kube.selecting import labels_of
from remediator.kube.workload import Workload
from remediator.model import Alert, Finding, Json, Target
from remediator.prometheus.base import Metrics
from remediator.redact import redact

T = TypeVar("T")

READ_SECONDS = 8.0
"""The most that one read of a collector takes, its repeats included: two in a row end before the collector has to."""

MAX_EVENTS_READ = 500
"""Events read about one object. The API gives the oldest first, so that a smaller limit would lose the newest."""

LARGE_CHARS = 16 * 1024
"""Of foreign text; what has more is read in a thread, since it takes longer than others can wait."""


@dataclass(frozen=True, slots=True)
class Dependency:
    """Something that a rule says its targets need: a Service, Deployment or StatefulSet of this cluster.

    `namespace` None: the target's own. `contact` is the row of the escalation matrix that owns it, "" for none.
    """

    name: str
    kind: str
    namespace: str | None
    object_name: str
    contact: str = ""


@dataclass(frozen=True, slots=True)
class Named:
    """A workload that a rule names beside its target, as written: `shop/deployment/reports`."""

    namespace: str
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.kind.lower()}/{self.name}"


@dataclass(frozen=True, slots=True)
class Scene:
    """What a collector may read. `metrics` is None where no Prometheus is configured.

    `queries` is the rule's name -> PromQL, with its placeholders not yet filled in; `named` are the other workloads
    that an action of the rule would change.
    """

    target: Target
    alert: Alert
    workload: Workload
    cluster: Cluster
    metrics: Metrics | None
    now: datetime
    queries: Mapping[str, str] = field(default_factory=dict)
    dependencies: Sequence[Dependency] = ()
    named: Sequence[Named] = ()


class Collector(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def permissions(self) -> tuple[Permission, ...]:
        """All that it may read beyond the picture of the workload (`kube/workload.py`)."""

    async def collect(self, scene: Scene) -> Sequence[Finding]: ...


def words(text: str, *, max_length: int = 300) -> str:
    """Text from the cluster, fit for a finding: without secrets (taken out before anything is cut), on one line."""
    return cut(redact(text), max_length=max_length)


def unavailable(collector: str, about: str, why: str, **facts: Json) -> Finding:
    """That something could not be looked at: unknown, never "none"."""
    return Finding("unavailable", f"could not read {about}: {words(why)}", {"collector": collector, **facts})


async def attempt(collector: str, about: str, call: Awaitable[T], **facts: Json) -> T | Finding:
    """What the call gives within `READ_SECONDS`, or the finding that says why not."""
    try:
        async with asyncio.timeout(READ_SECONDS):
            return await call
    except TimeoutError:
        return unavailable(collector, about, f"no answer within {READ_SECONDS:g} s", **facts)
    except RemediatorError as error:
        return unavailable(collector, about, str(error), **facts)


async def apart(chars: int, read: Callable[[], T]) -> T:
    """What `read`, which is pure, makes of that many characters: in a thread where they are many."""
    return read() if chars <= LARGE_CHARS else await asyncio.to_thread(read)


async def events_about(scene: Scene, path: str, selector: str) -> Sequence[Json]:
    """Events that a field selector picks; the same call for all collectors, so that it is made once."""
    return await scene.cluster.list(path, field_selector=selector, limit=MAX_EVENTS_READ)


def is_ready(pod: Json) -> bool:
    return (condition(pod, "Ready") or {}).get("status") == "True"


def present_revision(workload: Workload) -> Callable[[Json], bool]:
    """Whether a pod is of the present revision; no pod is while a Deployment's spec was not observed yet.

    Pods of a StatefulSet tell by their hash label once the controller has told its own; those of other kinds all are.
    Finding the revision compares whole templates, so it is done once for all pods.
    """
    item = workload.object
    holder = current_replica_set(item, workload.replica_sets) if workload.replica_sets else item
    uid = holder["metadata"]["uid"] if holder is not None else None
    revision = (item.get("status") or {}).get("updateRevision")

    def is_present(pod: Json) -> bool:
        owner, own = controller_of(pod), labels_of(pod).get("controller-revision-hash")
        is_owned = owner is not None and owner["uid"] == uid
        return bool(is_owned and (not revision or not own or own == revision))

    return is_present
