"""The verbs of the embedded API server, without HTTP: a request in, a code and a body out.

Called by `apiserver.py`, which owns the socket, the log of requests and the controllers that run after a write.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from remediator.clock import Clock
from remediator.kube.base import Resource
from remediator.model import Json
from remediator.simulate import answers, views
from remediator.simulate.admission import check, defaulted
from remediator.simulate.eviction import check_budgets
from remediator.simulate.patching import PATCH_TYPES, patched
from remediator.simulate.podlogs import LogBook, read_log
from remediator.simulate.resizing import resized
from remediator.simulate.routes import Route, is_group_of, route_of
from remediator.simulate.selectors import field_test, label_tests
from remediator.simulate.storage import NAMESPACE, PLACES, POD, Storage, copied

SCALABLE = (PLACES["Deployment"], PLACES["ReplicaSet"], PLACES["StatefulSet"])
REVIEW_PATH = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
OPTIONS = {"POST": "CreateOptions", "PUT": "UpdateOptions", "PATCH": "PatchOptions", "DELETE": "DeleteOptions"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came. `dry_run` holds every `dryRun` of the query."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    user_agent: str = ""
    dry_run: Sequence[str] = ()
    content_type: str = ""
    accept: str = ""
    body: bytes = b""

    @property
    def is_dry(self) -> bool:
        # The options of a deletion are its body, if it has one; its query does not count then.
        if self.method == "DELETE" and self.body:
            return "All" in (self.parsed().get("dryRun") or ())
        return "All" in self.dry_run

    @property
    def manager(self) -> str:
        """Who writes, as managedFields have it: what the client calls itself, else the first word of its user agent."""
        return self.query.get("fieldManager") or self.user_agent.partition("/")[0] or "unknown"

    def parsed(self) -> Json:
        """The body as JSON; only a JSON patch may be a list. Raises Refused (400)."""
        try:
            body = json.loads(self.body)
        except ValueError as error:
            raise answers.bad_request(f"error decoding patch: {error}") from error
        if not isinstance(body, dict) and self.method != "PATCH":
            raise answers.bad_request("the object provided is unrecognized (must be of type object)")
        return body


class Api:
    """Answers for one user. `denied` holds (verb, resource) as RBAC names them, `pods/log` included; `failing` the
    status that such a request is answered with instead; `losing` those that are done and then answered with 504."""

    def __init__(self, storage: Storage, clock: Clock, logs: LogBook, *, user: str) -> None:
        self._storage = storage
        self._clock = clock
        self._logs = logs
        self._user = user
        self.denied: set[tuple[str, str]] = set()
        self.failing: dict[tuple[str, str], int] = {}
        self.losing: set[tuple[str, str]] = set()

    def answer(self, asked: Asked) -> tuple[int, Json | bytes]:
        """Raises Refused."""
        if asked.path == REVIEW_PATH and asked.method == "POST":
            return 201, self._review(asked.parsed())
        route = route_of(asked.path)
        if route is None:
            if is_group_of(asked.path):
                raise answers.no_such_resource()
            return 404, b"404 page not found\n"
        verb = route.verb(asked.method)
        if (verb, route.resource) in self.denied:
            raise answers.forbidden(
                route.place,
                route.name or "",
                user=self._user,
                verb=verb,
                resource=route.resource,
                namespace=route.namespace,
            )
        for what in ((verb, route.resource), (verb, "*"), ("*", "*")):
            if what in self.failing:
                raise answers.broken(self.failing[what])
        if asked.method == "GET":
            return 200, self._read(route, asked)
        _check_dry_run(asked)
        match asked.method:
            case "POST":
                return 201, self._create(route, asked)
            case "PATCH" | "PUT" if route.name is not None:
                return 200, self._change(route, asked)
            case "DELETE" if route.name is not None and not route.subresource:
                return 200, self._delete(route, route.name, asked)
            case _:
                raise answers.method_not_allowed()

    def is_lost(self, asked: Asked) -> bool:
        """Whether the reply to this write does not arrive, though it was done."""
        route = None if asked.method == "GET" or asked.is_dry else route_of(asked.path)
        return route is not None and (route.verb(asked.method), route.resource) in self.losing

    # --- reads

    def _read(self, route: Route, asked: Asked) -> Json | bytes:
        if asked.query.get("watch") in ("true", "1"):
            raise answers.method_not_allowed("the embedded cluster does not offer watch")
        if route.name is None:
            return self._list(route, asked)
        item = self._find(route, route.name)
        match route.subresource:
            case "log" if route.place == POD:
                return read_log(item, self._logs, asked.query, now=self._clock.now())
            case "scale" if route.place in SCALABLE:
                return views.scale_of(item)
            case "" | "status":
                if views.wants_metadata_only(asked.accept, is_list=False):
                    return views.metadata_only(item)
                return views.shown(item, route.place)
            case _:
                raise answers.no_such_resource()

    def _list(self, route: Route, asked: Asked) -> Json:
        labels, fields = asked.query.get("labelSelector", ""), asked.query.get("fieldSelector", "")
        tests, has_fields = label_tests(labels), field_test(fields, route.place.plural)
        items = [
            item
            for item in self._storage.all(route.stored_at, route.namespace)
            if has_fields(item) and all(test(item["metadata"].get("labels") or {}) for test in tests)
        ]
        filtered = bool(labels or fields)
        kept, meta = views.page(items, asked.query, version=self._storage.version, is_filtered=filtered)
        partial = views.wants_metadata_only(asked.accept, is_list=True)
        return views.list_of(kept, route.place, metadata=meta, partial=partial)

    def _find(self, route: Route, name: str) -> Json:
        item = self._storage.find(route.stored_at, route.namespace, name)
        if item is None:
            raise answers.not_found(route.place, name)
        return item

    # --- writes

    def _create(self, route: Route, asked: Asked) -> Json:
        if asked.content_type not in ("", "application/json"):
            raise answers.unsupported_media_type()
        if route.place == POD and route.subresource == "eviction" and route.name is not None:
            return self._evict(route, route.name, asked)
        if route.name is not None or route.subresource:
            raise answers.method_not_allowed()
        made = self.create(route.place, route.namespace, asked.parsed(), manager=asked.manager, dry_run=asked.is_dry)
        return views.shown(made, route.place)

    def create(
        self, place: Resource, namespace: str | None, item: Json, *, manager: str = "", dry_run: bool = False
    ) -> Json:
        """Default, validate and store a new object; the stored form of an Event is the core one. Raises Refused."""
        item = copied(item)
        meta = item.setdefault("metadata", {})
        if place.namespaced and meta.setdefault("namespace", namespace) != namespace:
            text = "the namespace of the provided object does not match the namespace sent on the request"
            raise answers.bad_request(text)
        if not meta.get("name") and meta.get("generateName"):
            meta["name"] = self._storage.generated_name(meta["generateName"])
        stored_at = place
        if place.plural == "events":
            stored_at = PLACES["CoreEvent"]
            item = views.event_to_core(item) if place.group else item
        if place.group or place.plural not in ("pods", "namespaces", "nodes"):
            item.pop("status", None)
            item |= {"status": {}} if place.group == "apps" else {}
        item = defaulted(stored_at, item)
        check(stored_at, item, None)
        return self._storage.create(stored_at, item, manager=manager, dry_run=dry_run)

    def _change(self, route: Route, asked: Asked) -> Json:
        name = route.name or ""
        if asked.method == "PATCH" and asked.content_type not in PATCH_TYPES:
            raise answers.unsupported_media_type()
        old = self._find(route, name)
        if route.subresource == "scale" and route.place in SCALABLE:
            return self._rescale(route, old, asked)
        if route.subresource == "resize" and route.place == POD:
            new = patched(old, asked.parsed(), asked.content_type) if asked.method == "PATCH" else asked.parsed()
            return self._storage.replace(POD, resized(old, new), manager=asked.manager, dry_run=asked.is_dry)
        if route.subresource not in ("", "status"):
            raise answers.no_such_resource()
        before = views.shown(old, route.place)
        new = patched(before, asked.parsed(), asked.content_type) if asked.method == "PATCH" else asked.parsed()
        if route.place.group == "events.k8s.io":
            new = views.event_to_core(new)
        if (new.get("metadata") or {}).get("name", name) != name:
            given = new["metadata"]["name"]
            raise answers.bad_request(f"the name of the object ({given}) does not match the name on the URL ({name})")
        return views.shown(self._replace(route, new, old, asked), route.place)

    def _replace(self, route: Route, new: Json, old: Json, asked: Asked) -> Json:
        new.setdefault("metadata", {})["name"] = old["metadata"]["name"]
        if route.namespace is not None:
            new["metadata"]["namespace"] = route.namespace
        if not route.subresource:
            new = defaulted(route.stored_at, new)
        check(route.stored_at, new, old)
        return self._storage.replace(
            route.stored_at, new, subresource=route.subresource, manager=asked.manager, dry_run=asked.is_dry
        )

    def _rescale(self, route: Route, old: Json, asked: Asked) -> Json:
        before = views.scale_of(old)
        new = patched(before, asked.parsed(), asked.content_type) if asked.method == "PATCH" else asked.parsed()
        replicas, version = new["spec"].get("replicas", 0), new["metadata"].get("resourceVersion")
        if version not in (None, old["metadata"]["resourceVersion"]):
            raise answers.conflict(route.place, old["metadata"]["name"])
        if not isinstance(replicas, int) or replicas < 0:
            text = f"Invalid value: {replicas}: must be greater than or equal to 0"
            causes = [answers.Cause("FieldValueInvalid", text, "spec.replicas")]
            raise answers.invalid(Resource("autoscaling", "v1", "scales"), "Scale", old["metadata"]["name"], causes)
        changed = old | {"spec": old["spec"] | {"replicas": replicas}}
        stored = self._storage.replace(route.place, changed, manager=asked.manager, dry_run=asked.is_dry)
        return views.scale_of(stored)

    def _delete(self, route: Route, name: str, asked: Asked) -> Json:
        item = self._find(route, name)
        options = asked.parsed() if asked.body else {}
        self._check_preconditions(route, item, options.get("preconditions") or {})
        if route.place == POD:
            grace = options.get("gracePeriodSeconds", item["spec"].get("terminationGracePeriodSeconds", 30))
            return item if asked.is_dry else self._storage.begin_deletion(POD, item, grace_seconds=grace)
        if not asked.is_dry:
            self._storage.remove(route.stored_at, route.namespace, name)
        if route.place == NAMESPACE:
            return item
        details = {"name": name, "group": route.place.group, "kind": route.place.plural, "uid": item["metadata"]["uid"]}
        details = {key: value for key, value in details.items() if value}
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}

    def _evict(self, route: Route, name: str, asked: Asked) -> Json:
        pod = self._find(route, name)
        options = asked.parsed().get("deleteOptions") or {}
        # In this order, as seen on 1.36: a wrong uid under a forbidding budget is 429, not 409.
        check_budgets(self._storage, pod)
        self._check_preconditions(route, pod, options.get("preconditions") or {})
        if not asked.is_dry and "All" not in (options.get("dryRun") or ()):
            grace = options.get("gracePeriodSeconds", pod["spec"].get("terminationGracePeriodSeconds", 30))
            self._storage.begin_deletion(POD, pod, grace_seconds=grace)
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}

    def _check_preconditions(self, route: Route, item: Json, wanted: Json) -> None:
        for key, label in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
            held = item["metadata"][key]
            if wanted.get(key) not in (None, held):
                text = (
                    f"the {label} in the precondition ({wanted[key]}) does not match the {label} in record ({held})."
                    " The object might have been deleted and then recreated"
                )
                raise answers.conflict(route.place, item["metadata"]["name"], text)

    def _review(self, review: Json) -> Json:
        about = (review.get("spec") or {}).get("resourceAttributes") or {}
        resource, sub = about.get("resource", ""), about.get("subresource")
        is_denied = (about.get("verb"), f"{resource}/{sub}" if sub else resource) in self.denied
        return {
            "kind": "SelfSubjectAccessReview",
            "apiVersion": "authorization.k8s.io/v1",
            "metadata": {},
            "spec": review.get("spec") or {},
            "status": {"allowed": not is_denied},
        }


def _check_dry_run(asked: Asked) -> None:
    for value in asked.dry_run:
        if value != "All":
            text = f'Unsupported value: ["{value}"]: supported values: "All"'
            place = Resource("meta.k8s.io", "v1", "")
            causes = [answers.Cause("FieldValueNotSupported", text, "dryRun")]
            raise answers.invalid(place, OPTIONS[asked.method], "", causes)


def place_of(item: Json) -> Resource:
    """The place of a manifest by its kind. Raises KeyError for a kind that the embedded cluster does not store."""
    return PLACES["CoreEvent" if item["kind"] == "Event" and item["apiVersion"] == "v1" else item["kind"]]
