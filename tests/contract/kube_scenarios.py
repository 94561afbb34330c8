"""The two clusters that pass the `kube` contract, behind one face, and the objects its tests make there."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from remediator.clock import SystemClock, rfc3339
from remediator.kube.base import Cluster, annotations_of, path_of
from remediator.kube.client import connect
from remediator.model import Request
from remediator.simulate.apiserver import EmbeddedCluster
from remediator.simulate.inprocess import client_of
from remediator.simulate.workloads import deployment
from tests.cluster.credentials import NOBODY

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
DEADLINE_SECONDS = 30.0
GOOD, CRASH = "registry.example/web:1.0", "registry.example/web:2.0-crash"
REVISION = "deployment.kubernetes.io/revision"


@dataclass(frozen=True)
class World:
    """A cluster to test: an admin's client, the client of a user who may do nothing, and a namespace."""

    cluster: Cluster
    powerless: Cluster
    namespace: str

    def path(self, kind: str, name: str | None = None, subresource: str | None = None) -> str:
        return path_of(kind, namespace=self.namespace, name=name, subresource=subresource)

    async def create(self, kind: str, manifest: Any, *, dry_run: bool = False) -> Any:
        body = manifest | {"metadata": {**manifest["metadata"], "namespace": self.namespace}}
        request = Request("POST", self.path(kind), "application/json", body)
        return await self.cluster.send(request, dry_run=dry_run)

    async def patch(self, path: str, body: Any, *, dry_run: bool = False, content_type: str = JSON_PATCH) -> Any:
        return await self.cluster.send(Request("PATCH", path, content_type, body), dry_run=dry_run)

    async def get(self, kind: str, name: str) -> Any:
        return await self.cluster.get(self.path(kind, name))

    async def deploy(self, image: str = GOOD, *, replicas: int = 2, **extra: Any) -> Any:
        """A new Deployment whose rollout is complete."""
        name = f"web-{secrets.token_hex(3)}"
        await self.create("Deployment", deployment(self.namespace, name, image=image, replicas=replicas, **extra))
        return await self.settled(name)

    async def settled(self, name: str) -> Any:
        async def is_settled() -> Any:
            item = await self.get("Deployment", name)
            status, wanted = item.get("status", {}), item["spec"]["replicas"]
            counts = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "availableReplicas")]
            reasons = [c["reason"] for c in status.get("conditions", ()) if c["type"] == "Progressing"]
            is_done = counts == [wanted] * 3 and reasons == ["NewReplicaSetAvailable"]
            return item if is_done and status["observedGeneration"] == item["metadata"]["generation"] else None

        return await until(is_settled, f"the rollout of {name}")

    async def set_image(self, name: str, image: str) -> Any:
        step = {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": image}
        return await self.patch(self.path("Deployment", name), [step])

    async def replica_sets(self, name: str) -> dict[str, Any]:
        """Image -> ReplicaSet."""
        items = await self.cluster.list(self.path("ReplicaSet"), label_selector=f"app={name}")
        return {item["spec"]["template"]["spec"]["containers"][0]["image"]: item for item in items}

    async def pod_that(self, image: str, is_there: Callable[[Any], bool]) -> Any:
        """A new bare pod of that image, as soon as its status is as asked."""
        name = f"pod-{secrets.token_hex(3)}"
        container = {"name": "app", "image": image}
        manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [container]}}
        await self.create("Pod", manifest)

        async def found() -> Any:
            pod = await self.get("Pod", name)
            return pod if pod["status"].get("containerStatuses") and is_there(pod) else None

        return await until(found, f"pod of {image}")


async def until(probe: Callable[[], Awaitable[Any]], what: str) -> Any:
    """The first true answer; fails with the last one after a deadline."""
    end = time.monotonic() + DEADLINE_SECONDS
    while True:
        answer = await probe()
        if answer:
            return answer
        assert time.monotonic() < end, f"not within {DEADLINE_SECONDS:g} s: {what}"
        await asyncio.sleep(0.05)


def waiting_reason(pod: Any) -> str:
    state = pod["status"]["containerStatuses"][0]["state"]
    return str((state.get("waiting") or {}).get("reason", ""))


def condition(item: Any, kind: str) -> Any:
    return next(c for c in item["status"]["conditions"] if c["type"] == kind)


async def bare_deployment(world: World, **spec: Any) -> Any:
    """A paused Deployment without pods: an object to patch in peace."""
    name = f"idle-{secrets.token_hex(3)}"
    manifest = deployment(world.namespace, name, image=GOOD, replicas=0, annotations={"a": "1"}, spec=spec)
    await world.create("Deployment", manifest)

    async def observed() -> Any:
        item = await world.get("Deployment", name)
        return (
            item if item.get("status", {}).get("observedGeneration") == 1 and REVISION in annotations_of(item) else None
        )

    return await until(observed, f"{name} observed")


def guarded(item: Any, *steps: Any, uid: str | None = None, generation: int | None = None) -> list[Any]:
    """Our patch: the tests on uid and generation, then the steps."""
    meta = item["metadata"]
    return [
        {"op": "test", "path": "/metadata/uid", "value": uid or meta["uid"]},
        {"op": "test", "path": "/metadata/generation", "value": generation or meta["generation"]},
        *steps,
    ]


def annotate(value: str) -> Any:
    return {"op": "add", "path": "/metadata/annotations/remediator.io~1last-action", "value": value}


def event(namespace: str, about: Any) -> Any:
    """An events.k8s.io/v1 Event, as the service writes them."""
    meta = about["metadata"]
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"generateName": f"{meta['name']}-"},
        "eventTime": rfc3339(SystemClock().now()),
        "reportingController": "remediator.io/remediator",
        "reportingInstance": "remediator-0",
        "action": "RollBack",
        "reason": "Recommended",
        "type": "Normal",
        "note": "would roll back",
        "regarding": {
            "apiVersion": about["apiVersion"],
            "kind": about["kind"],
            "namespace": namespace,
            "name": meta["name"],
            "uid": meta["uid"],
        },
    }


@asynccontextmanager
async def _clients(namespace: str, admin: Any, powerless: Any) -> Any:
    one = await connect(name="test", **admin)
    try:
        other = await connect(name="test", **powerless)
        try:
            yield World(one, other, namespace)
        finally:
            await other.close()
    finally:
        await one.close()


def real_world(control_plane: Any, namespace: str) -> AbstractAsyncContextManager[World]:
    """The real API server, controllers and scheduler, with KWOK as the kubelet."""
    nobody = {"kubeconfig": control_plane.kubeconfig(NOBODY)}
    return _clients(namespace, {"kubeconfig": control_plane.kubeconfig()}, nobody)


@asynccontextmanager
async def embedded_world(*, in_process: bool = False) -> Any:
    """The embedded cluster with quick kubelets; a second one that denies everything stands for its powerless user.

    `in_process`: without a socket, as stories speak to it.
    """
    quick = {"tick_seconds": 0.05, "start_seconds": 0.1, "backoff_seconds": 0.3}
    async with (
        EmbeddedCluster(SystemClock(), **quick) as embedded,
        EmbeddedCluster(SystemClock(), user="nobody") as closed,
    ):
        for verb in ("get", "list", "create", "patch", "delete"):
            for resource in ("deployments", "pods", "pods/log"):
                closed.deny(verb, resource)
        embedded.create_namespace("contract")
        if in_process:
            one, other = (client_of(cluster, SystemClock(), name="test") for cluster in (embedded, closed))
            yield World(one, other, "contract")
            return
        async with _clients("contract", {"server": embedded.url}, {"server": closed.url}) as world:
            yield world
