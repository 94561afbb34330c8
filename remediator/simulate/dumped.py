"""A dump as a `Cluster`: the embedded API server holds it, and what it has nothing of is not known.

Not known is answered as a read that is not permitted: all that reads takes this for unknown, and never for "none".
Called by `simulation.py`, which tells what was asked for in vain (`missing`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from remediator.clock import Clock
from remediator.kube.access_review import FENCE_PATH, REVIEW_PATH
from remediator.kube.base import Forbidden, Logs, Resource
from remediator.model import Json, Request
from remediator.simulate.apiserver import EmbeddedCluster
from remediator.simulate.dump import ADD_ONS, Dump
from remediator.simulate.inprocess import client_of
from remediator.simulate.routes import Route, route_of

LOGS, PERMISSIONS, ADMISSION = "logs", "permissions", "admission"


class DumpedCluster:
    """Writes change what is held here, and nothing else. `missing` names what was asked for and is not in the dump."""

    def __init__(self, dump: Dump, clock: Clock, *, name: str) -> None:
        self._dump = dump
        embedded = EmbeddedCluster(clock)
        embedded.restore(dump.objects)
        self._held = client_of(embedded, clock, name=name)
        self._add_ons: Mapping[str, Resource] = {
            f"/apis/{place.group}/{place.version}/": place for place in ADD_ONS.values()
        }
        self._missing: dict[str, None] = {}

    @property
    def name(self) -> str:
        return self._held.name

    @property
    def missing(self) -> Sequence[str]:
        return tuple(self._missing)

    async def get(self, path: str) -> Json:
        if path == FENCE_PATH:
            raise self._unknown(PERMISSIONS, "a dump does not say what an account may do")
        self._check(path)
        return await self._held.get(path)

    async def list(
        self,
        path: str,
        *,
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
        limit: int | None = None,
    ) -> Sequence[Json]:
        if (place := self._add_on(path)) is not None:
            return self._listed(path, place)[:limit]
        self._check(path)
        return await self._held.list(
            path,
            label_selector=label_selector,
            field_selector=field_selector,
            metadata_only=metadata_only,
            limit=limit,
        )

    async def logs(
        self, *, namespace: str, pod: str, container: str, previous: bool, tail_lines: int, limit_bytes: int
    ) -> Logs:
        raise self._unknown(LOGS, f"log of {namespace}/{pod}/{container}: a dump has no logs")

    async def send(self, request: Request, *, dry_run: bool) -> Json:
        if request.path == REVIEW_PATH:
            raise self._unknown(PERMISSIONS, "a dump does not say what an account may do")
        self._missing.setdefault(ADMISSION)  # nobody else's webhooks and policies are here
        return await self._held.send(request, dry_run=dry_run)

    async def is_ready(self) -> bool:
        return True

    async def close(self) -> None:
        await self._held.close()

    def _check(self, path: str) -> None:
        """Raises Forbidden for what the dump has nothing of."""
        route = route_of(path)
        if route is not None and not self._dump.is_complete:
            self._check_route(route, path)

    def _check_route(self, route: Route, path: str) -> None:
        if route.stored_at not in self._dump.places:
            raise self._unknown(route.place.plural, f"{path}: no {route.place.plural} are in the dump")
        if route.namespace is not None and route.namespace not in self._dump.namespaces:
            what = f"namespace {route.namespace}"
            raise self._unknown(what, f"{path}: nothing of {what} is in the dump")

    def _add_on(self, path: str) -> Resource | None:
        return next((place for root, place in self._add_ons.items() if path.startswith(root)), None)

    def _listed(self, path: str, place: Resource) -> Sequence[Json]:
        if not (self._dump.is_complete or place in self._dump.places):
            raise self._unknown(place.plural, f"{path}: no {place.plural} are in the dump")
        kind = next(kind for kind, other in ADD_ONS.items() if other == place)
        spaces = path.split("/namespaces/")[1:]
        space = spaces[0].split("/")[0] if spaces else None
        return [
            item
            for item in self._dump.add_ons
            if item["kind"] == kind and space in (None, item["metadata"].get("namespace"))
        ]

    def _unknown(self, what: str, text: str) -> Forbidden:
        self._missing.setdefault(what)
        return Forbidden(f"not known: {text}")
