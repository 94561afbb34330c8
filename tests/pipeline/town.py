"""Several `Shop`s as one cluster: two Deployments in each of three namespaces, each with a story of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from remediator.kube.base import Logs, NotFound
from remediator.model import Json, Request
from remediator.prometheus.base import AlertingRule, PrometheusUnavailable, Sample
from tests.clocks import FakeClock
from tests.fakes import FakeCluster, matches_labels
from tests.pipeline.world import EXPRESSION, FakeMetrics, Shop, node

PLACES = tuple((namespace, name) for namespace in ("nsa", "nsb", "nsc") for name in ("appx", "appy"))
Place = tuple[str, str]


@dataclass
class Lot:
    """One Deployment. `life` grows when it is deleted and made again, and is part of its uid."""

    place: Place
    shop: Shop
    life: int = 0

    def inward(self, text: str) -> str:
        namespace, name = self.place
        return text.replace(f'"d-1.{self.life}"', '"d-1"').replace(name, "checkout").replace(namespace, "shop")

    def outward(self, value: Any) -> Any:
        namespace, name = self.place
        text = json.dumps(value).replace("shop", namespace).replace("checkout", name)
        text = text.replace("node-1", f"node-{PLACES.index(self.place) % 4}")
        return json.loads(text.replace('"d-1"', f'"d-1.{self.life}"'))


class Town:
    """A cluster of `Lot`s. `on_write` is told of every real write before it is done."""

    name = "test"

    def __init__(self, clock: FakeClock, on_write: Callable[[Place, Request], None]) -> None:
        self._clock = clock
        self._on_write = on_write
        self._common = FakeCluster(*(node(f"node-{number}") for number in range(4)))
        self.lots = {place: Lot(place, Shop(clock)) for place in PLACES}

    def recreate(self, place: Place) -> None:
        """Deleted and applied again, at the release that crashes."""
        self.lots[place] = Lot(place, Shop(self._clock), self.lots[place].life + 1)

    def node_ready(self, number: int, *, ready: bool) -> None:
        self._common.add(node(f"node-{number}", ready=ready))

    def lot_of(self, path: str) -> Lot | None:
        return next((lot for (namespace, name), lot in self.lots.items() if namespace in path and name in path), None)

    async def get(self, path: str) -> Json:
        if (lot := self.lot_of(path)) is not None:
            return lot.outward(await lot.shop.get(lot.inward(path)))
        for place, lot in self.lots.items():
            if path == f"/api/v1/namespaces/{place[0]}":
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
        for (namespace, _), lot in self.lots.items():
            if namespace in path:
                items = await lot.shop.list(
                    lot.inward(path), field_selector=lot.inward(field_selector), metadata_only=metadata_only
                )
                found += [lot.outward(item) for item in items]
        if "/namespaces/" not in path:
            found += await self._common.list(path, metadata_only=metadata_only)
        kept = [one for one in found if matches_labels(label_selector, one["metadata"].get("labels") or {})]
        return kept[:limit]

    async def logs(self, **_: Any) -> Logs:
        raise NotFound("no log")

    async def send(self, request: Request, *, dry_run: bool) -> Json:
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

    def __init__(self, town: Town, clock: FakeClock) -> None:
        self._town = town
        self._clock = clock
        self.down = False

    async def query(self, expression: str, *, at: datetime | None = None) -> Sequence[Sample]:
        self._check()
        samples = []
        for lot in self._town.lots.values():
            for one in await FakeMetrics(lot.shop, self._clock).query(expression):
                samples.append(Sample(lot.outward(dict(one.labels)), one.value))
        return samples

    async def alerting_rules(self, alertname: str) -> Sequence[AlertingRule]:
        self._check()
        return [AlertingRule(alertname, EXPRESSION, {}, "ok", 30.0, self._clock.now())]

    async def is_ready(self) -> bool:
        return not self.down

    async def close(self) -> None: ...

    def _check(self) -> None:
        if self.down:
            raise PrometheusUnavailable("down")
