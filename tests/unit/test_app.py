"""The wiring: reload keeps the old table when the new one is wrong; readiness says which part is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from remediator.app import Service, open_service
from remediator.clock import SystemClock
from remediator.errors import ConfigError
from remediator.settings import Settings
from remediator.simulate.apiserver import EmbeddedCluster
from tests.cluster.waiting import wait_for_async

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


async def test_readiness_names_the_part_that_is_missing(service: Service, cluster: EmbeddedCluster) -> None:
    assert [part.name for part in await service.readiness() if part.is_required and not part.is_ready] == []
    await cluster.__aexit__(None, None, None)
    assert [part.name for part in await service.readiness() if part.is_required and not part.is_ready] == [
        "api-server"
    ]
