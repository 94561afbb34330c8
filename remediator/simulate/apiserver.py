"""The embedded cluster: an API server on loopback with its controllers, scheduler and kubelets, all in this process.

`remediator demo` and fast pipeline tests start one and point the real client at `url`. After each write the
controllers run until nothing changes; time-driven progress (pods starting, crashing, going) comes with the ticks.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Self

from aiohttp import web

from remediator.clock import Clock
from remediator.model import Json
from remediator.simulate.admission import check, defaulted
from remediator.simulate.answers import Refused
from remediator.simulate.api import REVIEW_PATH, Api, Asked, place_of
from remediator.simulate.deployments import DeploymentController
from remediator.simulate.eviction import budget_status
from remediator.simulate.kubelet import NODE, Kubelet, node
from remediator.simulate.loopback import Loopback
from remediator.simulate.podlogs import LogBook
from remediator.simulate.recorder import EventRecorder
from remediator.simulate.replicasets import ReplicaSetController, collect_orphans
from remediator.simulate.storage import DEPLOYMENT, NAMESPACE, PLACES, POD, REPLICA_SET, SYSTEM_FIELDS, Storage, seconds

VERSION = {"major": "1", "minor": "36", "gitVersion": "v1.36.3+embedded", "platform": "linux/amd64"}
WRITE_METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE"})
BUDGET = PLACES["PodDisruptionBudget"]
MAX_PASSES = 200


@dataclass(frozen=True, slots=True)
class Call:
    """One request as the API server saw it; `body` is parsed JSON of a write, else None."""

    at: datetime
    method: str
    path: str
    query: Mapping[str, str]
    user_agent: str
    status: int
    body: Json

    @property
    def is_write(self) -> bool:
        """Whether it changed the cluster: no dry run, not refused, and no question about permissions."""
        is_asking = self.path == REVIEW_PATH or "dryRun" in self.query
        return self.method in WRITE_METHODS and self.status < 400 and not is_asking


class EmbeddedCluster:
    """An async context manager; all times are seconds of `clock`.

    `start_seconds` pass until a pod's containers run, `backoff_seconds` is the first CrashLoopBackOff. With a `seed`,
    names and uids repeat from run to run.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        tick_seconds: float = 1.0,
        start_seconds: float = 2.0,
        backoff_seconds: float = 10.0,
        seed: int | None = None,
        user: str = "remediator",
    ) -> None:
        self._clock = clock
        self._storage = Storage(clock, seed=seed)
        self._logs = LogBook()
        self._api = Api(self._storage, clock, self._logs, user=user)
        emit = EventRecorder(self._storage, clock).record
        self._deployments = DeploymentController(self._storage, clock, emit)
        self._replica_sets = ReplicaSetController(self._storage, clock, emit)
        self._kubelet = Kubelet(
            self._storage, clock, emit, start_seconds=start_seconds, backoff_seconds=backoff_seconds
        )
        self._server = Loopback(self._serve, clock, tick=self.tick, tick_seconds=tick_seconds)
        self._is_held = False
        self.requests: list[Call] = []
        """Every request over HTTP, oldest first."""
        for name in ("default", "kube-system"):
            self.create_namespace(name)
        for number in (1, 2):
            self._storage.create(NODE, node(f"node-{number}", now=clock.now()))

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.__aexit__(kind, error, trace)

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def writes(self) -> Sequence[Call]:
        """The requests that changed the cluster."""
        return [call for call in self.requests if call.is_write]

    # --- the world around the service: what people, pipelines and bad luck do to a cluster

    def create_namespace(self, name: str, *, labels: Mapping[str, str] | None = None) -> None:
        """Create it with its default ServiceAccount; nothing happens if it exists."""
        if self._storage.find(NAMESPACE, None, name) is None:
            self._api.create(NAMESPACE, None, {"metadata": {"name": name, "labels": dict(labels or {})}})
            account = {"metadata": {"name": "default", "namespace": name}}
            self._storage.create(PLACES["ServiceAccount"], account)

    def apply(self, manifest: Json) -> Json:
        """Create the object, or give it the manifest's content as `kubectl apply` would; its namespace is created too.

        Annotations and labels that the manifest does not name stay. Raises Refused.
        """
        place = place_of(manifest)
        meta = manifest["metadata"]
        namespace = meta.get("namespace", "default") if place.namespaced else None
        if namespace is not None:
            self.create_namespace(namespace)
        old = self._storage.find(place, namespace, meta["name"])
        if old is None:
            stored = self._api.create(place, namespace, manifest)
        else:
            stored = self._storage.replace(place, self._applied(manifest, old))
        self._reconcile()
        return copy.deepcopy(stored)

    def _applied(self, manifest: Json, old: Json) -> Json:
        meta = {**manifest["metadata"], "namespace": old["metadata"].get("namespace")}
        for field in ("labels", "annotations"):
            both = {**(old["metadata"].get(field) or {}), **(meta.get(field) or {})}
            if both:
                meta[field] = both
        kept = {key: old["metadata"][key] for key in (*SYSTEM_FIELDS, "ownerReferences") if key in old["metadata"]}
        new = defaulted(place_of(manifest), {**manifest, "metadata": {**meta, **kept}})
        check(place_of(manifest), new, old)
        return new

    def patch_image(self, namespace: str, name: str, image: str, *, change_cause: str | None = None) -> Json:
        """Deploy another image in the first container of a Deployment, as a pipeline would."""
        new = copy.deepcopy(self._storage.get(DEPLOYMENT, namespace, name))
        new["spec"]["template"]["spec"]["containers"][0]["image"] = image
        if change_cause is not None:
            new["metadata"].setdefault("annotations", {})["kubernetes.io/change-cause"] = change_cause
        stored = self._storage.replace(DEPLOYMENT, new)
        self._reconcile()
        return copy.deepcopy(stored)

    def get(self, kind: str, namespace: str | None, name: str) -> Json:
        """A copy of an object. Raises Refused (404)."""
        return copy.deepcopy(self._storage.get(PLACES[kind], namespace, name))

    def list(self, kind: str, namespace: str | None = None) -> list[Json]:
        """Copies of all objects of a kind, in one namespace or all."""
        return [copy.deepcopy(item) for item in self._storage.all(PLACES[kind], namespace)]

    def delete(self, kind: str, namespace: str | None, name: str) -> None:
        """Remove an object, and with it what it owns; gone is fine."""
        self._storage.remove(PLACES[kind], namespace, name)
        self._reconcile()

    def set_pod_status(self, namespace: str, name: str, **status: Json) -> None:
        """Set fields of a pod's status; `phase="Failed"` is one that the kubelet leaves alone from then on."""
        pod = self._storage.get(POD, namespace, name)
        self._storage.replace(POD, pod | {"status": {**pod["status"], **status}}, subresource="status")
        self._reconcile()

    def set_logs(self, image_substring: str, *, current: str | None = None, previous: str | None = None) -> None:
        """What the containers with this substring in their image print."""
        self._logs.set(image_substring, current=current, previous=previous)

    def deny(self, verb: str, resource: str) -> None:
        """Answer 403 to the client from now on; a subresource is written `pods/log`."""
        self._api.denied.add((verb, resource))

    def permit(self, verb: str, resource: str) -> None:
        self._api.denied.discard((verb, resource))

    def hold_controllers(self) -> None:
        """Writes are stored but not observed, until `release_controllers`."""
        self._is_held = True

    def release_controllers(self) -> None:
        self._is_held = False
        self._reconcile()

    def tick(self) -> None:
        """What time brings: kubelets, deadlines, back-offs. The context manager calls it; tests may too."""
        self._kubelet.step()
        self._reconcile()

    def _reconcile(self) -> None:
        if self._is_held:
            return
        for _ in range(MAX_PASSES):
            before = self._storage.version
            for deployment in self._storage.all(DEPLOYMENT):
                self._deployments.sync(deployment)
            for replica_set in self._storage.all(REPLICA_SET):
                self._replica_sets.sync(replica_set)
            for budget in self._storage.all(BUDGET):
                status = budget_status(self._storage, budget, seconds(self._clock.now()))
                self._storage.replace(BUDGET, budget | {"status": status}, subresource="status")
            collect_orphans(self._storage)
            if self._storage.version == before:
                return
        raise AssertionError("the controllers of the embedded cluster do not settle")

    # --- HTTP

    async def _serve(self, request: web.Request) -> web.Response:
        body = await request.read()
        asked = Asked(
            method=request.method,
            path=request.rel_url.raw_path,
            query=dict(request.query),
            dry_run=request.query.getall("dryRun", []),
            content_type=request.content_type if "Content-Type" in request.headers else "",
            accept=request.headers.get("Accept", ""),
            body=body,
        )
        code, answer = self._answer(asked)
        self.requests.append(
            Call(
                at=self._clock.now(),
                method=request.method,
                path=request.path,
                query=asked.query,
                user_agent=request.headers.get("User-Agent", ""),
                status=code,
                body=_parsed(body) if request.method in WRITE_METHODS else None,
            )
        )
        if isinstance(answer, bytes):
            return web.Response(body=answer, content_type="text/plain", status=code)
        return web.json_response(answer, status=code)

    def _answer(self, asked: Asked) -> tuple[int, Json | bytes]:
        match asked.path:
            case "/readyz" | "/livez" | "/healthz":
                return 200, b"ok"
            case "/version":
                return 200, VERSION
            case "/api":
                return 200, {"kind": "APIVersions", "versions": ["v1"]}
        try:
            code, answer = self._api.answer(asked)
        except Refused as refused:
            return refused.code, refused.body
        # The answer is the object as this write left it; what controllers make of it comes after.
        answer = answer if isinstance(answer, bytes) else copy.deepcopy(answer)
        if asked.method in WRITE_METHODS and not asked.is_dry:
            self._reconcile()
        return code, answer


def _parsed(body: bytes) -> Json:
    try:
        return json.loads(body)
    except ValueError:
        return None
