"""The requests of `scale`: one number, changed only while it is what the decision was made on.

A JSON patch is evaluated inside the API server's update loop, so its tests are atomic with the change; the status of
the object, which changes all the time, does not matter to it.
"""

from __future__ import annotations

from remediator.actions.base import Case
from remediator.kube.base import path_of
from remediator.kube.ownership import LAST_ACTION, MANAGER
from remediator.kube.scaling import JSON_PATCH, scale_request
from remediator.model import Json, Request, Step, Target, ToldBy

MARK = "/metadata/annotations/" + LAST_ACTION.replace("/", "~1")


def scale_step(case: Case, before: int, after: int) -> Step:
    """The scale subresource has no place for a mark: the number itself tells."""
    target = case.target
    return Step(
        request=scale_request(target, before, after),
        touched=target,
        told_by=ToldBy.VALUE,
        generation=case.workload.object["metadata"]["generation"],
        pointer=("spec", "replicas"),
        before=before,
        after=after,
        inverse=scale_request(target, after, before),
    )


def bound_step(case: Case, autoscaler: Target, field: str, before: int, after: int, *, is_annotated: bool) -> Step:
    """Change one bound of a HorizontalPodAutoscaler and leave our mark; the inverse wants both as we left them."""
    marked: list[Json] = (
        []
        if is_annotated
        else [
            # Annotations that came meanwhile would be lost without the test.
            {"op": "test", "path": "/metadata/annotations", "value": None},
            {"op": "add", "path": "/metadata/annotations", "value": {}},
        ]
    )
    marked.append({"op": "add", "path": MARK, "value": case.action_id})
    unmarked: list[Json] = [
        {"op": "test", "path": MARK, "value": case.action_id},
        {"op": "replace", "path": MARK, "value": f"{case.action_id}.revert"},
    ]
    return Step(
        request=_patch(autoscaler, _changed(autoscaler, f"/spec/{field}", before, after) + marked),
        touched=autoscaler,
        told_by=ToldBy.MARK,
        pointer=("spec", field),
        before=before,
        after=after,
        inverse=_patch(autoscaler, _changed(autoscaler, f"/spec/{field}", after, before) + unmarked),
    )


def _changed(touched: Target, path: str, before: int, after: int) -> list[Json]:
    return [
        {"op": "test", "path": "/metadata/uid", "value": touched.uid},
        {"op": "test", "path": path, "value": before},
        {"op": "replace", "path": path, "value": after},
    ]


def _patch(touched: Target, body: list[Json]) -> Request:
    path = path_of(touched.kind, namespace=touched.namespace, name=touched.name)
    return Request("PATCH", path, JSON_PATCH, body, {"fieldManager": MANAGER})
