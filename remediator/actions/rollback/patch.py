"""The JSON patches of a rollback and of its revert.

The API server applies a JSON patch to the stored object inside its update loop and evaluates it again on each internal
retry (kubernetes/apiserver `pkg/endpoints/handlers/patch.go`), so the `test` operations are atomic with the change.
"""

from __future__ import annotations

from remediator.actions.base import Case
from remediator.kube.base import annotations_of, path_of
from remediator.kube.ownership import LAST_ACTION, MANAGER
from remediator.model import Json, Request

CHANGE_CAUSE = "kubernetes.io/change-cause"
JSON_PATCH = "application/json-patch+json"


def rollback_patch(workload: Json, template: Json, case: Case, change_cause: str) -> Request:
    """Replace the template if uid and generation are as decided on. Live annotations stay (kubectl drops them).

    `generation` and not `resourceVersion`: the status of a crash-looping workload changes all the time.
    """
    operations: list[Json] = [
        {"op": "test", "path": "/metadata/uid", "value": case.target.uid},
        {"op": "test", "path": "/metadata/generation", "value": workload["metadata"]["generation"]},
        {"op": "replace", "path": "/spec/template", "value": template},
    ]
    if not annotations_of(workload):
        operations.append({"op": "add", "path": "/metadata/annotations", "value": {}})
    operations += [_annotate(CHANGE_CAUSE, change_cause), _annotate(LAST_ACTION, case.action_id)]
    return _patch(case, operations)


def inverse_patch(workload: Json, template: Json, case: Case) -> Request:
    """Put the replaced template back, only while the object still carries our action and our template.

    Someone who changed it meanwhile wins: then a `test` fails and nothing is written.
    """
    before = annotations_of(workload).get(CHANGE_CAUSE, "reverted by remediator")
    return _patch(
        case,
        [
            {"op": "test", "path": "/metadata/uid", "value": case.target.uid},
            {"op": "test", "path": _pointer(LAST_ACTION), "value": case.action_id},
            {"op": "test", "path": "/spec/template", "value": template},
            {"op": "replace", "path": "/spec/template", "value": workload["spec"]["template"]},
            _annotate(CHANGE_CAUSE, before),
            _annotate(LAST_ACTION, f"{case.action_id}.revert"),
        ],
    )


def _patch(case: Case, operations: list[Json]) -> Request:
    return Request(
        method="PATCH",
        path=path_of(case.target.kind, namespace=case.target.namespace, name=case.target.name),
        content_type=JSON_PATCH,
        body=operations,
        query={"fieldManager": MANAGER},
    )


def _annotate(key: str, value: str) -> Json:
    return {"op": "add", "path": _pointer(key), "value": value}


def _pointer(key: str) -> str:
    return "/metadata/annotations/" + key.replace("~", "~0").replace("/", "~1")
