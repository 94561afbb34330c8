"""The one request that sets the replicas of a workload. Pure; used by the actions `scale` and `shed`.

The scale subresource takes a JSON patch: its tests are evaluated inside the API server's update loop, so the number is
changed only while it is what the decision was made on, whatever the status does meanwhile.
"""

from __future__ import annotations

from remediator.kube.base import path_of
from remediator.kube.ownership import MANAGER
from remediator.model import Json, Request, Target

JSON_PATCH = "application/json-patch+json"


def scale_request(touched: Target, before: int, after: int) -> Request:
    """From `before` to `after` replicas, while the object is that one and has `before`.

    A Scale leaves zero replicas out (`omitempty` in `autoscaling/v1` types.go): then there is nothing to replace, and
    the test is for nothing being there.
    """
    body: list[Json] = [
        {"op": "test", "path": "/metadata/uid", "value": touched.uid},
        {"op": "test", "path": "/spec/replicas", "value": before or None},
        {"op": "replace" if before else "add", "path": "/spec/replicas", "value": after},
    ]
    path = path_of(touched.kind, namespace=touched.namespace, name=touched.name, subresource="scale")
    return Request("PATCH", path, JSON_PATCH, body, {"fieldManager": MANAGER})
