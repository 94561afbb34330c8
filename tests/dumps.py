"""The shop of the captured payloads, as `kubectl get -o yaml` would have written it at 07:28.

It ran on the embedded cluster: two releases of 07:00 went wrong. Names and uids that the payloads speak of were put in
place of the generated ones.
"""

from __future__ import annotations

import json
from datetime import datetime
from functools import cache
from typing import Any

from remediator.clock import parse_rfc3339
from remediator.simulate.apiserver import EmbeddedCluster
from remediator.simulate.jumping import JumpClock
from remediator.simulate.storage import PLACES
from remediator.simulate.workloads import deployment, disruption_budget
from tests.unit.target.world import API_UIDS

TAKEN_AT = parse_rfc3339("2026-11-23T07:28:00Z")
API_SET, CHECKOUT_SET = "api-6d5f7c9b8", "checkout-7c9d8b6f5d"
AT_ONCE = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 6, "maxUnavailable": 0}}


class _World:
    def __init__(self, cluster: EmbeddedCluster) -> None:
        self._cluster = cluster

    @property
    def due(self) -> datetime | None:
        return self._cluster.due

    def pass_time(self) -> None:
        self._cluster.tick()


@cache
def _text() -> str:
    clock = JumpClock(parse_rfc3339("2026-11-23T03:00:00Z"))
    cluster = EmbeddedCluster(clock, seed=7)
    clock.world = _World(cluster)
    cluster.add_node("node-b")
    cluster.apply(deployment("shop", "api", image="shop/api:1.4", replicas=6, strategy=AT_ONCE))
    cluster.apply(disruption_budget("shop", "api", app="api", min_available=2))
    for name in ("checkout", "checkout-web"):
        cluster.apply(deployment("shop", name, image=f"shop/{name}:2.0"))
    service = {"selector": {"app": "checkout"}, "ports": [{"port": 80, "targetPort": 8080}]}
    for kind, version, spec in (
        ("Service", "v1", service),
        ("HorizontalPodAutoscaler", "autoscaling/v2", SCALER),
    ):
        meta = {"name": "checkout", "namespace": "shop"}
        cluster.apply({"apiVersion": version, "kind": kind, "metadata": meta, "spec": spec})
    clock.move_to(parse_rfc3339("2026-11-23T07:00:00Z"))
    cluster.patch_image("shop", "api", "shop/api:1.5-crash")
    cluster.patch_image("shop", "checkout", "shop/checkout:2.1-neverready")
    clock.move_to(TAKEN_AT)
    items = [item for kind in PLACES for item in cluster.list(kind)]
    return _renamed(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}), items)


SCALER = {
    "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout-web"},
    "minReplicas": 2,
    "maxReplicas": 2,
}


def _renamed(text: str, items: list[Any]) -> str:
    for image, new_set in (("shop/api:1.5", API_SET), ("shop/checkout:2.1", CHECKOUT_SET)):
        [name] = [
            item["metadata"]["name"]
            for item in items
            if item["kind"] == "ReplicaSet" and image in json.dumps(item["spec"]["template"])
        ]
        pods = sorted(
            (item["metadata"]["name"], item["metadata"]["uid"])
            for item in items
            if item["kind"] == "Pod" and item["metadata"]["name"].startswith(f"{name}-")
        )
        ends = API_UIDS.items() if new_set == API_SET else [("ccccc", "uid-checkout-ccccc")]
        for (pod, uid), (end, new_uid) in zip(pods, ends, strict=False):
            text = text.replace(pod, f"{new_set}-{end}").replace(uid, new_uid)
        text = text.replace(name, new_set).replace(name.rpartition("-")[2], new_set.rpartition("-")[2])
    return text


def shop() -> dict[str, Any]:
    """The List, anew for each caller."""
    found: dict[str, Any] = json.loads(_text())
    return found
