"""An Alertmanager with a certificate: believed by the authorities that are named, and by no others."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from remediator.alertmanager.base import AlertmanagerUnavailable
from remediator.alertmanager.client import AlertmanagerApi
from remediator.alertmanager.status import status_of
from remediator.alertmanager.trust import trusting
from remediator.errors import ConfigError
from tests.certificates import Authority
from tests.unit.scripted_server import Answer, ScriptedServer

STATUS = {"versionInfo": {"version": "0.34.0"}, "config": {"original": "route: {}"}}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
async def server(authority: Authority) -> AsyncIterator[ScriptedServer]:
    pair = authority.server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    one = ScriptedServer()
    await one.start(tls=context)
    yield one
    await one.stop()


async def listed(url: str, ca_file: Path | None) -> int:
    client = AlertmanagerApi([url], ca_file=ca_file)
    try:
        return len(await client.alerts())
    finally:
        await client.close()


async def test_the_authority_that_is_named_is_believed(server: ScriptedServer, authority: Authority) -> None:
    server.answers(Answer(body=[]))
    assert await listed(server.url, authority.file) == 0
    server.answers(Answer(body=STATUS))
    assert (await status_of(server.url, token_file=None, ca_file=authority.file, limit_seconds=5)).version == "0.34.0"


@pytest.mark.parametrize("named", [False, True], ids=["the system's", "another"])
async def test_no_other_is(server: ScriptedServer, tmp_path: Path, named: bool) -> None:
    """The control: nothing is sent to who cannot show who it is."""
    ca_file = Authority(tmp_path, "other").file if named else None
    with pytest.raises(AlertmanagerUnavailable, match="certificate verify failed"):
        await listed(server.url, ca_file)
    with pytest.raises(AlertmanagerUnavailable, match="certificate verify failed"):
        await status_of(server.url, token_file=None, ca_file=ca_file, limit_seconds=5)
    assert server.asked == []


def test_a_file_that_is_none_is_told_by_its_name(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.touch()
    text = tmp_path / "text.pem"
    text.write_text("no certificate", encoding="utf-8")
    for file, said in (
        (tmp_path / "none.pem", "does not exist"),
        (empty, "holds no certificate"),
        (text, "holds no certificate"),
        (tmp_path, "cannot be read"),
    ):
        with pytest.raises(ConfigError, match=f"CA file {file} of Alertmanager {said}"):
            AlertmanagerApi(["https://127.0.0.1:1"], ca_file=file)
    assert trusting(None) is None
