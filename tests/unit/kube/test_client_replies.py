"""What each answer of the API server means; the answers are those of a real one."""

from __future__ import annotations

import json

import pytest

from remediator.errors import PermanentError
from remediator.kube.base import (
    Conflict,
    DisruptionBudget,
    Forbidden,
    Invalid,
    NotFound,
    NotProvable,
    ReplyLost,
    Unreachable,
)
from remediator.kube.replies import Expired, error_of, read_status
from tests.unit.scripted_server import Answer, status

FAILED_TEST = status(422, "Invalid", "the server rejected our request due to an error in our request")
FIELD = {"reason": "FieldValueInvalid", "message": "must be positive", "field": "spec.replicas"}
BUDGET = {"reason": "DisruptionBudget", "message": "The disruption budget web needs 2 healthy pods and has 2"}
NO_DRY_RUN = 'admission webhook "x.example.com" does not support dry run'
TWO_BUDGETS = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
NO_PREVIOUS = 'previous terminated container "app" in pod "web-1" not found'
WAITING = 'container "app" in pod "web-1" is waiting to start: ContainerCreating'
DENIED = 'admission webhook "policy.example.com" denied the request: no'

CASES = [
    pytest.param(status(400, "BadRequest", NO_DRY_RUN), NotProvable, NotProvable, id="webhook without dry run"),
    pytest.param(status(400, "BadRequest", NO_PREVIOUS), NotFound, NotFound, id="no previous container"),
    pytest.param(status(400, "BadRequest", WAITING), NotFound, NotFound, id="container not started"),
    pytest.param(status(400, "BadRequest", "unable to parse"), Invalid, Invalid, id="bad request"),
    pytest.param(status(401, "Unauthorized"), Forbidden, Forbidden, id="unauthorized"),
    pytest.param(status(403, "Forbidden"), Forbidden, Forbidden, id="forbidden"),
    pytest.param(status(404, "NotFound"), NotFound, NotFound, id="not found"),
    pytest.param(status(405, "MethodNotAllowed"), Invalid, Invalid, id="method"),
    pytest.param(status(408), Unreachable, ReplyLost, id="request timeout"),
    pytest.param(status(409, "Conflict"), Conflict, Conflict, id="conflict"),
    pytest.param(status(410, "Expired"), Expired, Expired, id="continue token too old"),
    pytest.param(status(415, "UnsupportedMediaType"), Invalid, Invalid, id="content type"),
    pytest.param(FAILED_TEST, Conflict, Conflict, id="failed test of a JSON patch"),
    pytest.param(status(422, "Invalid", "bad", causes=[FIELD]), Invalid, Invalid, id="validation"),
    pytest.param(status(422, "Invalid", "denied", name="web"), Invalid, Invalid, id="admission policy"),
    pytest.param(status(422, "", DENIED), Invalid, Invalid, id="webhook that denies with 422"),
    pytest.param(status(429, "TooManyRequests"), Unreachable, Unreachable, id="flow control"),
    pytest.param(status(429, "TooManyRequests", causes=[BUDGET]), DisruptionBudget, DisruptionBudget, id="budget"),
    pytest.param(status(500, "InternalError", TWO_BUDGETS), PermanentError, PermanentError, id="two budgets"),
    pytest.param(status(500, "InternalError"), Unreachable, ReplyLost, id="internal"),
    pytest.param(status(502), Unreachable, ReplyLost, id="bad gateway"),
    pytest.param(status(503, "ServiceUnavailable"), Unreachable, ReplyLost, id="unavailable"),
    pytest.param(status(504, "Timeout"), Unreachable, ReplyLost, id="gateway timeout"),
    pytest.param(Answer(302, b""), PermanentError, PermanentError, id="redirect"),
    pytest.param(Answer(418, b"<html>teapot"), Invalid, Invalid, id="foreign answer"),
]


@pytest.mark.parametrize(("answer", "for_read", "for_write"), CASES)
def test_an_answer_means(answer: Answer, for_read: type, for_write: type) -> None:
    """Reads and writes differ only where a write may have been done."""
    read = read_status(answer.content, {})
    kinds = tuple(
        type(error_of("GET /x", answer.status, read, is_repeatable=is_repeatable)) for is_repeatable in (True, False)
    )

    assert kinds == (for_read, for_write)


def test_invalid_names_the_fields() -> None:
    """`causes` are the API server's own words with the field in front."""
    answer = status(422, "Invalid", "bad", causes=[FIELD, {"message": "whole object"}])
    error = error_of("PATCH /x", 422, read_status(answer.content, {}), is_repeatable=False)

    assert isinstance(error, Invalid)
    assert error.causes == ("spec.replicas: must be positive", "whole object")


def test_the_text_says_operation_code_reason_and_message_on_one_short_line() -> None:
    answer = status(404, "NotFound", 'pods "web"\nnot found ' + "x" * 5000)
    text = str(error_of("GET /api/v1/pods/web", 404, read_status(answer.content, {}), is_repeatable=True))

    assert text.startswith('GET /api/v1/pods/web: 404 NotFound: pods "web" not found xxx')
    assert len(text) < 400


@pytest.mark.parametrize(
    ("header", "details", "expected"),
    [
        ("7", {}, 7.0),
        (None, {"retryAfterSeconds": 10}, 10.0),
        ("3", {"retryAfterSeconds": 10}, 3.0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", {}, None),
        ("-1", {}, None),
        ("inf", {}, None),
        (None, {}, None),
    ],
)
def test_reads_the_pause_that_the_server_asks_for(
    header: str | None, details: dict[str, int], expected: float | None
) -> None:
    """From the header first; the API server says it again in `details`."""
    headers = {} if header is None else {"Retry-After": header}

    assert read_status(status(429, **details).content, headers).retry_after_seconds == expected


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"\xff\xfe", b"[]", b"null", b'{"details": null}', b'{"details":{"causes":["x"]}}', b"[" * 99999],
)
def test_survives_an_answer_that_is_no_status(body: bytes) -> None:
    """A proxy may answer anything."""
    assert isinstance(error_of("GET /x", 503, read_status(body, {}), is_repeatable=True), Unreachable)


def test_a_status_survives_being_read_as_json_of_another_shape() -> None:
    """`details` that is no object is as good as none."""
    body = json.dumps({"message": "m", "details": "text"}).encode()

    assert read_status(body, {}).message == "m"
