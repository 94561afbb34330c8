"""The cluster as it was: the protocol `Cluster` on what history tells, for `target/` and the guards, which do not know
the difference.

An object holds what was told and nothing else. What nobody told raises `NotTold`, never `NotFound`: "gone" is said only
of what kube-state-metrics listed then and this was not among it. Nothing can be written.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NoReturn

from remediator.backtest.facts import Facts, NotTold, Seen
from remediator.clock import Clock
from remediator.kube.base import RESOURCES, Logs, NotFound
from remediator.model import Json, Request

ZONE = "topology.kubernetes.io/zone"
API_OF_OWNER = {
    "ReplicaSet": "apps/v1",
    "Deployment": "apps/v1",
    "StatefulSet": "apps/v1",
    "DaemonSet": "apps/v1",
    "Job": "batch/v1",
    "CronJob": "batch/v1",
}
"""The metric names the kind of an owner and not its API: a kind of these names is taken for the built-in one."""

WORKLOADS = {"Deployment": "deployments", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets"}
_KINDS = {resource.plural: kind for kind, resource in RESOURCES.items() if kind != "CoreEvent"}
_NONE = ("", "<none>")


def uid_of(kind: str, namespace: str, name: str) -> str:
    """Of what no metric gives the uid; only pods have theirs."""
    return f"{kind}/{namespace}/{name}"


class PastCluster:
    """The cluster at the clock's time."""

    def __init__(self, name: str, facts: Facts, clock: Clock) -> None:
        self._name = name
        self._facts = facts
        self._clock = clock

    @property
    def name(self) -> str:
        return self._name

    async def get(self, path: str) -> Json:
        kind, namespace, name = _read(path)
        now = self._clock.now()
        if name is None:
            raise NotTold(f"what {path} said")
        if kind == "Pod":
            return self.pod(self._found("pods", (namespace, name), now, kind), now)
        if kind in WORKLOADS:
            self._found(WORKLOADS[kind], (namespace, name), now, kind)
            return plain(kind, namespace, name)
        if kind == "ReplicaSet":
            return self._replica_set(namespace, name)
        if kind == "HorizontalPodAutoscaler":
            return _autoscaler(self._found("autoscalers", (namespace, name), now, kind))
        if kind == "Job":
            return _job(self._found("jobs", (namespace, name), now, kind))
        if kind == "Node":
            return self._node(self._found("nodes", (name,), now, kind), now)
        if kind == "CronJob" and self._facts.is_told("jobs"):
            return plain(kind, namespace, name)
        if kind == "PersistentVolumeClaim" and self._facts.is_told("claims"):
            return plain(kind, namespace, name)
        raise NotTold(f"the {kind} {name}: its selector, or itself")

    async def list(
        self,
        path: str,
        *,
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
        limit: int | None = None,
    ) -> Sequence[Json]:
        kind, namespace, _ = _read(path)
        now = self._clock.now()
        if kind == "Node":
            self._facts.need("nodes", now)
            return [self._node(seen, now) for seen in self._facts.everything("nodes", now)]
        if kind == "Pod" and not label_selector and not field_selector:
            self._facts.need("pods", now)
            return [self.pod(seen, now) for seen in self._facts.here("pods", namespace, now)]
        raise NotTold(f"which {RESOURCES[kind].plural} {label_selector or field_selector or 'there were'}".rstrip())

    async def logs(
        self, *, namespace: str, pod: str, container: str, previous: bool, tail_lines: int, limit_bytes: int
    ) -> Logs:
        raise NotTold("logs")

    async def send(self, request: Request, *, dry_run: bool) -> NoReturn:
        raise NotTold("what the API server would have said to a request")

    async def is_ready(self) -> bool:
        return True

    async def close(self) -> None: ...

    def pod(self, seen: Seen, now: datetime) -> Json:
        """A pod with its owner, node, readiness, what its containers wait for, and its claims."""
        labels, facts = seen.labels, self._facts
        space, name = labels["namespace"], labels["pod"]
        metadata: dict[str, Json] = {
            "namespace": space,
            "name": name,
            "uid": labels.get("uid") or uid_of("Pod", space, name),
        }
        kind, owner = labels.get("created_by_kind", ""), labels.get("created_by_name", "")
        if kind not in _NONE:
            metadata["ownerReferences"] = [_reference(kind, space, owner)]
        key = (space, name)
        images = {one.labels.get("container", ""): one.labels.get("image", "") for one in facts.all("images", key, now)}
        waiting = {
            one.labels.get("container", ""): one.labels.get("reason", "") for one in facts.all("waiting", key, now)
        }
        restarts = {one.labels.get("container", ""): int(one.value) for one in facts.all("restarts", key, now)}
        phase = facts.one("phases", key, now)
        is_ready = facts.one("unready", key, now) is None
        claims = [one.labels["persistentvolumeclaim"] for one in facts.all("claims", key, now)]
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": {
                "nodeName": labels.get("node") or None,
                "priorityClassName": labels.get("priority_class") or None,
                "containers": [{"name": one, "image": images.get(one, "")} for one in sorted({*images, *waiting})],
                "volumes": [{"name": one, "persistentVolumeClaim": {"claimName": one}} for one in sorted(claims)],
            },
            "status": {
                "phase": "Running" if phase is None else phase.labels["phase"],
                "conditions": [{"type": "Ready", "status": "True" if is_ready else "False"}],
                "containerStatuses": [
                    {
                        "name": one,
                        "ready": is_ready,
                        "restartCount": restarts.get(one, 0),
                        "state": {"waiting": {"reason": waiting[one]}} if waiting.get(one) else {},
                    }
                    for one in sorted({*images, *waiting, *restarts})
                ],
            },
        }

    def _found(self, fact: str, key: tuple[str, ...], now: datetime, kind: str) -> Seen:
        """Raises NotTold, NotFound."""
        self._facts.need(fact, now)
        seen = self._facts.one(fact, key, now)
        if seen is None:
            raise NotFound(f"{kind} {'/'.join(key)}: kube-state-metrics did not list it then")
        return seen

    def _replica_set(self, namespace: str, name: str) -> Json:
        """Who owns a ReplicaSet never changes, so that any time tells; without replicas it may be there as well."""
        labels = self._facts.ever("replicasets", (namespace, name))
        if labels is None:
            raise NotTold(f"the owner of ReplicaSet {name}")
        found = plain("ReplicaSet", namespace, name)
        if labels.get("owner_kind", "") not in _NONE:
            found["metadata"]["ownerReferences"] = [_reference(labels["owner_kind"], namespace, labels["owner_name"])]
        return found

    def _node(self, seen: Seen, now: datetime) -> Json:
        name = seen.labels["node"]
        found: Json = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "uid": uid_of("Node", "", name)}}
        zone = self._facts.one("zones", (name,), now)
        if zone is not None and (text := zone.labels.get("label_topology_kubernetes_io_zone")):
            found["metadata"]["labels"] = {ZONE: text}
        found["status"] = {"conditions": [{"type": "Ready", "status": "True" if seen.value == 1 else "False"}]}
        return found


def plain(kind: str, namespace: str, name: str) -> Json:
    """An object of which only that it was there is told."""
    meta = {"namespace": namespace, "name": name, "uid": uid_of(kind, namespace, name), "generation": 1}
    return {"kind": kind, "metadata": meta, "spec": {}, "status": {"observedGeneration": 1}}


def _autoscaler(seen: Seen) -> Json:
    labels = seen.labels
    found = plain("HorizontalPodAutoscaler", labels["namespace"], labels["horizontalpodautoscaler"])
    kind = labels.get("scaletargetref_kind", "")
    name = labels.get("scaletargetref_name", "")
    found["spec"] = {"scaleTargetRef": {"kind": kind, "name": name, "apiVersion": API_OF_OWNER.get(kind, "")}}
    return found


def _job(seen: Seen) -> Json:
    labels = seen.labels
    found = plain("Job", labels["namespace"], labels["job_name"])
    if labels.get("owner_kind", "") not in _NONE:
        owner = _reference(labels["owner_kind"], labels["namespace"], labels["owner_name"])
        found["metadata"]["ownerReferences"] = [owner]
    return found


def _reference(kind: str, namespace: str, name: str) -> Json:
    uid = uid_of(kind, namespace, name)
    return {"kind": kind, "name": name, "uid": uid, "apiVersion": API_OF_OWNER.get(kind, ""), "controller": True}


def _read(path: str) -> tuple[str, str, str | None]:
    """Kind, namespace and name (None: a collection) of a path as `kube.base.path_of` makes it."""
    parts = path.strip("/").split("/")
    parts = parts[2:] if parts[0] == "api" else parts[3:]
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 2:
        namespace, parts = parts[1], parts[2:]
    return _KINDS[parts[0]], namespace, parts[1] if len(parts) > 1 else None
