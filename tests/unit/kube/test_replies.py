"""What of an API server's refusal reaches people: the reason whole, the values that it repeats not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from remediator.kube.base import Invalid
from remediator.kube.replies import error_of, read_status

ENV = "spec.template.spec.containers[0].env[1]"


def refusal(message: str, *causes: dict[str, Any]) -> Invalid:
    answer = {"kind": "Status", "reason": "Invalid", "message": message, "details": {"causes": list(causes) or [{}]}}
    error = error_of("PATCH /x", 422, read_status(json.dumps(answer).encode(), {}), is_repeatable=True)
    assert isinstance(error, Invalid)
    return error


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (f'{ENV}.value: Invalid value: "hunter2": too long', f"{ENV}.value: Invalid value: [redacted]: too long"),
        (f'{ENV}.value: Invalid value: "a\\"hunter2": too long', f"{ENV}.value: Invalid value: [redacted]: too long"),
        (
            f'{ENV}: Invalid value: core.EnvVar{{Name:"A", Value:"hunter2"}}: must not have both',
            f"{ENV}: Invalid value: [redacted]: must not have both",
        ),
        (
            f'{ENV}: Invalid value: {{"name":"A","value":"hunter2"}}: must not have both',
            f"{ENV}: Invalid value: [redacted]: must not have both",
        ),
        (
            'metadata.annotations: Invalid value: "hunter2": name part must consist of alphanumeric characters',
            "metadata.annotations: Invalid value: [redacted]: name part must consist of alphanumeric characters",
        ),
        ('admission webhook "x" denied: DB_PASSWORD=hunter2', 'admission webhook "x" denied: DB_PASSWORD=[redacted]'),
        ('spec.replicas: Invalid value: -1: must be >= 0', "spec.replicas: Invalid value: -1: must be >= 0"),
        (
            'spec.template.spec.containers[0].image: Invalid value: " x": must not have leading whitespace',
            'spec.template.spec.containers[0].image: Invalid value: " x": must not have leading whitespace',
        ),
    ],
)
def test_a_refused_value_of_the_environment_is_not_repeated(message: str, told: str) -> None:
    assert str(refusal(message)) == f"PATCH /x: 422 Invalid: {told}"


def test_a_cause_is_redacted_by_its_field() -> None:
    error = refusal("no", {"field": f"{ENV}.value", "message": 'Invalid value: "hunter2": too long'})

    assert error.causes == (f"{ENV}.value: Invalid value: [redacted]: too long",)


def test_a_page_of_a_proxy_is_redacted() -> None:
    status = read_status(b"<html>upstream http://a:hunter2@10.0.0.1 failed</html>", {})

    assert status.message == "<html>upstream http://a:[redacted]@10.0.0.1 failed</html>"
