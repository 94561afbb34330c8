"""How the commands reach a service that asks for TLS, a password or a client certificate: an HTTP configuration file.

In the format of amtool's `--http.config.file`, as far as our web configuration file can ask for it; read only where
`REMEDIATOR_HTTP_CONFIG_FILE` names one, so that the other commands start fast.
Source: prometheus/common `config/http_config.go` (`HTTPClientConfig`).
"""

from __future__ import annotations

import base64
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from remediator.access.document import Written, read_document
from remediator.errors import ConfigError, cut


@dataclass(frozen=True, slots=True)
class HttpClient:
    """The `Authorization` header, and what the service's certificate is verified with; None: none, the system's."""

    authorization: str | None = None
    context: ssl.SSLContext | None = None


class Authorization(Written):
    """`Authorization: <type> <credentials>`."""

    type: str = Field("Bearer", pattern=r"^[A-Za-z]+$")
    credentials: str | None = None
    credentials_file: Path | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.credentials is None) is (self.credentials_file is None):
            raise ValueError("give either credentials or credentials_file")
        return self


class BasicAuth(Written):
    """User and password."""

    username: str = Field(min_length=1)
    password: str | None = None
    password_file: Path | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.password is None) is (self.password_file is None):
            raise ValueError("give either password or password_file")
        return self


class TlsConfig(Written):
    """Who the service must be, and who we are."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None


class HttpDocument(Written):
    """The HTTP configuration file. Names of files in it are relative to it."""

    authorization: Authorization | None = None
    basic_auth: BasicAuth | None = None
    tls_config: TlsConfig | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if self.authorization is not None and self.basic_auth is not None:
            raise ValueError("give either authorization or basic_auth")
        return self


def read_http_config(file: Path) -> HttpClient:
    """Raises ConfigError for the file and for those that it names."""
    _, written = read_document(file, HttpDocument)
    header = None
    if (token := written.authorization) is not None:
        header = f"{token.type} {_said(token.credentials, file, token.credentials_file)}"
    elif (user := written.basic_auth) is not None:
        pair = f"{user.username}:{_said(user.password, file, user.password_file)}"
        header = "Basic " + base64.b64encode(pair.encode()).decode("ascii")
    return HttpClient(header, None if written.tls_config is None else _context(file, written.tls_config))


def _said(here: str | None, beside: Path, name: Path | None) -> str:
    if here is not None:
        return here
    assert name is not None  # the models want one of the two
    try:
        return (beside.parent / name).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{beside.parent / name}: cannot be read: {cut(str(error))}") from error


def _context(beside: Path, written: TlsConfig) -> ssl.SSLContext:
    folder = beside.parent
    try:
        context = ssl.create_default_context(cafile=written.ca_file and folder / written.ca_file)
        if written.cert_file is not None:
            context.load_cert_chain(folder / written.cert_file, written.key_file and folder / written.key_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"{beside}: tls_config cannot be used: {cut(str(error))}") from error
    return context
