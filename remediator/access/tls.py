"""TLS of the listening socket: from certificates on disk to what a connection is served with, and who its client is.

Called by `web_config.py` when files are loaded; `api/server.py` gives the newest to each new connection, and asks
`names_of` who is at the other end.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from remediator.errors import cut

VERSIONS: Mapping[str, ssl.TLSVersion] = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
"""The older two are refused: RFC 8996, and OpenSSL's own level of security."""

CIPHERS: Mapping[str, str] = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_AES_128_GCM_SHA256": "",
    "TLS_AES_256_GCM_SHA384": "",
    "TLS_CHACHA20_POLY1305_SHA256": "",
}
"""Go's name (`crypto/tls` `CipherSuites`) -> OpenSSL's; empty: of TLS 1.3, where none is chosen."""


class ClientAuth(StrEnum):
    """What is asked of clients (Go's `tls.ClientAuthType`, without those that verify nothing)."""

    NONE = "NoClientCert"
    OPTIONAL = "VerifyClientCertIfGiven"
    REQUIRED = "RequireAndVerifyClientCert"


_VERIFY = {
    ClientAuth.NONE: ssl.CERT_NONE,
    ClientAuth.OPTIONAL: ssl.CERT_OPTIONAL,
    ClientAuth.REQUIRED: ssl.CERT_REQUIRED,
}


class UnusableTls(Exception):
    """A certificate, key or suite cannot be used; `field` is the one that names it."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(f"{field}: {text}")
        self.field = field


@dataclass(frozen=True, slots=True)
class TlsFiles:
    cert: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True)
class Tls:
    """What new connections are served with. `allowed_sans` None: any verified certificate, or none.

    `trust` changes with who is let in, not with our own certificate.
    """

    context: ssl.SSLContext
    client_auth: ClientAuth
    allowed_sans: frozenset[str] | None
    trust: str

    def lets_in(self, peer: PeerNames | None) -> bool:
        return self.allowed_sans is None or (peer is not None and not self.allowed_sans.isdisjoint(peer.all))


@dataclass(frozen=True, slots=True)
class PeerNames:
    """The names in a verified client certificate: those of services (DNS, URI), and all of them."""

    services: tuple[str, ...]
    all: tuple[str, ...]


def names_of(certificate: Mapping[str, Any] | None) -> PeerNames | None:
    """Of what `ssl` calls `peercert`, which it fills only once the certificate is verified. None: there is none."""
    if not certificate:
        return None
    names = certificate.get("subjectAltName", ())
    services = tuple(name for kind, name in names if kind in ("DNS", "URI"))
    return PeerNames(services, tuple(name for _, name in names))


def open_tls(
    files: TlsFiles,
    *,
    client_auth: ClientAuth = ClientAuth.NONE,
    allowed_sans: frozenset[str] | None = None,
    versions: tuple[str, str] = ("TLS12", "TLS13"),
    cipher_suites: Sequence[str] = (),
    prefers_ours: bool = True,
) -> Tls:
    """Reads the files. Raises UnusableTls."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version, context.maximum_version = (VERSIONS[name] for name in versions)
    context.set_alpn_protocols(["http/1.1"])
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    if prefers_ours:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    if suites := [name for each in cipher_suites if (name := CIPHERS[each])]:
        context.set_ciphers(":".join(suites))
    _load_own(context, files)
    authorities = b""
    context.verify_mode = _VERIFY[client_auth]
    if files.client_ca is not None:
        authorities = _load_authorities(context, files.client_ca)
    asked = f"{client_auth} {sorted(allowed_sans or ())} {allowed_sans is None}".encode()
    return Tls(context, client_auth, allowed_sans, hashlib.sha256(asked + b"\0" + authorities).hexdigest())


def _load_own(context: ssl.SSLContext, files: TlsFiles) -> None:
    for field, file in (("cert_file", files.cert), ("key_file", files.key)):
        _read(field, file)  # for what is wrong with one of them OpenSSL names neither
    try:
        # Without the callback OpenSSL asks at the terminal, and waits.
        context.load_cert_chain(files.cert, files.key, password=lambda: b"")
    except (ssl.SSLError, OSError, ValueError) as error:
        raise UnusableTls("key_file", f"{files.cert} and {files.key} cannot be used together: {_why(error)}") from error


def _load_authorities(context: ssl.SSLContext, file: Path) -> bytes:
    text = _read("client_ca_file", file)
    try:
        context.load_verify_locations(cadata=text.decode("ascii", "replace"))
    except (ssl.SSLError, ValueError) as error:
        raise UnusableTls("client_ca_file", f"{file} holds no certificates: {_why(error)}") from error
    return text


def _read(field: str, file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UnusableTls(field, f"{file} cannot be read: {error.strerror}") from error


def _why(error: Exception) -> str:
    return cut(getattr(error, "reason", None) or str(error) or type(error).__name__)
