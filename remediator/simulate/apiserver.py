"""The embedded cluster: an API server on loopback with its controllers, scheduler and kubelets, all in this process.

`remediator demo` and fast pipeline tests start one and point the real client at `url`. After each write the
controllers run until nothing changes; time-driven progress (pods starting, crashing, going) comes with the ticks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Self
from urllib.parse import unquote

from aiohttp import web

from remediator.clock import Clock
from remediator.model import Json
from remediator.simulate.admission import check, defaulted
from remediator.simulate.answers import Refused, broken
from remediator.simulate.api import REVIEW_PATH, Api, Asked, place_of
from remediator.simulate.controllers import Controllers
from remediator.simulate.kubelet import NODE, Kubelet
from remediator.simulate.loopback import Loopback
from remediator.simulate.nodes import node, with_readiness
from remediator.simulate.podlogs import LogBook
from remediator.simulate.recorder import EventRecorder
from remediator.simulate.storage import DEPLOYMENT, NAMESPACE, PLACES, SYSTEM_FIELDS, Changed, Storage, copied

VERSION = {"major": "1", "minor": "36", "gitVersion": "v1.36.3+embedded", "platform": "linux/amd64"}
KUBECTL = "kubectl-client-side-apply"
KEPT = (*SYSTEM_FIELDS, "ownerReferences", "managedFields")
WRITE_METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE"})


@dataclass(frozen=True, slots=True)
class Call:
    """One request as the API server saw it; `body` is parsed JSON of a write, else None. `is_lost`: it was done, and
    the answer did not say so."""

    at: datetime
    method: str
    path: str
    query: Mapping[str, str]
    user_agent: str
    status: int
    body: Json
    is_lost: bool = False

    @property
    def is_write(self) -> bool:
        """Whether it changed the cluster: no dry run, not refused, and no question about permissions."""
        is_asking = self.path == REVIEW_PATH or "dryRun" in self.query
        return self.method in WRITE_METHODS and (self.status < 400 or self.is_lost) and not is_asking


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
        self._controllers = Controllers(self._storage, clock, emit)
        self._kubelet = Kubelet(
            self._storage, clock, emit, start_seconds=start_seconds, backoff_seconds=backoff_seconds
        )
        self._server = Loopback(self._serve, clock, tick=self.tick, tick_seconds=tick_seconds)
        self._is_held = self._is_still = False
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

    def watch(self, changed: Changed) -> None:
        """Tell it of every change of an object from now on. It must not write."""
        self._storage.watch(changed)

    def by_uid(self, uid: str) -> Json | None:
        """A copy of the object with this uid, whatever it is."""
        found = self._storage.by_uid(uid)
        return None if found is None else copied(found[1])

    # --- the world around the service: what people, pipelines and bad luck do to a cluster

    def restore(self, objects: Sequence[Json]) -> None:
        """Hold these objects and no others, as they are, from now on: no kubelet and no controller changes them.

        Each has the kind and the version of an API that is here. Raises KeyError.
        """
        self._is_held = self._is_still = True
        for place, item in list(self._storage.everything()):
            self._storage.remove(place, item["metadata"].get("namespace"), item["metadata"]["name"])
        for item in objects:
            self._storage.restore(place_of(item), copied(item))

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
            stored = self._api.create(place, namespace, manifest, manager=KUBECTL)
        else:
            stored = self._storage.replace(place, self._applied(manifest, old), manager=KUBECTL)
        self._reconcile()
        return copied(stored)

    def _applied(self, manifest: Json, old: Json) -> Json:
        meta = {**manifest["metadata"], "namespace": old["metadata"].get("namespace")}
        for field in ("labels", "annotations"):
            both = {**(old["metadata"].get(field) or {}), **(meta.get(field) or {})}
            if both:
                meta[field] = both
        kept = {key: old["metadata"][key] for key in KEPT if key in old["metadata"]}
        new = defaulted(place_of(manifest), {**manifest, "metadata": {**meta, **kept}})
        check(place_of(manifest), new, old)
        return new

    def patch_image(self, namespace: str, name: str, image: str, *, change_cause: str | None = None) -> Json:
        """Deploy another image in the first container of a Deployment, as a pipeline would."""
        new = copied(self._storage.get(DEPLOYMENT, namespace, name))
        new["spec"]["template"]["spec"]["containers"][0]["image"] = image
        if change_cause is not None:
            new["metadata"].setdefault("annotations", {})["kubernetes.io/change-cause"] = change_cause
        stored = self._storage.replace(DEPLOYMENT, new, manager=KUBECTL)
        self._reconcile()
        return copied(stored)

    def get(self, kind: str, namespace: str | None, name: str) -> Json:
        """A copy of an object. Raises Refused (404)."""
        return copied(self._storage.get(PLACES[kind], namespace, name))

    def list(self, kind: str, namespace: str | None = None) -> list[Json]:
        """Copies of all objects of a kind, in one namespace or all."""
        return [copied(item) for item in self._storage.all(PLACES[kind], namespace)]

    def every(self, kind: str, namespace: str | None = None) -> Sequence[Json]:
        """The objects of a kind themselves, to be read and not changed."""
        return self._storage.all(PLACES[kind], namespace)

    def delete(self, kind: str, namespace: str | None, name: str) -> None:
        """Remove an object, and with it what it owns; gone is fine."""
        self._storage.remove(PLACES[kind], namespace, name)
        self._reconcile()

    def set_pod_status(self, namespace: str, name: str, **status: Json) -> None:
        """Set fields of a pod's status; `phase="Failed"` is one that the kubelet leaves alone from then on."""
        self.set_status("Pod", namespace, name, **status)

    def add_node(self, name: str, *, labels: Mapping[str, str] | None = None) -> None:
        """A Ready node beside those that there are."""
        self._storage.create(NODE, node(name, now=self._clock.now(), labels=labels))
        self._reconcile()

    def set_node_ready(self, name: str, *, ready: bool) -> None:
        """Let a node go or come back, with the marks of the node lifecycle controller. One that is away runs nothing
        and ends nothing; its pods are not ready and are to go after their toleration of five minutes."""
        item = self._storage.get(NODE, None, name)
        self._storage.replace(NODE, with_readiness(item, ready=ready, now=self._clock.now()), subresource="binding")
        self._reconcile()

    def set_status(self, kind: str, namespace: str | None, name: str, **status: Json) -> None:
        """Set fields of the status of any object, in place of a controller that is not here. Raises Refused (404)."""
        item = self._storage.get(PLACES[kind], namespace, name)
        new = item | {"status": {**(item.get("status") or {}), **copied(status)}}
        self._storage.replace(PLACES[kind], new, subresource="status")
        self._reconcile()

    def set_logs(self, image_substring: str, *, current: str | None = None, previous: str | None = None) -> None:
        """What the containers with this substring in their image print."""
        self._logs.set(image_substring, current=current, previous=previous)

    def deny(self, verb: str, resource: str) -> None:
        """Answer 403 to the client from now on; a subresource is written `pods/log`."""
        self._api.denied.add((verb, resource))

    def permit(self, verb: str, resource: str) -> None:
        self._api.denied.discard((verb, resource))

    def fail(self, verb: str, resource: str, code: int) -> None:
        """Answer such requests with 429, 500, 503 or 504 and do nothing; `*` means any resource, or any verb of any."""
        self._api.failing[verb, resource] = code

    def lose_replies(self, verb: str, resource: str) -> None:
        """Do such writes and answer them with 504, as if the reply had got lost on its way."""
        self._api.losing.add((verb, resource))

    def heal(self) -> None:
        """Fail and lose nothing any more."""
        self._api.failing.clear()
        self._api.losing.clear()

    def hold_controllers(self) -> None:
        """Writes are stored but not observed, until `release_controllers`."""
        self._is_held = True

    def release_controllers(self) -> None:
        self._is_held = False
        self._reconcile()

    @property
    def due(self) -> datetime | None:
        """When time alone changes something next; None: never."""
        return min(filter(None, (self._kubelet.due, self._controllers.due)), default=None)

    def tick(self) -> None:
        """What time brings: kubelets, deadlines, back-offs. The context manager calls it, or who moves the time."""
        if self._is_still:
            return
        self._kubelet.step()
        self._reconcile()

    def _reconcile(self) -> None:
        if not self._is_held:
            self._controllers.settle()

    # --- HTTP

    async def _serve(self, request: web.Request) -> web.Response:
        code, answer = self.ask(await asked_of(request))
        if isinstance(answer, bytes):
            return web.Response(body=answer, content_type="text/plain", status=code)
        return web.json_response(answer, status=code)

    def ask(self, asked: Asked) -> tuple[int, Json | bytes]:
        """Answer one request, and note it: what HTTP does, and who speaks to it inside this process."""
        code, answer = self._answer(asked)
        is_lost = code < 400 and self._api.is_lost(asked)
        if is_lost:
            code, answer = 504, broken(504).body
        self.requests.append(
            Call(
                at=self._clock.now(),
                method=asked.method,
                path=unquote(asked.path),
                query=asked.query,
                user_agent=asked.user_agent,
                status=code,
                body=_parsed(asked.body) if asked.method in WRITE_METHODS else None,
                is_lost=is_lost,
            )
        )
        return code, answer

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
        answer = answer if isinstance(answer, bytes) else copied(answer)
        if asked.method in WRITE_METHODS and not asked.is_dry:
            self._reconcile()
        return code, answer


def _parsed(body: bytes) -> Json:
    try:
        return json.loads(body)
    except ValueError:
        return None


async def asked_of(request: web.Request) -> Asked:
    """What an HTTP request asks, with its body."""
    return Asked(
        method=request.method,
        path=request.rel_url.raw_path,
        query=dict(request.query),
        user_agent=request.headers.get("User-Agent", ""),
        dry_run=request.query.getall("dryRun", []),
        content_type=request.content_type if "Content-Type" in request.headers else "",
        accept=request.headers.get("Accept", ""),
        body=await request.read(),
    )
