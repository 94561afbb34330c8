"""`dependencies`: whether what the rule says its targets need is there and ready.

A workload whose database is gone crashes too; restarts and rollbacks do not mend that. What cannot be told is
`healthy: null`, never healthy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from remediator.diagnose.base import Dependency, Scene, attempt, words
from remediator.kube.base import NotFound, path_of
from remediator.kube.permissions import to
from remediator.kube.rollout import condition
from remediator.model import Finding, Json
from remediator.together import together

MAX_DEPENDENCIES = 10
MAX_SLICES = 100
SERVICE_NAME = "kubernetes.io/service-name"


@dataclass(frozen=True, slots=True)
class Health:
    """`is_healthy` None: not known."""

    is_healthy: bool | None
    detail: str


class Dependencies:
    name = "dependencies"
    permissions = (
        to("Service", "get"),
        to("Deployment", "get"),
        to("StatefulSet", "get"),
        to("EndpointSlice", "list"),
    )

    async def collect(self, scene: Scene) -> Sequence[Finding]:
        asked = scene.dependencies[:MAX_DEPENDENCIES]
        health = await together(*(self._look(scene, one) for one in asked))
        return [_finding(scene, one, found) for one, found in zip(asked, health, strict=True)]

    async def _look(self, scene: Scene, one: Dependency) -> Health:
        space = one.namespace or scene.target.namespace
        if one.kind not in ("Service", "Deployment", "StatefulSet"):
            return Health(None, f"{words(one.kind)} is not a kind that can be looked at")
        try:
            path = path_of(one.kind, namespace=space, name=one.object_name)
        except ValueError:
            return Health(None, "not the name of an object")

        async def read() -> Json | None:
            try:
                return await scene.cluster.get(path)
            except NotFound:
                return None

        item = await attempt(self.name, f"{one.kind} {space}/{one.object_name}", read())
        if isinstance(item, Finding):
            return Health(None, item.summary)
        if item is None:
            return Health(False, f"{one.kind} {space}/{one.object_name} does not exist")
        return await self._service(scene, item) if one.kind == "Service" else _workload(item)

    async def _service(self, scene: Scene, service: Json) -> Health:
        if service["spec"].get("type") == "ExternalName":
            return Health(None, f"it leads out of the cluster, to {words(service['spec'].get('externalName', ''))}")
        name, space = service["metadata"]["name"], service["metadata"]["namespace"]
        call = scene.cluster.list(
            path_of("EndpointSlice", namespace=space), label_selector=f"{SERVICE_NAME}={name}", limit=MAX_SLICES
        )
        slices = await attempt(self.name, f"endpoints of {space}/{name}", call)
        if isinstance(slices, Finding):
            return Health(None, slices.summary)
        conditions = [(one.get("conditions") or {}) for part in slices for one in part.get("endpoints") or ()]
        ready = sum(one.get("ready") is not False for one in conditions)
        return Health(ready > 0, f"{ready} of {len(conditions)} endpoints ready")


def _workload(item: Json) -> Health:
    """At least half of it has to be ready: a database of three with one left answers nothing."""
    status, wanted = item.get("status") or {}, item["spec"].get("replicas", 1)
    ready = status.get("readyReplicas") or 0
    if not wanted:
        return Health(False, "scaled to zero")
    available = (condition(item, "Available") or {}).get("status")
    detail = f"{ready} of {wanted} pods ready"
    return Health(ready * 2 > wanted or (ready > 0 and available == "True"), detail)


def _finding(scene: Scene, one: Dependency, health: Health) -> Finding:
    state = {True: "healthy", False: "unhealthy", None: "not known"}[health.is_healthy]
    return Finding(
        "dependency",
        f"dependency {words(one.name)} is {state}: {words(health.detail)}",
        {
            "name": one.name,
            "kind": one.kind,
            "namespace": one.namespace or scene.target.namespace,
            "object": one.object_name,
            "healthy": health.is_healthy,
            "contact": one.contact,
            "detail": words(health.detail),
        },
    )
