"""The environment's proxies are used by each of our clients, and what ~/.netrc holds is sent by none of them.

That of the Kubernetes API is tested in `kube/test_client_reads.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from remediator.alertmanager.base import AlertmanagerUnavailable
from remediator.alertmanager.client import AlertmanagerApi
from remediator.alertmanager.status import status_of
from remediator.errors import ConfigError
from remediator.model import IncidentId, RemediationId
from remediator.proxies import proxy_of_environment
from remediator.sinks.webhook import WebhookSink
from remediator.store.base import CommittedRecord
from tests.unit.scripted_server import Answer, ScriptedServer

Ask = Callable[[str], Awaitable[object]]
STATUS = Answer(body={"versionInfo": {"version": "0.34.0"}, "config": {"original": ""}})
RECORD = CommittedRecord(
    7, datetime(2026, 11, 23, tzinfo=UTC), "decision.held", RemediationId(3), IncidentId(2), {"reason": "storm"}, b""
)


async def listed(url: str) -> object:
    client = AlertmanagerApi([url])
    try:
        return await client.alerts()
    finally:
        await client.close()


async def status(url: str) -> object:
    return await status_of(url, token_file=None, ca_file=None, limit_seconds=5)


async def told(url: str) -> object:
    return await WebhookSink(url, cluster="prod").tell(RECORD)


EACH = pytest.mark.parametrize(
    ("ask", "answer"),
    [(listed, Answer(body=[])), (status, STATUS), (told, Answer())],
    ids=["alertmanager", "status", "webhook"],
)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Without any proxies, whatever the machine has."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return monkeypatch


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    one = ScriptedServer()
    await one.start()
    yield one
    await one.stop()


@EACH
async def test_the_proxy_is_asked_with_its_own_password(
    server: ScriptedServer, environment: pytest.MonkeyPatch, ask: Ask, answer: Answer
) -> None:
    environment.setenv("HTTP_PROXY", server.url.replace("://", "://me:hunter2@"))
    server.answers(answer)
    await ask("http://away.invalid:9093/am")
    [asked] = server.asked
    assert asked.headers["Host"] == "away.invalid:9093"
    assert asked.headers["Proxy-Authorization"] == "Basic bWU6aHVudGVyMg=="


@EACH
async def test_what_is_in_no_proxy_is_asked_directly(
    server: ScriptedServer, environment: pytest.MonkeyPatch, ask: Ask, answer: Answer
) -> None:
    environment.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    environment.setenv("NO_PROXY", "else.invalid,127.0.0.1")
    server.answers(answer)
    await ask(server.url)
    assert len(server.asked) == 1


@EACH
async def test_what_a_netrc_has_for_the_host_is_not_sent(
    server: ScriptedServer, environment: pytest.MonkeyPatch, tmp_path: Path, ask: Ask, answer: Answer
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password hunter2\n")
    (tmp_path / "netrc").chmod(0o600)
    environment.setenv("NETRC", str(tmp_path / "netrc"))
    server.answers(answer)
    await ask(server.url)
    [asked] = server.asked
    assert "Authorization" not in asked.headers


async def test_beside_a_netrc_the_token_is_sent(
    server: ScriptedServer, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """aiohttp refuses to send a request that has both."""
    (tmp_path / "netrc").write_text("default login me password hunter2\n")
    (tmp_path / "netrc").chmod(0o600)
    (tmp_path / "token").write_text("abc\n")
    environment.setenv("NETRC", str(tmp_path / "netrc"))
    await WebhookSink(server.url, cluster="prod", token_file=tmp_path / "token").tell(RECORD)
    [asked] = server.asked
    assert asked.headers["Authorization"] == "Bearer abc"


async def test_what_is_encrypted_goes_through_the_tunnel_of_a_proxy(environment: pytest.MonkeyPatch) -> None:
    heard: list[str] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.extend((await reader.readuntil(b"\r\n\r\n")).decode().splitlines())
        writer.write(b"HTTP/1.1 502 no\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as proxy:
        port = proxy.sockets[0].getsockname()[1]
        environment.setenv("HTTPS_PROXY", f"http://me:hunter2@127.0.0.1:{port}")
        environment.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        with pytest.raises(AlertmanagerUnavailable, match="502"):
            await listed("https://away.invalid")
    assert heard[0] == "CONNECT away.invalid:443 HTTP/1.1"
    assert "Proxy-Authorization: Basic bWU6aHVudGVyMg==" in heard


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://a.example:9093/am", "http://proxy:3128"),
        ("https://a.example", "http://secure:3128"),
        ("http://b.local/x", None),
        ("http://sub.b.local:80", None),
        ("/no/host", None),
    ],
)
def test_each_scheme_has_its_own(environment: pytest.MonkeyPatch, url: str, proxy: str | None) -> None:
    environment.setenv("http_proxy", "http://proxy:3128")
    environment.setenv("https_proxy", "http://secure:3128")
    environment.setenv("no_proxy", ".b.local,b.local")
    assert proxy_of_environment(url) == proxy


def test_an_address_that_is_none_is_told_at_the_start() -> None:
    with pytest.raises(ConfigError, match="not a URL of an Alertmanager"):
        AlertmanagerApi(["http://alertmanager:port"])
