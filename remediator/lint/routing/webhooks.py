"""One webhook of ours in Alertmanager's configuration: does it deliver, safely and all of it? Called by `review.py`.

Source: prometheus/alertmanager `config/notifiers.go` (`WebhookConfig`), prometheus/common `config/http_config.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import urlsplit

from remediator.lint.noted import Noted
from remediator.lint.routing.config import SECRET, Config, Receiver
from remediator.lint.shape import fields
from remediator.model import Json
from remediator.receive.paths import PATHS
from remediator.rules.document import Path
from remediator.rules.report import did_you_mean
from remediator.units import parse_duration

LEAST_TIMEOUT = timedelta(seconds=5)
"""An alert is stored within milliseconds, but a volume can take seconds to sync; a shorter limit sends it twice."""

CREDENTIALS = ("authorization", "basic_auth", "oauth2", "bearer_token", "bearer_token_file", "http_headers")
INLINE = (
    ("authorization", "credentials", "credentials_file"),
    ("basic_auth", "password", "password_file"),
    ("oauth2", "client_secret", "client_secret_file"),
    ("", "bearer_token", "authorization: {credentials_file: ...}"),
)
"""Section, the secret in it, and what to write instead."""


def review_webhooks(receiver: Receiver, config: Config, noted: Noted) -> None:
    """All of one receiver of ours."""
    addresses: dict[str, int] = {}
    for number, (hook, path) in enumerate(receiver.webhooks):
        _Webhook(hook, path, config, noted).all()
        address = str(hook.get("url", ""))
        if address and address != SECRET and address in addresses:
            text = (
                f"webhook {number + 1} posts to the same address as webhook {addresses[address] + 1}: each alert twice"
            )
            noted.warn(config.place(path), text, "take one away", code="webhook-twice")
        addresses.setdefault(address, number)


class _Webhook:
    def __init__(self, hook: Mapping[str, Json], path: Path, config: Config, noted: Noted) -> None:
        self.hook = hook
        self.path = path
        self.config = config
        self.noted = noted
        own = hook.get("http_config")
        self.http: Mapping[str, Json] = own if isinstance(own, dict) else config.http_defaults
        self.http_path: Path = (*path, "http_config") if isinstance(own, dict) else path

    def all(self) -> None:
        self.body()
        self.address()
        self.timeout()
        self.transport()
        self.credentials()

    def body(self) -> None:
        if self.hook.get("send_resolved") is False:
            text = "resolved alerts are not sent: what is well again stays open here"
            self.refuse(("send_resolved",), text, "write send_resolved: true", code="webhook-send-resolved")
        if self.hook.get("max_alerts"):
            text = f"max_alerts: {self.hook['max_alerts']} cuts bodies off: the alerts behind it never arrive"
            self.refuse(("max_alerts",), text, "write max_alerts: 0, and group_by: ['...']", code="webhook-max-alerts")
        if self.hook.get("payload"):
            text = "payload replaces the body by one that is not version 4: it is answered with 400, and lost"
            self.refuse(("payload",), text, "take payload away", code="webhook-payload")

    def address(self) -> None:
        url = str(self.hook.get("url", ""))
        if not url or url == SECRET or "{{" in url:
            return
        parts = urlsplit(url)
        if parts.path.rstrip("/") not in PATHS or parts.path.endswith("/"):
            text = f"nothing is served at {parts.path or '/'}: each delivery would be answered with 404, and lost"
            hint = did_you_mean(parts.path, PATHS) or f"write {PATHS[0]}"
            self.refuse(("url",), text, hint, code="webhook-path")
        has_secret = any(self.http.get(one) for one in CREDENTIALS) or parts.username
        if parts.scheme == "http" and has_secret and not _is_near(parts.hostname or ""):
            text = f"the credential goes in clear text to {parts.hostname}, out of the cluster"
            self.warn(("url",), text, "write https://, with --web.config.file on our side", code="webhook-plain-http")

    def timeout(self) -> None:
        try:
            limit = parse_duration(str(self.hook.get("timeout") or "0"))
        except ValueError:
            return  # Alertmanager refuses it
        if timedelta(0) < limit < LEAST_TIMEOUT:
            text = f"after {self.hook['timeout']} an alert that is being stored is sent once more"
            self.warn(("timeout",), text, "take timeout away, or write 10s", code="webhook-timeout")

    def transport(self) -> None:
        if self.http.get("follow_redirects") is not False:
            text = (
                "redirects are followed, by GET without the body: a redirect would lose every alert and look delivered"
            )
            self.warn_http("follow_redirects", text, "write follow_redirects: false", code="webhook-follow-redirects")
        if fields(self.http.get("tls_config")).get("insecure_skip_verify"):
            text = "whoever answers at this address is believed: it is sent the alerts and the credential"
            path = (*self.http_path, "tls_config", "insecure_skip_verify")
            hint = "write tls_config: {ca_file: ...}"
            self.noted.warn(self.config.place(path, of_key=True), text, hint, code="webhook-tls-skip")

    def credentials(self) -> None:
        tls = fields(self.http.get("tls_config"))
        url = str(self.hook.get("url", ""))
        known = [one for one in CREDENTIALS if self.http.get(one)] + [
            one for one in ("cert", "cert_file") if tls.get(one)
        ]
        if not known and not urlsplit(url).username:
            text = "no credential: whoever reaches the service can post alerts, and so cause actions"
            hint = "add authorization: {credentials_file: ...}; `remediator generate token` makes one"
            self.warn_http("authorization", text, hint, code="webhook-credentials")
        for section, secret, instead in INLINE:
            written = (fields(self.http.get(section)) if section else self.http).get(secret)
            if written and written != SECRET:
                text = f"{secret} stands in the file itself: whoever reads the configuration has it"
                where = (*self.http_path, *((section,) if section else ()), secret)
                place = self.config.place(where, of_key=True)
                self.noted.warn(place, text, f"write it to a file: {instead}", code="webhook-credentials-inline")

    def warn_http(self, name: str, text: str, hint: str, *, code: str) -> None:
        """At the field where it is written, else at the webhook."""
        path = (*self.http_path, name) if name in self.http else self.path
        self.noted.warn(self.config.place(path, of_key=name in self.http), text, hint, code=code)

    def warn(self, path: Path, text: str, hint: str, *, code: str) -> None:
        self.noted.warn(self.config.place((*self.path, *path), of_key=True), text, hint, code=code)

    def refuse(self, path: Path, text: str, hint: str, *, code: str) -> None:
        self.noted.refuse(self.config.place((*self.path, *path), of_key=True), text, hint, code=code)


def _is_near(host: str) -> bool:
    """Whether it is this machine, or a name that only the cluster's own DNS knows."""
    return host in ("localhost", "127.0.0.1", "::1") or "." not in host or ".svc" in host
