"""The API does what its description says, whatever is asked of it in its terms: schemathesis on `/openapi.json`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from remediator.api.openapi import document
from tests.hostile.client import asked
from tests.hostile.serving import Served, served

PATHS = document("1")["paths"]
ASKED = [
    (method.upper(), path, mode)
    for path, found in sorted(PATHS.items())
    for method, operation in sorted(found.items())
    for mode in GenerationMode
    # Where nothing but words of the path are given, nothing can be wrong.
    if mode is GenerationMode.POSITIVE or "requestBody" in operation
]
WITH_BODY = [path for _, path, mode in ASKED if mode is GenerationMode.NEGATIVE]
EXAMPLES, EXAMPLES_LONG = 5, 100
CONFORMS = [status_code_conformance, content_type_conformance, response_schema_conformance]
TOO_LARGE = 413
NEEDS_A_CLUSTER = "/-/ready"
"""It says 503 where there is no cluster, as here."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("described")) as running:
        yield running


@pytest.fixture(scope="module")
def schema(service: Served) -> Any:
    return schemathesis.openapi.from_url(f"http://127.0.0.1:{service.port}/openapi.json")


@pytest.mark.parametrize(("method", "path", "mode"), ASKED, ids=str)
def test_the_api_is_as_described(
    schema: Any, service: Served, method: str, path: str, mode: GenerationMode, request: pytest.FixtureRequest
) -> None:
    operation = schema[path][method]
    checks = [*CONFORMS, *([] if path == NEEDS_A_CLUSTER else [not_a_server_error])]
    if mode is GenerationMode.NEGATIVE:
        checks.append(negative_data_rejection)

    @settings(
        max_examples=EXAMPLES_LONG if request.config.getoption("--long") else EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        answer = case.call(base_url=f"http://127.0.0.1:{service.port}")
        # What is too large is refused, whatever else would be wrong with it.
        held = [one for one in checks if answer.status_code != TOO_LARGE or one is not negative_data_rejection]
        case.validate_response(answer, checks=held)

    ask()
    assert service.faults() == []


@pytest.mark.parametrize("path", WITH_BODY)
def test_a_request_that_breaks_off_is_no_fault_of_ours(service: Served, path: str) -> None:
    target = re.sub(r"{\w+}", "1", path).encode()
    half = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{" % target
    assert asked(service.port, half, patience_seconds=0.05).status in (0, 400)
    assert asked(service.port, b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n").status == 200
    assert service.faults() == []
