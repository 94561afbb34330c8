"""From a URL path to the object or collection that it names. Called by `api.py`."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

from remediator.kube.base import Resource
from remediator.simulate.storage import CORE_EVENT, NAMESPACE, PLACES

VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True, slots=True)
class Route:
    """`place` is as it was asked for; `name` None is a collection, `namespace` None the whole cluster."""

    place: Resource
    namespace: str | None
    name: str | None
    subresource: str

    @property
    def stored_at(self) -> Resource:
        """Where its objects are kept: both events APIs are two views of the same ones."""
        return CORE_EVENT if self.place.plural == "events" else self.place

    @property
    def resource(self) -> str:
        """As RBAC names it: `pods/log`."""
        return f"{self.place.plural}/{self.subresource}" if self.subresource else self.place.plural

    def verb(self, method: str) -> str:
        """The verb that RBAC asks for."""
        return ("list" if self.name is None else "get") if method == "GET" else VERBS.get(method, method.lower())


def is_group_of(path: str) -> bool:
    """Whether the path lies in an API group and version that exists here."""
    roots = [f"/apis/{place.group}/{place.version}/" if place.group else "/api/v1/" for place in PLACES.values()]
    return any(path.startswith(root) for root in roots)


def route_of(path: str) -> Route | None:
    """None for a path that no stored resource lives at."""
    parts = [unquote(part) for part in path.strip("/").split("/")]
    if parts[0] == "api" and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace = None
    if rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    places = {(place.group, place.version, place.plural): place for place in PLACES.values()}
    place = places.get((group, version, rest[0]))
    if place is None or len(rest) > 3 or (namespace is not None and not place.namespaced):
        return None
    if place == NAMESPACE or not place.namespaced:
        namespace = None
    elif namespace is None and len(rest) > 1:
        return None
    name = rest[1] if len(rest) > 1 else None
    return Route(place, namespace, name, rest[2] if len(rest) > 2 else "")
