"""The API server's way of saying no: `metav1.Status` bodies, word for word.

Raised anywhere below the embedded API server, turned into a response by `apiserver.py`. The texts are those of
kubernetes/apimachinery `pkg/api/errors/errors.go` and of a real 1.36 server.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from remediator.kube.base import Resource
from remediator.model import Json

GENERIC_422 = "the server rejected our request due to an error in our request"


class Refused(Exception):
    """A request that the API server answers with a `Status`; `code` is the HTTP status, `body` the whole object."""

    def __init__(self, code: int, body: Json) -> None:
        super().__init__(f"{code} {body['message']}")
        self.code = code
        self.body = body


@dataclass(frozen=True, slots=True)
class Cause:
    """One field that validation found wrong; `text` is the part after the field's path."""

    reason: str
    text: str
    field: str


def status(code: int, reason: str, message: str, details: Json | None = None) -> Json:
    """A failure `Status`; without `details` or a reason their keys are absent, as on the wire."""
    body: dict[str, Json] = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
    }
    if reason:
        body["reason"] = reason
    if details is not None:
        body["details"] = details
    return body | {"code": code}


def qualified(place: Resource) -> str:
    return f"{place.plural}.{place.group}" if place.group else place.plural


def details_of(place: Resource, name: str) -> dict[str, Json]:
    details = {"name": name, "group": place.group, "kind": place.plural}
    return {key: value for key, value in details.items() if value}


def not_found(place: Resource, name: str) -> Refused:
    message = f'{qualified(place)} "{name}" not found'
    return Refused(404, status(404, "NotFound", message, details_of(place, name)))


def no_such_resource() -> Refused:
    return Refused(404, status(404, "NotFound", "the server could not find the requested resource", {}))


def already_exists(place: Resource, name: str) -> Refused:
    message = f'{qualified(place)} "{name}" already exists'
    return Refused(409, status(409, "AlreadyExists", message, details_of(place, name)))


def conflict(place: Resource, name: str, why: str = "") -> Refused:
    text = why or "the object has been modified; please apply your changes to the latest version and try again"
    message = f'Operation cannot be fulfilled on {qualified(place)} "{name}": {text}'
    return Refused(409, status(409, "Conflict", message, details_of(place, name)))


def invalid(place: Resource, kind: str, name: str, causes: Sequence[Cause]) -> Refused:
    """422 with one cause for each wrong field."""
    subject = f"{kind}.{place.group}" if place.group else kind
    lines = [f"{cause.field}: {cause.text}" for cause in causes]
    text = lines[0] if len(lines) == 1 else f"[{', '.join(lines)}]"
    details = details_of(place, name) | {
        "kind": kind,
        "causes": [{"reason": cause.reason, "message": cause.text, "field": cause.field} for cause in causes],
    }
    return Refused(422, status(422, "Invalid", f'{subject} "{name}" is invalid: {text}', details))


def patch_failed() -> Refused:
    """A JSON patch whose `test` failed or whose path is missing: 422 that does not say why."""
    return Refused(422, status(422, "Invalid", GENERIC_422, {}))


def bad_request(message: str) -> Refused:
    return Refused(400, status(400, "BadRequest", message))


def unsupported_media_type() -> Refused:
    return Refused(415, status(415, "UnsupportedMediaType", "415: Unsupported Media Type", {}))


def not_acceptable(message: str) -> Refused:
    return Refused(406, status(406, "NotAcceptable", message))


def method_not_allowed(message: str = "the server does not allow this method on the requested resource") -> Refused:
    return Refused(405, status(405, "MethodNotAllowed", message, {}))


def broken(code: int) -> Refused:
    """An API server that cannot answer now: 500, 503, 504, or 429 of its own fairness."""
    words = {429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable", 504: "Timeout"}
    return Refused(code, status(code, words[code], "the embedded API server was told to fail"))


def forbidden(place: Resource, name: str, *, user: str, verb: str, resource: str, namespace: str | None) -> Refused:
    """The RBAC authorizer's 403; `resource` may hold a subresource (`pods/log`)."""
    subject = f'{qualified(place)} "{name}"' if name else qualified(place)
    where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    message = (
        f'{subject} is forbidden: User "{user}" cannot {verb} resource "{resource}"'
        f' in API group "{place.group}" {where}'
    )
    return Refused(403, status(403, "Forbidden", message, details_of(place, name)))
