"""The commands reach a service that asks for TLS, a certificate or a password, by an HTTP configuration file."""

from __future__ import annotations

import asyncio
from pathlib import Path

import bcrypt
import pytest

from remediator.access.loading import Access, AccessFiles, load_access
from remediator.cli import control
from remediator.cli.http_config import read_http_config
from remediator.errors import ConfigError
from tests.certificates import Authority
from tests.unit.access.files import OPS, entry, written
from tests.unit.api.service import Service, running

EVE = "eve (credential ops)"
CA = "tls_config: {ca_file: authority.pem}\n"
TLS = "tls_config: {ca_file: authority.pem, cert_file: ada.crt, key_file: ada.key}\n"


@pytest.fixture
def access(tmp_path: Path) -> Access:
    authority = Authority(tmp_path)
    authority.server()
    authority.client("ada", "ada.example")
    right = bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode()
    (tmp_path / "web.yaml").write_text(
        "tls_server_config: {cert_file: server.crt, key_file: server.key, client_ca_file: authority.pem, "
        f"client_auth_type: VerifyClientCertIfGiven}}\nbasic_auth_users: {{bob: {right}}}\n",
        encoding="utf-8",
    )
    file = written(
        tmp_path,
        entry("ada", client_name="ada.example", may="[operate]"),
        entry("bob", basic_auth_user="bob", may="[read]"),
        entry("ops", OPS, may="[operate]"),
    )
    return load_access(AccessFiles(file, web_config=tmp_path / "web.yaml"))


async def run(service: Service, folder: Path, monkeypatch: pytest.MonkeyPatch, text: str | None) -> list[int]:
    """Exit codes of `status` and `pause` with this configuration."""
    if text is not None:
        (folder / "http.yaml").write_text(text, encoding="utf-8")
        monkeypatch.setenv("REMEDIATOR_HTTP_CONFIG_FILE", str(folder / "http.yaml"))
    url = f"https://127.0.0.1:{service.port}"
    codes = [await asyncio.to_thread(control.status, url, "simple")]
    return [*codes, await asyncio.to_thread(lambda: control.pause(url, "simple", comment="x", by="eve"))]


@pytest.mark.parametrize(
    ("text", "codes", "by"),
    [
        (TLS, [0, 0], "ada.example"),
        (CA + "basic_auth: {username: bob, password: right}\n", [0, 1], ""),
        (CA + "basic_auth: {username: bob, password_file: bobs}\n", [0, 1], ""),
        (CA + "basic_auth: {username: bob, password: wrong}\n", [1, 1], ""),
        (CA + f"authorization: {{credentials: {OPS}}}\n", [0, 0], EVE),
        (CA + "authorization: {credentials_file: token}\n", [0, 0], EVE),
        (CA, [1, 1], ""),
        (None, [1, 1], ""),
    ],
)
async def test_a_command_is_somebody_by_its_configuration(
    access: Access,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str | None,
    codes: list[int],
    by: str,
) -> None:
    (tmp_path / "bobs").write_text("right\n")
    (tmp_path / "token").write_text(OPS + "\n")
    async with running(access=access) as service:
        assert await run(service, tmp_path, monkeypatch, text) == codes
        assert (await service.store.kill_switch()).by == by


async def test_a_token_file_is_meant_before_the_configuration(
    access: Access, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text(OPS)
    monkeypatch.setenv("REMEDIATOR_TOKEN_FILE", str(tmp_path / "token"))
    async with running(access=access) as service:
        text = CA + "basic_auth: {username: bob, password: right}\n"
        assert await run(service, tmp_path, monkeypatch, text) == [0, 0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("basic_auht: {}", "did you mean 'basic_auth'"),
        ("basic_auth: {username: a}", "give either password or password_file"),
        ("authorization: {}", "give either credentials or credentials_file"),
        ("authorization: {credentials: a}\nbasic_auth: {username: a, password: b}", "authorization or basic_auth"),
        ("authorization: {credentials_file: none}", "none: cannot be read"),
        ("tls_config: {ca_file: none}", "tls_config cannot be used"),
        ("tls_config: {insecure_skip_verify: true}", "unknown field 'insecure_skip_verify'"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    (tmp_path / "http.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=said):
        read_http_config(tmp_path / "http.yaml")
    monkeypatch.setenv("REMEDIATOR_HTTP_CONFIG_FILE", str(tmp_path / "http.yaml"))
    assert control.status(None, "simple") == 2
    assert str(tmp_path) in capsys.readouterr().err
