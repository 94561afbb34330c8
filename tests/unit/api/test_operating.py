"""Health, readiness, reload, metrics, status and pause, over loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from remediator.api.answers import Part
from remediator.errors import ConfigError
from remediator.model import Alert, AlertStatus
from tests.unit.api.service import NOW, TOKEN, Service, running

SIGNED = {"Authorization": TOKEN}


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with running(web_enable_lifecycle=True) as service:
        yield service


@pytest.mark.parametrize("path", ["/-/healthy", "/-/ready", "/metrics"])
async def test_probes_answer_get_and_head(service: Service, path: str) -> None:
    assert (await service.text(path))[0] == 200
    async with service.client.head(path) as answer:
        assert answer.status == 200


async def test_ready_says_which_part_is_not(service: Service) -> None:
    service.parts = [Part("store", True), Part("api-server", False, "connection refused")]
    status, text = await service.text("/-/ready")
    assert status == 503
    assert text.splitlines() == [
        "remediator is not ready.",
        "store: ready",
        "api-server: not ready: connection refused",
    ]


async def test_ready_as_json_for_who_asks(service: Service) -> None:
    service.parts = [Part("prometheus", False, "timeout", is_required=False)]
    status, told = await service.get("/-/ready", headers={"Accept": "application/json"})
    assert status == 200
    assert told == {
        "ready": True,
        "parts": [{"name": "prometheus", "ready": False, "required": False, "detail": "timeout"}],
    }


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_reload_loads_again(service: Service, method: str) -> None:
    status, _ = await service.ask(method, "/-/reload", headers=SIGNED)
    assert (status, service.reloads) == (200, 1)


async def test_a_reload_that_fails_says_where(service: Service) -> None:
    service.reload_failure = ConfigError("rules/pods.yaml:12:7: unknown field 'wehn', did you mean when?")
    status, told = await service.ask("POST", "/-/reload", headers=SIGNED)
    assert status == 500
    assert told["error"].startswith("rules/pods.yaml:12:7")


async def test_reload_needs_the_token(service: Service) -> None:
    status, _ = await service.ask("POST", "/-/reload")
    assert (status, service.reloads) == (401, 0)


async def test_reload_over_http_is_off_by_default() -> None:
    async with running() as service:
        status, told = await service.ask("POST", "/-/reload", headers=SIGNED)
    assert (status, service.reloads) == (403, 0)
    assert "web_enable_lifecycle" in told["error"]


async def test_metrics_show_what_the_store_holds(service: Service) -> None:
    alert = Alert("0" * 16, AlertStatus.FIRING, {"alertname": "A"}, {}, NOW, None, "", "r", "k")
    await service.store.accept([alert], at=NOW)
    async with service.client.get("/metrics") as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        lines = (await answer.text()).splitlines()
    assert 'remediator_queue_depth{state="queued"} 1.0' in lines
    assert "remediator_paused 0.0" in lines


async def test_metrics_are_there_without_a_store(service: Service) -> None:
    """Losing the store must not lose the metrics that would tell of it."""
    await service.store.close()
    status, text = await service.text("/metrics")
    assert status == 200
    assert "remediator_build_info" in text


async def test_without_a_store_reading_is_503(service: Service) -> None:
    await service.store.close()
    status, told = await service.get("/api/v1/incidents")
    assert (status, told) == (503, {"error": "the store cannot answer now"})


async def test_shows_the_settings_without_their_secrets() -> None:
    async with running(storage_url="postgresql+psycopg://me:hunter2@db/x") as service:
        _, config = await service.get("/api/v1/status/config")
        _, flags = await service.get("/api/v1/status/flags")
    assert config["data"]["storage_url"] == "postgresql+psycopg://me:<secret>@db/x"
    assert flags["data"]["web-enable-lifecycle"] == "false"
    assert "hunter2" not in str(config) + str(flags)


async def test_says_its_version(service: Service) -> None:
    assert (await service.get("/api/v1/status/buildinfo"))[1]["data"]["version"] == "1.2.3"
