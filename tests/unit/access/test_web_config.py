"""The web configuration file: what Prometheus' format says is done, or refused with its place and a reason."""

from __future__ import annotations

import re
import ssl
from pathlib import Path

import bcrypt
import pytest
from structlog.testing import capture_logs

from remediator.access.base import May
from remediator.access.loading import Access, AccessFiles, known_access, load_access
from remediator.access.tls import ClientAuth
from remediator.access.web_config import WebConfig, load_web_config
from remediator.errors import ConfigError
from tests.certificates import Authority
from tests.unit.access.files import SHOP, entry, written

HASH = bcrypt.hashpw(b"correct horse", b"$2b$04$lDuDve7GoLltyvvg9lvy5.").decode()
SERVER = "cert_file: server.crt, key_file: server.key"


EVERYTHING = """\
tls_server_config:
  cert_file: server.crt
  key_file: {folder}/server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: authority.pem
  client_allowed_sans: [am.shop.svc, 'spiffe://shop/am']
  min_version: TLS12
  max_version: TLS13
  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256]
  prefer_server_cipher_suites: true
http_server_config:
  http2: true
  headers:
    Strict-Transport-Security: max-age=31536000
    X-Frame-Options: deny
    X-XSS-Protection: ''
basic_auth_users:
  ada: HASH
""".replace("HASH", HASH)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with certificates."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = Authority(folder)
    authority.server()
    authority.server("locked", pass_phrase=b"secret")
    Authority(folder, "other").server("theirs")
    (folder / "empty.pem").write_text("")
    return folder


def loaded(folder: Path, text: str) -> WebConfig:
    (folder / "web.yaml").write_text(text, encoding="utf-8")
    return load_web_config(folder / "web.yaml")


def test_without_a_file_or_with_an_empty_one_it_is_plain_http(made: Path) -> None:
    assert load_web_config(None) == WebConfig() == loaded(made, "") == loaded(made, "tls_server_config:\n")


def test_the_file_that_prometheus_documents_is_read(made: Path) -> None:
    """All that the format has and we serve, in one."""
    with capture_logs() as log:
        found = loaded(made, EVERYTHING.format(folder=made))
    assert found.tls is not None
    assert (found.tls.client_auth, found.tls.allowed_sans) == (
        ClientAuth.REQUIRED,
        {"am.shop.svc", "spiffe://shop/am"},
    )
    assert found.tls.context.verify_mode is ssl.CERT_REQUIRED
    old = [cipher["name"] for cipher in found.tls.context.get_ciphers() if cipher["protocol"] != "TLSv1.3"]
    assert old == ["ECDHE-ECDSA-AES128-GCM-SHA256"]
    assert found.headers == {"Strict-Transport-Security": "max-age=31536000", "X-Frame-Options": "deny"}
    assert found.users == {"ada": HASH.encode()}
    assert [line["event"] for line in log] == ["http2 is not served, HTTP/1.1 is"]


def test_no_version_below_is_ever_spoken(made: Path) -> None:
    found = loaded(made, f"tls_server_config: {{{SERVER}, min_version: TLS13}}")
    assert found.tls is not None
    assert found.tls.context.minimum_version is ssl.TLSVersion.TLSv1_3
    assert found.tls.context.verify_mode is ssl.CERT_NONE


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tls_server_confg: {}", r"1:1: error: unknown field .* \(did you mean 'tls_server_config'\?\)"),
        ("tls_server_config: {cert_fil: a}", r"unknown field 'cert_fil' \(did you mean 'cert_file'\?\)"),
        ("tls_server_config: {cert_file: server.crt}", "missing field 'key_file'"),
        ("tls_server_config: {cert_file: none.crt, key_file: server.key}", "cert_file: .*none.crt cannot be read"),
        ("tls_server_config: {cert_file: server.crt, key_file: none}", "1:54: error: key_file: .*none cannot be read"),
        ("tls_server_config: {cert_file: server.crt, key_file: theirs.key}", "cannot be used together"),
        ("tls_server_config: {cert_file: locked.crt, key_file: locked.key}", "cannot be used together"),
        ("tls_server_config: {cert_file: empty.pem, key_file: server.key}", "cannot be used together"),
        (f"tls_server_config: {{{SERVER}, client_auth_type: RequireAnyClientCert}}", "nobody verified; use Require"),
        (f"tls_server_config: {{{SERVER}, client_auth_type: RequestClientCert}}", "nobody verified"),
        (f"tls_server_config: {{{SERVER}, client_auth_type: Required}}", "unknown client_auth_type 'Required'"),
        (f"tls_server_config: {{{SERVER}, client_auth_type: VerifyClientCertIfGiven}}", "needs client_ca_file"),
        (f"tls_server_config: {{{SERVER}, client_ca_file: authority.pem}}", "would verify nobody"),
        (
            f"tls_server_config: {{{SERVER}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: empty.pem}}",
            "client_ca_file: .*empty.pem holds no certificates",
        ),
        (
            f"tls_server_config: {{{SERVER}, client_auth_type: VerifyClientCertIfGiven, client_ca_file: authority.pem, "
            "client_allowed_sans: [a]}",
            "client_allowed_sans needs client_auth_type: RequireAndVerifyClientCert",
        ),
        (f"tls_server_config: {{{SERVER}, min_version: TLS10}}", "unknown TLS version 'TLS10'"),
        (f"tls_server_config: {{{SERVER}, min_version: TLS13, max_version: TLS12}}", "min_version is above"),
        (f"tls_server_config: {{{SERVER}, cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]}}", "unknown cipher suite"),
        (f"tls_server_config: {{{SERVER}, cipher_suites: [TLS_AES_128_GCM_SHA256]}}", "leave TLS 1.2 none"),
        (f"tls_server_config: {{{SERVER}, curve_preferences: [X25519]}}", "curves cannot be chosen"),
        ("tls_server_config: {cert: x, key: y}", "write the key to a file and name it as key_file"),
        ("http_server_config: {headers: {X-Powered-By: us}}", "unknown field 'X-Powered-By'"),
        ("http_server_config: {headers: {X-Frame-Options: allow}}", "unknown X-Frame-Options 'allow'"),
        ('http_server_config: {headers: {X-XSS-Protection: "a\\nb"}}', "a header is one line"),
        ("basic_auth_users: {ada: correct horse}", "1:25: error: expected the password's bcrypt hash"),
        ("basic_auth_users: {ada: $2y$31$" + "a" * 53 + "}", "cost of a bcrypt hash must be 4 to 16, got 31"),
        (f"basic_auth_users: {{'a:b': {HASH}}}", "no colon"),
        ("rate_limit: {interval: 1s, burst: 1}", "1:13: error: it answers 429"),
        ("[a]", "expected fields"),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_place(made: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(made, text)
    assert str(caught.value).startswith(f"{made / 'web.yaml'}:1:")
    assert re.search(said, str(caught.value)), str(caught.value)
    assert "correct horse" not in str(caught.value), "what is written by mistake is not repeated"


def test_a_certificate_that_changes_changes_the_files_but_not_who_is_trusted(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.server()
    text = f"{{{SERVER}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: authority.pem}}"
    (tmp_path / "web.yaml").write_text(f"tls_server_config: {text}", encoding="utf-8")
    access = known_access(AccessFiles(web_config=tmp_path / "web.yaml"))
    assert not access.is_changed()
    before = trust_of(access.current)
    authority.server()
    assert access.is_changed()
    access.reload()
    assert trust_of(access.current) == before
    (tmp_path / "server.key").write_text("half a k")
    with pytest.raises(ConfigError, match="key_file"):
        access.reload()
    assert not access.is_changed(), "it was tried"
    authority.server()
    Authority(tmp_path, "authority").server()
    access.reload()
    assert trust_of(access.current) != before


def trust_of(access: Access) -> str:
    assert access.web.tls is not None
    return access.web.tls.trust


def test_tls_does_not_come_or_go_while_it_runs(made: Path) -> None:
    (made / "web.yaml").write_text(f"tls_server_config: {{{SERVER}}}", encoding="utf-8")
    with_tls = load_access(AccessFiles(web_config=made / "web.yaml"))
    (made / "web.yaml").write_text("", encoding="utf-8")
    without = load_access(AccessFiles(web_config=made / "web.yaml"))
    for before in (with_tls, without):
        (made / "web.yaml").write_text("" if before is with_tls else f"tls_server_config: {{{SERVER}}}")
        with pytest.raises(ConfigError, match="needs a restart"):
            load_access(AccessFiles(web_config=made / "web.yaml"), before=before)


def test_what_was_closed_is_not_opened_while_it_runs(tmp_path: Path) -> None:
    file = tmp_path / "web.yaml"
    file.write_text(f"basic_auth_users: {{ada: {HASH}}}", encoding="utf-8")
    access = known_access(AccessFiles(web_config=file))
    file.write_text("basic_auth_users:\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="nobody is known any more"):
        access.reload()
    assert not access.current.is_open(May.ALERT)
    file.write_text(f"basic_auth_users: {{bob: {HASH}}}", encoding="utf-8")
    access.reload()
    assert list(access.current.web.users) == ["bob"]
    assert load_access(AccessFiles(web_config=tmp_path / "web.yaml"), before=Access()).credentials.users


def test_both_files_together_say_who_is_known(made: Path, tmp_path: Path) -> None:
    (made / "web.yaml").write_text(f"basic_auth_users: {{ada: {HASH}}}", encoding="utf-8")
    ada = entry("ada", basic_auth_user="ada", may="[read]")
    file = written(tmp_path, entry("shop", SHOP, namespaces="[shop]"), ada)
    found = load_access(AccessFiles(file, (), made / "web.yaml"))
    assert found.credentials.users["ada"].name == "ada"
    assert not found.is_open(May.READ)
    with pytest.raises(ConfigError, match="no such user"):
        load_access(AccessFiles(file))


@pytest.mark.parametrize(
    ("may", "is_open"), [("[alert]", True), ("[operate]", True), ("[read]", False), ("[alert, read]", False)]
)
def test_reading_is_closed_where_it_is_said_who_may(tmp_path: Path, may: str, is_open: bool) -> None:
    limits = {"namespaces": "['.*']"} if "alert" in may else {}
    access = load_access(AccessFiles(written(tmp_path, entry("a", SHOP, may=may, **limits))))
    assert [access.is_open(need) for need in May] == [False, False, is_open]
    assert all(Access().is_open(need) for need in May)
