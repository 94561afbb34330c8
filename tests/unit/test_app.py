"""The wiring: reload keeps the old table when the new one is wrong; readiness says which part is not."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import ClientSession
from structlog.testing import capture_logs

from remediator.app import Service, open_service
from remediator.clock import SystemClock
from remediator.errors import ConfigError
from remediator.model import State
from remediator.readiness import SHARED_SECONDS
from remediator.settings import Settings
from remediator.simulate.apiserver import EmbeddedCluster
from remediator.store.base import Change, Record
from remediator.store.opening import open_database
from tests.certificates import Authority
from tests.cluster.waiting import wait_for_async
from tests.unit.access.files import PAY, SHOP, entry, written
from tests.unit.receive.bodies import body
from tests.unit.scripted_server import Answer, ScriptedServer
from tests.unit.store.examples import NOTE, brought_to, firing, plan, queued, target

RULE = """\
rules:
  - name: {name}
    match: ['alertname="A"']
    severity: 1
    respond: [{{do: escalate}}]
"""


async def recommended_in(url: str) -> None:
    """A recommendation from before the service begins."""
    store = await open_database(url, clock=SystemClock())
    now, on = SystemClock().now(), target()
    [remediation] = await queued(store, firing(), at=now)
    planned = await brought_to(store, remediation, State.PLANNED, on=on, at=now)
    change = Change(rule="one", plan=plan(on), scored="sense")
    await store.advance(planned, to=State.RECOMMENDED, record=NOTE, at=now, change=change)
    await store.close()


@pytest.mark.parametrize("poll_seconds", [0.05, 0])
async def test_what_becomes_of_recommendations_is_looked_at(
    cluster: EmbeddedCluster, tmp_path: Path, poll_seconds: float
) -> None:
    """As often as the setting says: 0 is never."""
    (tmp_path / "rules.yaml").write_text(RULE.format(name="one"), encoding="utf-8")
    url = f"sqlite:///{tmp_path / 'r.db'}"
    await recommended_in(url)
    given = {"web_listen_address": "127.0.0.1:0", "storage_url": url, "rules": (tmp_path / "rules.yaml",)}
    settings = Settings.load(None, {**given, "kube_server": cluster.url, "score_poll_seconds": poll_seconds})
    async with open_service(settings, clock=SystemClock()) as service, asyncio.TaskGroup() as group:
        group.create_task(service.run())

        async def is_looked_at() -> bool:
            cases = await service.database.scores.open_cases(at=SystemClock().now() + timedelta(hours=1), limit=9)
            return [case.looked_at is not None for case in cases] == [poll_seconds > 0]

        await service.readiness()  # asks the same API server: by then a first look would have been made
        await wait_for_async(is_looked_at, timeout_seconds=10, what="a look, or none")
        service.stop()


SHOP_ENTRY = entry("shop", SHOP, namespaces="['.*']")
PAY_ENTRY = entry("pay", PAY, namespaces="['.*']")


@pytest.fixture
async def cluster() -> AsyncIterator[EmbeddedCluster]:
    async with EmbeddedCluster(SystemClock()) as running:
        yield running


@pytest.fixture
async def service(cluster: EmbeddedCluster, tmp_path: Path) -> AsyncIterator[Service]:
    (tmp_path / "rules.yaml").write_text(RULE.format(name="one"), encoding="utf-8")
    written(tmp_path, SHOP_ENTRY, PAY_ENTRY)
    settings = Settings.load(
        None,
        {
            "web_listen_address": "127.0.0.1:0",
            "storage_url": "sqlite:///:memory:",
            "rules": (tmp_path / "rules.yaml",),
            "web_credentials_file": tmp_path / "credentials.yaml",
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


async def test_a_ca_file_of_alertmanager_that_is_none_keeps_it_from_starting(tmp_path: Path) -> None:
    settings = Settings.load(
        None,
        {
            "storage_url": f"sqlite:///{tmp_path / 'remediator.db'}",
            "kube_server": "http://127.0.0.1:1",
            "alertmanager_urls": ("https://127.0.0.1:1",),
            "alertmanager_ca_file": tmp_path / "none.pem",
        },
    )
    with pytest.raises(ConfigError, match=r"none.pem of Alertmanager does not exist"):
        async with open_service(settings, clock=SystemClock()):
            pass


async def test_a_changed_ca_file_of_alertmanager_is_loaded_and_one_that_broke_leaves_the_old_one(
    tmp_path: Path,
) -> None:
    """Without a restart, as the other files: by itself, by SIGHUP and over HTTP it is the same reload."""
    authority, file = Authority(tmp_path), tmp_path / "ca.pem"
    file.write_bytes(Authority(tmp_path, "another").file.read_bytes())
    settings = Settings.load(
        None,
        {
            "web_listen_address": "127.0.0.1:0",
            "storage_url": "sqlite:///:memory:",
            "kube_server": "http://127.0.0.1:1",
            "alertmanager_urls": ("https://127.0.0.1:1",),
            "alertmanager_ca_file": file,
            "reload_poll_seconds": 0.05,
        },
    )
    async with open_service(settings, clock=SystemClock()) as service, asyncio.TaskGroup() as group:
        running = group.create_task(service.run())
        trust = service.parts.alertmanager.trust  # type: ignore[union-attr]
        before = trust.current
        file.write_bytes(authority.file.read_bytes())
        await wait_for_async(lambda: trust.current is not before, timeout_seconds=5, what="the new authority")
        assert [dict(one["subject"][0])["commonName"] for one in trust.current.get_ca_certs()] == ["authority"]
        file.write_text("half", encoding="utf-8")
        with pytest.raises(ConfigError, match=r"ca.pem of Alertmanager holds no certificate"):
            await service.reload()
        [part] = [part for part in await service.readiness() if part.name == "alertmanager-ca"]
        assert (part.is_ready, part.is_required) == (False, False)
        assert trust.current.get_ca_certs() != []
        service.stop()
        await running


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


async def posted(service: Service, token: str) -> int:
    """The answer to a webhook with this token."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    async with (
        ClientSession() as client,
        client.post(f"http://127.0.0.1:{service.port}/api/v1/alerts", data=body(), headers=headers) as answer,
    ):
        return answer.status


async def metric(service: Service, name: str) -> str:
    async with ClientSession() as client, client.get(f"http://127.0.0.1:{service.port}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return next(line.rpartition(" ")[2] for line in lines if line.startswith(f"{name} "))


async def not_ready(service: Service) -> list[str]:
    return [part.name for part in await service.readiness() if part.is_required and not part.is_ready]


async def test_a_credential_that_is_taken_away_is_refused_from_the_reload_on(service: Service, tmp_path: Path) -> None:
    assert [await posted(service, token) for token in (SHOP, PAY, "x" * 20)] == [200, 200, 401]
    written(tmp_path, SHOP_ENTRY)
    await service.reload()
    assert [await posted(service, token) for token in (SHOP, PAY)] == [200, 401]


async def test_a_credentials_file_with_a_mistake_leaves_the_old_one_and_says_so(
    service: Service, tmp_path: Path
) -> None:
    written(tmp_path, SHOP_ENTRY, "  - {name: pay}\n")
    with pytest.raises(ConfigError, match=r"credentials.yaml:3:5: "):
        await service.reload()
    assert [await posted(service, token) for token in (SHOP, PAY)] == [200, 200]
    assert await not_ready(service) == ["credentials"]
    assert await metric(service, "remediator_config_last_reload_successful") == "0.0"
    written(tmp_path, SHOP_ENTRY)
    await service.reload()
    assert await not_ready(service) == []
    assert await metric(service, "remediator_config_last_reload_successful") == "1.0"


async def test_a_mistake_in_a_rule_keeps_no_credential_valid(service: Service, tmp_path: Path) -> None:
    """What was taken away must be gone, whatever else is wrong."""
    (tmp_path / "rules.yaml").write_text("rules: [{name: two}]", encoding="utf-8")
    written(tmp_path, SHOP_ENTRY)
    with pytest.raises(ConfigError, match=r"rules.yaml:1:"):
        await service.reload()
    assert await posted(service, PAY) == 401
    assert await not_ready(service) == ["rules"]


async def test_changed_credentials_are_loaded_without_being_asked(service: Service, tmp_path: Path) -> None:
    written(tmp_path, PAY_ENTRY)
    await wait_for_async(
        lambda: not service.access.current.credentials.of_token(SHOP.encode()),
        timeout_seconds=5,
        what="the new credentials",
    )


@pytest.mark.parametrize(
    ("mode", "has_credentials", "is_told"),
    [("silent", False, False), ("approve", False, True), ("active", False, True), ("active", True, False)],
)
async def test_a_service_that_acts_for_anyone_says_so(
    cluster: EmbeddedCluster, tmp_path: Path, mode: str, has_credentials: bool, is_told: bool
) -> None:
    """It serves all the same: on a laptop there is nobody else."""
    given = {"web_credentials_file": written(tmp_path, SHOP_ENTRY)} if has_credentials else {}
    settings = Settings.load(
        None,
        {
            "web_listen_address": "127.0.0.1:0",
            "storage_url": "sqlite:///:memory:",
            "kube_server": cluster.url,
            "mode": mode,
            **given,
        },
    )
    with capture_logs() as log:
        async with open_service(settings, clock=SystemClock()) as opened, asyncio.TaskGroup() as group:
            running = group.create_task(opened.run())
            [part] = [part for part in await opened.readiness() if part.name == "credentials"]
            opened.stop()
            await running
    assert (not part.is_ready, "whoever reaches the port" in part.detail) == (is_told, is_told)
    assert not (is_told and part.is_required)
    assert any("whoever reaches the port" in line["event"] for line in log) is is_told


def test_a_bad_file_stops_the_start_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("credentails: []\n", encoding="utf-8")
    command = [sys.executable, "-m", "remediator", "serve", "--web.credentials-file", str(tmp_path / "bad.yaml")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert f"{tmp_path / 'bad.yaml'}:1:1: error: unknown field 'credentails'" in done.stderr


async def test_readiness_names_the_part_that_is_missing(service: Service, cluster: EmbeddedCluster) -> None:
    assert await not_ready(service) == []
    await cluster.__aexit__(None, None, None)

    async def is_named() -> bool:
        return await not_ready(service) == ["api-server"]

    await wait_for_async(is_named, timeout_seconds=10, what="what was well a moment ago to be asked for again")


async def test_a_stranger_s_probes_do_not_make_it_commit_and_ask_each_time(
    service: Service, cluster: EmbeddedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has to say who they are at `/-/ready`."""
    commits = 0
    check_writes = service.database.check_writes

    async def counted() -> None:
        nonlocal commits
        commits += 1
        await check_writes()

    monkeypatch.setattr(service.database, "check_writes", counted)
    loop = asyncio.get_running_loop()
    before, began = sum(call.path == "/readyz" for call in cluster.requests), loop.time()
    async with ClientSession() as stranger:
        for _ in range(50):
            async with stranger.get(f"http://127.0.0.1:{service.port}/-/ready") as answer:
                assert answer.status == 200
    most = (loop.time() - began) / SHARED_SECONDS + 1
    assert 1 <= commits <= most < 50
    assert 1 <= sum(call.path == "/readyz" for call in cluster.requests) - before <= most


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
