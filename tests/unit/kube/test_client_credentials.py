"""Where a cluster is found, and that rotated tokens and certificates are taken up without a restart."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from remediator.errors import ConfigError
from remediator.kube.base import Forbidden, Unreachable
from remediator.kube.credentials import Source, find_source, load
from tests.unit.kube.conftest import Connect
from tests.unit.scripted_server import HANG, Answer, ScriptedServer, status

POD = "/api/v1/namespaces/shop/pods/web-1"


def write_kubeconfig(path: Path, server: str, **user: Any) -> Path:
    path.write_text(
        json.dumps(
            {
                "current-context": "main",
                "clusters": [{"name": "c", "cluster": {"server": server}}],
                "users": [{"name": "u", "user": user}],
                "contexts": [{"name": "main", "context": {"cluster": "c", "user": "u"}}],
            }
        )
    )
    return path


def write_certificate(directory: Path, *, serial: int) -> ssl.SSLContext:
    """A self-signed certificate for 127.0.0.1 as `ca.crt`, and a server that shows it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"test-{serial}")])
    now = datetime.now(UTC)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    (directory / f"ca-{serial}.crt").write_bytes(pem)
    bundle = directory / f"server-{serial}.pem"
    bundle.write_bytes(
        pem
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(bundle)
    return context


@pytest.fixture
async def pod(
    server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[ScriptedServer, Path]]:
    """An API server with TLS, and the service account directory of a pod that trusts it."""
    secured = ScriptedServer()
    await secured.start(tls=write_certificate(tmp_path, serial=1))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "localhost")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(secured.port))
    (tmp_path / "token").write_text("first\n")
    (tmp_path / "ca.crt").write_bytes((tmp_path / "ca-1.crt").read_bytes())
    yield secured, tmp_path
    await secured.stop()


async def test_a_pod_uses_its_own_account(pod: tuple[ScriptedServer, Path], connect_to: Connect) -> None:
    """The newline at the end of the token file is no part of the header."""
    secured, account = pod
    cluster = await connect_to(service_account=account)
    await cluster.get(POD)

    assert secured.asked[0].headers["Authorization"] == "Bearer first"


async def test_a_rotated_token_is_used_from_the_next_request_on(
    pod: tuple[ScriptedServer, Path], connect_to: Connect
) -> None:
    """Without waiting for a minute or for a 401."""
    secured, account = pod
    cluster = await connect_to(service_account=account)
    await cluster.get(POD)
    (account / "token").write_text("second-one")
    await cluster.get(POD)

    assert [asked.headers["Authorization"] for asked in secured.asked] == ["Bearer first", "Bearer second-one"]


async def test_a_half_written_token_leaves_the_old_one_in_use(
    pod: tuple[ScriptedServer, Path], connect_to: Connect
) -> None:
    secured, account = pod
    cluster = await connect_to(service_account=account)
    (account / "token").write_text("")
    await cluster.get(POD)

    assert secured.asked[0].headers["Authorization"] == "Bearer first"


async def test_a_changed_ca_is_trusted_without_a_restart(
    pod: tuple[ScriptedServer, Path], connect_to: Connect
) -> None:
    """The control plane's certificate is replaced: the library would refuse it until the process restarts."""
    secured, account = pod
    cluster = await connect_to(service_account=account)
    renewed = ScriptedServer()
    await secured.stop()
    await renewed.start(port=secured.port, tls=write_certificate(account, serial=2))
    try:
        with pytest.raises(Unreachable, match=r"not sent: .*certificate verify failed"):
            await cluster.get(POD)
        (account / "ca.crt").write_bytes((account / "ca-2.crt").read_bytes())
        await cluster.get(POD)
    finally:
        await renewed.stop()
    assert len(renewed.asked) == 1


async def test_an_answer_under_way_survives_a_change_of_credentials(
    pod: tuple[ScriptedServer, Path], connect_to: Connect
) -> None:
    """The old connection is closed only after its last answer: a write on it must not lose its reply."""
    secured, account = pod
    cluster = await connect_to(service_account=account)
    secured.answers(HANG, Answer())
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(cluster.get(POD))
        await secured.was_asked()
        (account / "token").write_text("another")
        await cluster.get(POD)
        secured.open_gate()

    assert waiting.result() == {}
    assert len(secured.asked) == 2


async def test_a_401_reads_the_credentials_again_and_repeats_once(
    server: ScriptedServer, connect_to: Connect, tmp_path: Path
) -> None:
    """Also a write: it was turned away before it was handled."""
    (tmp_path / "token").write_text("old")
    config = write_kubeconfig(tmp_path / "config", server.url, tokenFile="token")
    cluster = await connect_to(kubeconfig=config)
    (tmp_path / "token").write_text("new\n")
    server.answers(status(401, "Unauthorized"), Answer(body={"kind": "Pod"}))

    assert await cluster.get(POD) == {"kind": "Pod"}
    assert [asked.headers["Authorization"] for asked in server.asked] == ["Bearer old", "Bearer new"]


async def test_a_second_401_is_forbidden(server: ScriptedServer, connect_to: Connect, tmp_path: Path) -> None:
    """And is not tried for ever."""
    cluster = await connect_to(kubeconfig=write_kubeconfig(tmp_path / "config", server.url, token="t0k"))
    server.answers(status(401, "Unauthorized", "Unauthorized"))

    with pytest.raises(Forbidden, match="401 Unauthorized"):
        await cluster.get(POD)
    assert len(server.asked) == 2


async def test_no_error_text_holds_the_token(server: ScriptedServer, connect_to: Connect, tmp_path: Path) -> None:
    """A proxy's error page may show the headers it got."""
    cluster = await connect_to(kubeconfig=write_kubeconfig(tmp_path / "config", server.url, token="s3cr3t-t0k"))
    server.answers(Answer(400, b"bad header: Authorization: Bearer s3cr3t-t0k"))

    with pytest.raises(Exception, match=r"bad header: Authorization: \[redacted\]"):
        await cluster.get(POD)


@pytest.mark.parametrize("text", ["", "{", "users: [", "kind: Config", '{"contexts": [], "current-context": "x"}'])
async def test_an_unusable_kubeconfig_is_named(tmp_path: Path, connect_to: Connect, text: str) -> None:
    (tmp_path / "config").write_text(text)

    with pytest.raises(ConfigError, match=r"kubeconfig .*config: "):
        await connect_to(kubeconfig=tmp_path / "config")


async def test_a_kubeconfig_error_does_not_quote_the_user_entry(tmp_path: Path, connect_to: Connect) -> None:
    """The library's text for a missing key holds the whole entry with its token."""
    path = write_kubeconfig(tmp_path / "config", "https://127.0.0.1:1", token="s3cr3t-t0k")
    config = json.loads(path.read_text())
    config["users"] = [{"name": "u", "token": "s3cr3t-t0k"}]
    path.write_text(json.dumps(config))

    with pytest.raises(ConfigError) as caught:
        await connect_to(kubeconfig=path)
    assert "s3cr3t" not in str(caught.value)
    assert caught.value.__suppress_context__


async def test_strict_verification_can_be_turned_off() -> None:
    """For a cluster CA without key identifiers, which Python 3.13 refuses."""
    chosen = [(await load(Source(server="https://x", strict_tls=strict), limit_seconds=1)) for strict in (True, False)]

    assert [access.configuration.disable_strict_ssl_verification for access in chosen] == [False, True]


def test_a_pod_account_comes_before_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """$KUBECONFIG, which somebody set on purpose, before both."""
    account, home = tmp_path / "account", tmp_path / "home"
    (home / ".kube").mkdir(parents=True)
    account.mkdir()
    (account / "token").write_text("t")
    (home / ".kube" / "config").write_text("{}")
    (tmp_path / "other").write_text("{}")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.delenv("KUBECONFIG", raising=False)

    def found(context: str | None = None) -> Source:
        return find_source(kubeconfig=None, context=context, server=None, service_account=account)

    in_pod, named_context = found(), found("staging")
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'missing'}:{tmp_path / 'other'}")
    listed = found()

    assert in_pod == Source(service_account=account)
    assert named_context == Source(kubeconfig=str(home / ".kube" / "config"), context="staging")
    assert listed.kubeconfig == f"{tmp_path / 'missing'}:{tmp_path / 'other'}"


def test_without_any_source_the_error_lists_what_was_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KUBECONFIG", "/nowhere/config")

    with pytest.raises(ConfigError, match=r"\$KUBECONFIG \(/nowhere/config\).*service account.*\.kube/config"):
        find_source(kubeconfig=None, context=None, server=None, service_account=tmp_path)


@pytest.mark.parametrize(
    "asked", [{"server": "localhost:8080", "kubeconfig": None}, {"server": None, "kubeconfig": Path("/nowhere/config")}]
)
def test_what_was_given_but_is_not_there_is_an_error(asked: dict[str, Any]) -> None:
    """Never quietly another cluster."""
    with pytest.raises(ConfigError, match=r"nowhere|not a URL"):
        find_source(context=None, **asked)
