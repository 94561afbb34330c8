"""What holds for every request: faults as JSON, headers, traces, other sites, slow and many clients."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import TypeAdapter

from remediator.api import server
from remediator.api.control import PauseRequest
from remediator.api.openapi import document
from remediator.errors import ConfigError
from remediator.receive.server import PATHS
from tests.unit.api.service import TOKEN, Service, running


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with running() as service:
        yield service


async def test_unknown_paths_and_methods_are_json(service: Service) -> None:
    assert await service.get("/nothing") == (404, {"error": "Not Found"})
    async with service.client.delete("/api/v1/pause") as answer:
        assert answer.status == 405
        assert set(answer.headers["Allow"].split(",")) >= {"GET", "POST"}
        assert await answer.json() == {"error": "Method Not Allowed"}


@pytest.mark.parametrize("path", ["/-/healthy/", "/api//v1/incidents", "/api/v1/incidents/"])
async def test_no_path_is_redirected(service: Service, path: str) -> None:
    async with service.client.get(path, allow_redirects=False) as answer:
        assert answer.status == 404


@pytest.mark.parametrize("path", ["/-/healthy", "/api/v1/pause", "/nothing"])
async def test_browsers_are_told_to_do_nothing_with_it(service: Service, path: str) -> None:
    async with service.client.get(path) as answer:
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Server"] == "remediator"


@pytest.mark.parametrize(("site", "status"), [("cross-site", 403), ("same-site", 403), ("same-origin", 200)])
async def test_pages_of_other_sites_cannot_post(service: Service, site: str, status: int) -> None:
    wanted = {"engaged": True, "comment": "x", "by": "y"}
    headers = {"Authorization": TOKEN, "Sec-Fetch-Site": site}
    assert (await service.ask("POST", "/api/v1/pause", json=wanted, headers=headers))[0] == status


async def test_a_request_joins_the_callers_trace() -> None:
    """Alertmanager from 0.30 sends `traceparent` with its webhooks."""
    spans = InMemorySpanExporter()
    async with running(span_exporter=spans) as service:
        trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        await service.get("/api/v1/pause", headers={"Traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    [span] = spans.get_finished_spans()
    assert span.name == "GET /api/v1/pause"
    assert f"{span.context.trace_id:032x}" == trace
    assert span.attributes == {
        "http.request.method": "GET",
        "http.route": "/api/v1/pause",
        "http.response.status_code": 200,
    }


async def test_the_description_names_every_route(service: Service) -> None:
    _, told = await service.get("/openapi.json")
    assert told == document("1.2.3")
    described = {(path, method) for path, methods in told["paths"].items() for method in methods}
    served = {(path, "post") for path in PATHS} | await _served(service, sorted({path for path, _ in described}))
    assert described == served


async def _served(service: Service, paths: list[str]) -> set[tuple[str, str]]:
    """The (path, method) that the service itself says it allows; the receiver's are not part of this service."""
    found = set()
    for path in paths:
        async with service.client.request("OPTIONS", re.sub(r"\{\w+\}", "1", path)) as answer:
            if answer.status == 405:
                allowed = {method.strip().lower() for method in answer.headers["Allow"].split(",")}
                found |= {(path, method) for method in allowed - {"head", "options"}}
    return found


def test_every_reference_of_the_description_resolves() -> None:
    described = document("1")
    text = TypeAdapter(dict).dump_json(described).decode()
    references = {part.split('"')[0] for part in text.split('"$ref":"#/components/schemas/')[1:]}
    assert references <= set(described["components"]["schemas"])
    assert PauseRequest.__name__ in references


async def test_a_connection_that_sends_no_request_is_closed(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """aiohttp keeps half a request line for as long as its keep-alive time."""
    await service.get("/api/v1/pause")  # this connection is in earnest, and stays
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(b"POST /webhook HTTP/1.1\r\nHost: sl")
    await writer.drain()
    await service.get("/api/v1/pause")  # the server has seen the other one by now
    loop = asyncio.get_running_loop()
    now = loop.time
    monkeypatch.setattr(loop, "time", lambda: now() + server.HEADERS_SECONDS)
    assert await asyncio.wait_for(reader.read(), timeout=1) == b""
    assert (await service.get("/api/v1/pause"))[0] == 200
    writer.close()


async def test_a_taken_address_is_a_config_error(service: Service) -> None:
    with pytest.raises(ConfigError, match="web_listen_address: cannot listen on 127"):
        await server.HttpServer(_empty(), grace_seconds=0).start("127.0.0.1", service.port)


async def test_connections_above_the_limit_are_refused(service: Service) -> None:
    """The client sees a transport error, which Alertmanager retries."""
    idle = [await asyncio.open_connection("127.0.0.1", service.port) for _ in range(server.MAX_CONNECTIONS)]
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    for _, opened in [*idle, (reader, writer)]:
        opened.close()


def _empty() -> server.web.Application:
    return server.web.Application()
