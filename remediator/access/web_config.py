"""The web configuration file in the Prometheus format: TLS, headers, users with passwords. `--web.config.file`.

What is asked for here and cannot be given stops the start: nothing of it is quietly left out. Two words of the format
mean less here: `http2` (HTTP/1.1 is served) and `prefer_server_cipher_suites`, which only orders TLS 1.2.
Source: prometheus/exporter-toolkit `docs/web-configuration.md`, `web/tls_config.go`, `web/handler.go`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import structlog
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from remediator.access.document import Written, read_document, refuse_if_wrong
from remediator.access.tls import CIPHERS, VERSIONS, ClientAuth, Tls, TlsFiles, UnusableTls, open_tls
from remediator.errors import ConfigError
from remediator.rules.names import known

_log = structlog.get_logger(__name__)

BCRYPT = re.compile(r"\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53}")
MAX_COST = 16
"""Of bcrypt: 65,536 rounds, some 5 seconds of one core for each new password that is offered."""


def _refuse(instead: str) -> BeforeValidator:
    """For a field of the format that we know and do not serve."""

    def refuse(_: Any) -> Any:
        raise ValueError(instead)

    return BeforeValidator(refuse)


def _user(name: str) -> str:
    if not name or ":" in name or len(name) > 200 or not name.isprintable():
        raise ValueError("a user's name has 1 to 200 printable characters and no colon (RFC 7617)")
    return name


def _hash(value: Any) -> Any:
    # Without the value, which may be the password itself, by mistake.
    found = BCRYPT.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("expected the password's bcrypt hash, as `htpasswd -nBC 10 USER` prints it")
    if not 4 <= int(found[1]) <= MAX_COST:
        raise ValueError(f"the cost of a bcrypt hash must be 4 to {MAX_COST}, got {int(found[1])}")
    return value.encode("ascii")


User = Annotated[str, AfterValidator(_user)]
Hash = Annotated[bytes, BeforeValidator(_hash)]


def _auth_type(value: Any) -> Any:
    if value in ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert"):
        raise ValueError(f"{value} takes certificates that nobody verified; use RequireAndVerifyClientCert")
    return value


class TlsServerConfig(Written):
    """How connections are encrypted, and which client certificates are asked for."""

    cert_file: Path = Field(description="Certificate with its chain, PEM.")
    key_file: Path = Field(description="Its key, PEM, without a pass phrase.")
    client_auth_type: Annotated[ClientAuth, BeforeValidator(_auth_type)] = Field(
        ClientAuth.NONE, description="NoClientCert, VerifyClientCertIfGiven or RequireAndVerifyClientCert."
    )
    client_ca_file: Path | None = Field(None, description="Who signs client certificates, PEM.")
    client_allowed_sans: tuple[Annotated[str, Field(min_length=1)], ...] | None = Field(
        None, min_length=1, description="A client certificate must have one of these names (DNS, IP, e-mail or URI)."
    )
    min_version: Annotated[str, known("TLS version", VERSIONS)] = Field("TLS12", description="TLS12 or TLS13.")
    max_version: Annotated[str, known("TLS version", VERSIONS)] = Field("TLS13", description="TLS12 or TLS13.")
    cipher_suites: tuple[Annotated[str, known("cipher suite", CIPHERS)], ...] = Field(
        (), description="Of TLS 1.2, by Go's names. Those of TLS 1.3 are not chosen."
    )
    prefer_server_cipher_suites: bool = Field(True, description="Whether the order above holds, or the client's.")
    cert: Annotated[Any, _refuse("write the certificate to a file and name it as cert_file")] = None
    key: Annotated[Any, _refuse("write the key to a file and name it as key_file")] = None
    client_ca: Annotated[Any, _refuse("write the certificates to a file and name it as client_ca_file")] = None
    curve_preferences: Annotated[Any, _refuse("curves cannot be chosen; take it away")] = None

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        verifies = self.client_auth_type is not ClientAuth.NONE
        if verifies and self.client_ca_file is None:
            raise ValueError(f"{self.client_auth_type.value} needs client_ca_file")
        if self.client_ca_file is not None and not verifies:
            raise ValueError("client_ca_file without a client_auth_type would verify nobody")
        if self.client_allowed_sans is not None and self.client_auth_type is not ClientAuth.REQUIRED:
            raise ValueError("client_allowed_sans needs client_auth_type: RequireAndVerifyClientCert")
        if VERSIONS[self.min_version] > VERSIONS[self.max_version]:
            raise ValueError("min_version is above max_version")
        if self.cipher_suites and self.min_version == "TLS12" and not any(CIPHERS[name] for name in self.cipher_suites):
            raise ValueError("cipher_suites leave TLS 1.2 none; say min_version: TLS13")
        return self


class Headers(Written):
    """Headers of every answer, in place of our own."""

    strict_transport_security: str | None = Field(None, alias="Strict-Transport-Security")
    content_type_options: Literal["nosniff"] | None = Field(None, alias="X-Content-Type-Options")
    frame_options: Literal["deny", "sameorigin"] | None = Field(None, alias="X-Frame-Options")
    xss_protection: str | None = Field(None, alias="X-XSS-Protection")
    content_security_policy: str | None = Field(None, alias="Content-Security-Policy")

    @model_validator(mode="after")
    def _are_lines(self) -> Self:
        if any(not text.isprintable() for text in self.model_dump().values() if text is not None):
            raise ValueError("a header is one line of printable characters")
        return self


class HttpServerConfig(Written):
    """How HTTP is answered."""

    http2: bool = Field(True, description="Taken and not heeded: HTTP/1.1 is served.")
    headers: Headers | None = None


class WebDocument(Written):
    """The web configuration file."""

    tls_server_config: TlsServerConfig | None = None
    http_server_config: HttpServerConfig | None = None
    basic_auth_users: dict[User, Hash] | None = None
    rate_limit: Annotated[
        Any, _refuse("it answers 429, after which Alertmanager does not try again: alerts would be lost; take it away")
    ] = None


@dataclass(frozen=True, slots=True)
class WebConfig:
    """How the service is reached. `headers` of every answer; `users`: user -> bcrypt hash. `tls` None: plain HTTP."""

    tls: Tls | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    users: Mapping[str, bytes] = field(default_factory=dict)


def load_web_config(file: Path | None) -> WebConfig:
    """Raises ConfigError with every mistake and its place; also for certificates that cannot be used."""
    if file is None:
        return WebConfig()
    source, document = read_document(file, WebDocument)
    http = document.http_server_config
    headers = {} if http is None or http.headers is None else http.headers.model_dump(by_alias=True)
    written, tls = document.tls_server_config, None
    if written is not None:
        try:
            tls = open_tls(
                _files(file, written),
                client_auth=written.client_auth_type,
                allowed_sans=None if written.client_allowed_sans is None else frozenset(written.client_allowed_sans),
                versions=(written.min_version, written.max_version),
                cipher_suites=written.cipher_suites,
                prefers_ours=written.prefer_server_cipher_suites,
            )
        except UnusableTls as error:
            source.complain(source.spot(("tls_server_config", error.field)), str(error), code="unusable-tls")
    refuse_if_wrong(source)
    if http is not None and http.http2 and "http2" in http.model_fields_set:
        _log.info("http2 is not served, HTTP/1.1 is", file=str(file))
    return WebConfig(
        tls=tls,
        headers={name: text for name, text in headers.items() if text},
        users=document.basic_auth_users or {},
    )


def certificate_files(file: Path | None) -> Iterator[Path]:
    """The files that the web configuration file names, to watch them; none while it cannot be read."""
    if file is None:
        return
    try:
        _, document = read_document(file, WebDocument)
    except ConfigError:
        return
    if document.tls_server_config is not None:
        files = _files(file, document.tls_server_config)
        yield from (one for one in (files.cert, files.key, files.client_ca) if one is not None)


def _files(file: Path, written: TlsServerConfig) -> TlsFiles:
    """Relative names are beside the web configuration file."""
    client_ca = None if written.client_ca_file is None else file.parent / written.client_ca_file
    return TlsFiles(file.parent / written.cert_file, file.parent / written.key_file, client_ca)
