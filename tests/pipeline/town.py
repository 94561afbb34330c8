"""Several `Shop`s as one cluster, each with a story of its own: two Deployments in each of three namespaces or more."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from remediator.clock import Clock
from remediator.kube.access_review import REVIEW_PATH
from remediator.kube.base import Logs, NotFound
from remediator.model import Json, Request
from remediator.prometheus.base import AlertingRule, PrometheusUnavailable, Sample
from tests.fakes import FakeCluster, matches_labels
from tests.pipeline.world import EXPRESSION, Shop, crashing, node

PLACES = tuple((namespace, name) for namespace in ("nsa", "nsb", "nsc") for name in ("appx", "appy"))
Place = tuple[str, str]
OBJECT = re.compile(r".*/namespaces/(?P<namespace>[^/]+)/[a-z]+/(?P<name>[a-z0-9]+)")
COLLECTION = re.compile(r".*/namespaces/(?P<namespace>[^/]+)/")


@dataclass
class Lot:
    """One Deployment. `life` grows when it is deleted and made again, and is part of its uid."""

    place: Place
    shop: Shop
    node: str
    life: int = 0

    def inward(self, text: str) -> str:
        namespace, name = self.place
        return text.replace(f'"d-1.{self.life}"', '"d-1"').replace(name, "checkout").replace(namespace, "shop")

    def outward(self, value: Any) -> Any:
        namespace, name = self.place
        text = json.dumps(value).replace("shop", namespace).replace("checkout", name)
        text = text.replace("node-1", self.node)
        return json.loads(text.replace('"d-1"', f'"d-1.{self.life}"'))


class Town:
    """A cluster of `Lot`s. `on_write` is told of every real write before it is done."""

    name = "test"

    def __init__(
        self, clock: Clock, on_write: Callable[[Place, Request], None], *, places: Sequence[Place] = PLACES
    ) -> None:
        """Namespaces and names are of letters and digits only, and none is a part of another."""
        self._clock = clock
        self._on_write = on_write
        self._common = FakeCluster(*(node(f"node-{number}") for number in range(4)))
        self.lots = {place: Lot(place, Shop(clock), f"node-{n % 4}") for n, place in enumerate(places)}
        self._in_namespace: dict[str, list[Place]] = {}
        for place in places:
            self._in_namespace.setdefault(place[0], []).append(place)

    def recreate(self, place: Place) -> None:
        """Deleted and applied again, at the release that crashes."""
        before = self.lots[place]
        self.lots[place] = Lot(place, Shop(self._clock), before.node, before.life + 1)

    def add(self, item: Json) -> None:
        """An object that is of no lot."""
        self._common.add(item)

    def node_ready(self, number: int, *, ready: bool) -> None:
        self._common.add(node(f"node-{number}", ready=ready))

    def lot_of(self, path: str) -> Lot | None:
        found = OBJECT.match(path)
        return None if found is None else self.lots.get((found["namespace"], found["name"]))

    async def get(self, path: str) -> Json:
        if (lot := self.lot_of(path)) is not None:
            return lot.outward(await lot.shop.get(lot.inward(path)))
        namespace = path.removeprefix("/api/v1/namespaces/")
        if namespace in self._in_namespace:
            lot = self.lots[self._in_namespace[namespace][0]]
            return lot.outward(await lot.shop.get("/api/v1/namespaces/shop"))
        return await self._common.get(path)

    async def list(
        self,
        path: str,
        *,
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
        limit: int | None = None,
    ) -> Sequence[Json]:
        found: list[Json] = []
        if (inside := COLLECTION.match(path)) is None:
            found += await self._common.list(path, metadata_only=metadata_only)
        for place in self._in_namespace.get(inside["namespace"], ()) if inside else ():
            lot = self.lots[place]
            items = await lot.shop.list(
                lot.inward(path), field_selector=lot.inward(field_selector), metadata_only=metadata_only
            )
            found += [lot.outward(item) for item in items]
        kept = [one for one in found if matches_labels(label_selector, one["metadata"].get("labels") or {})]
        return kept[:limit]

    async def logs(self, **_: Any) -> Logs:
        raise NotFound("no log")

    async def send(self, request: Request, *, dry_run: bool) -> Json:
        if request.path == REVIEW_PATH:
            assert dry_run, "a question about permissions is no write"
            return {"status": {"allowed": True}}
        lot = self.lot_of(request.path)
        assert lot is not None, request.path
        if not dry_run:
            self._on_write(lot.place, request)
        inner = json.loads(lot.inward(json.dumps(request.body)))
        sent = Request(request.method, lot.inward(request.path), request.content_type, inner, request.query)
        return lot.outward(await lot.shop.send(sent, dry_run=dry_run))

    async def is_ready(self) -> bool:
        return True

    async def close(self) -> None: ...


class TownMetrics:
    """A Prometheus that sees what crashes in all lots."""

    def __init__(self, town: Town, clock: Clock) -> None:
        self._town = town
        self._clock = clock
        self.down = False

    async def query(self, expression: str, *, at: datetime | None = None) -> Sequence[Sample]:
        self._check()
        if expression != EXPRESSION:
            return []
        return [
            Sample({"namespace": namespace, "pod": f"{name}-{pod.removeprefix('checkout-')}"}, 1.0)
            for (namespace, name), lot in self._town.lots.items()
            for pod in crashing(lot.shop)
        ]

    async def alerting_rules(self, alertname: str) -> Sequence[AlertingRule]:
        self._check()
        return [AlertingRule(alertname, EXPRESSION, {}, "ok", 30.0, self._clock.now())]

    async def is_ready(self) -> bool:
        return not self.down

    async def close(self) -> None: ...

    def _check(self) -> None:
        if self.down:
            raise PrometheusUnavailable("down")
