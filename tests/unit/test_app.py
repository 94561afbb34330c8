"""The wiring: reload keeps the old table when the new one is wrong; readiness says which part is not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from remediator.app import Service, open_service
from remediator.clock import SystemClock
from remediator.errors import ConfigError
from remediator.settings import Settings
from remediator.simulate.apiserver import EmbeddedCluster
from remediator.store.base import Record
from remediator.store.database import open_database
from tests.cluster.waiting import wait_for_async
from tests.unit.scripted_server import Answer, ScriptedServer

RULE = """\
rules:
  - name: {name}
    match: ['alertname="A"']
    severity: 1
    respond: [{{do: escalate}}]
"""


@pytest.fixture
async def cluster() -> AsyncIterator[EmbeddedCluster]:
    async with EmbeddedCluster(SystemClock()) as running:
        yield running


@pytest.fixture
async def service(cluster: EmbeddedCluster, tmp_path: Path) -> AsyncIterator[Service]:
    (tmp_path / "rules.yaml").write_text(RULE.format(name="one"), encoding="utf-8")
    settings = Settings.load(
        None,
        {
            "web_listen_address": "127.0.0.1:0",
            "storage_url": "sqlite:///:memory:",
            "rules": (tmp_path / "rules.yaml",),
            "kube_server": cluster.url,
            "reload_poll_seconds": 0.05,
            "poll_seconds": 0.05,
        },
    )
    async with open_service(settings, clock=SystemClock()) as opened, asyncio.TaskGroup() as group:
        running = group.create_task(opened.run())
        yield opened
        opened.stop()
        await running


def rules(service: Service) -> list[str]:
    return [rule.name for rule in service.parts.rules().rules]


async def test_a_reload_that_fails_leaves_the_table_and_says_so(service: Service, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("rules: [{name: two}]", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"rules.yaml:1:"):
        await service.reload()

    assert rules(service) == ["one"]
    not_ready = [part for part in await service.readiness() if not part.is_ready and part.is_required]
    assert [part.name for part in not_ready] == ["rules"]


async def test_changed_files_are_loaded_without_being_asked(service: Service, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(RULE.format(name="two"), encoding="utf-8")
    await wait_for_async(lambda: rules(service) == ["two"], timeout_seconds=5, what="the new table")


CALENDAR = (
    "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//a test//EN\r\nBEGIN:VEVENT\r\nUID:1\r\n"
    "DTSTART:{year}0101T000000Z\r\nDURATION:P1D\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
)


def frozen(service: Service, year: int) -> bool:
    new_year = datetime(year, 1, 1, 12, tzinfo=UTC)
    return any(freeze.until(new_year) is not None for freeze in service.parts.rules().freezes)


async def test_a_calendar_that_changed_is_loaded_and_one_that_broke_leaves_the_table(
    service: Service, tmp_path: Path
) -> None:
    calendar = tmp_path / "cal.ics"
    calendar.write_text(CALENDAR.format(year=2027), encoding="utf-8")
    named = RULE.format(name="one") + "freezes: [{name: holidays, calendar: cal.ics}]\n"
    (tmp_path / "rules.yaml").write_text(named, encoding="utf-8")
    await wait_for_async(lambda: frozen(service, 2027), timeout_seconds=5, what="the calendar")

    calendar.write_text(CALENDAR.format(year=2028), encoding="utf-8")
    await wait_for_async(lambda: frozen(service, 2028), timeout_seconds=5, what="the changed calendar")

    calendar.write_text("not found", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"rules.yaml:6:38: error: calendar cal.ics: not as RFC 5545 has it"):
        await service.reload()
    assert frozen(service, 2028)


async def test_a_calendar_that_was_missing_is_noticed_when_it_comes(service: Service, tmp_path: Path) -> None:
    named = RULE.format(name="two") + "freezes: [{name: holidays, calendar: cal.ics}]\n"
    (tmp_path / "rules.yaml").write_text(named, encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot be read"):
        await service.reload()
    assert rules(service) == ["one"]
    (tmp_path / "cal.ics").write_text(CALENDAR.format(year=2027), encoding="utf-8")
    await wait_for_async(lambda: rules(service) == ["two"], timeout_seconds=5, what="the new table")


async def test_readiness_names_the_part_that_is_missing(service: Service, cluster: EmbeddedCluster) -> None:
    assert [part.name for part in await service.readiness() if part.is_required and not part.is_ready] == []
    await cluster.__aexit__(None, None, None)
    assert [part.name for part in await service.readiness() if part.is_required and not part.is_ready] == [
        "api-server"
    ]


async def test_a_webhook_that_is_new_to_an_old_database_is_told_what_comes(
    cluster: EmbeddedCluster, tmp_path: Path
) -> None:
    """Not the history of months; and what comes while it is away is told when it is back, also after a restart."""
    (tmp_path / "rules.yaml").write_text(RULE.format(name="one"), encoding="utf-8")
    url, clock = f"sqlite:///{tmp_path / 'r.db'}", SystemClock()
    old = await open_database(url, clock=clock)
    await old.note([Record("pause.set", {"n": n}) for n in range(3)], at=clock.now())
    await old.close()
    server = ScriptedServer()
    await server.start()
    flags = {
        "web_listen_address": "127.0.0.1:0",
        "storage_url": url,
        "rules": (tmp_path / "rules.yaml",),
        "kube_server": cluster.url,
        "webhook_url": server.url,
        "events": False,
        "poll_seconds": 0.05,
    }
    server.answers(Answer(503), Answer(503), Answer())

    async def serves_while(number: int) -> None:
        async with open_service(Settings.load(None, flags), clock=clock) as service, asyncio.TaskGroup() as group:
            await service.database.note([Record("pause.set", {"n": number})], at=clock.now())
            running = group.create_task(service.run())
            await wait_for_async(lambda: number in _told(server)[2:], timeout_seconds=10, what="it is told")
            service.stop()
            await running

    await serves_while(3)
    await serves_while(4)
    await server.stop()
    assert _told(server) == [3, 3, 3, 4]


def _told(server: ScriptedServer) -> list[int]:
    return [json.loads(asked.body)["data"]["n"] for asked in server.asked]
