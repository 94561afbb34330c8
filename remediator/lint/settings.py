"""The files that say how the service runs: settings, credentials, web configuration. Called by `check config`.

Each is read as the service reads it, but all mistakes of all files are told at once, with their places; and what can be
used and is probably not meant is a warning. Lines of such a file and passwords in addresses are not repeated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from remediator.access.credentials import CredentialsDocument, load_credentials
from remediator.access.document import read_document
from remediator.access.tls import ClientAuth
from remediator.access.web_config import WebConfig, WebDocument, load_web_config
from remediator.alertmanager.trust import trusting
from remediator.audit.note import BadNote, signing_key
from remediator.errors import ConfigError
from remediator.lint.noted import Noted
from remediator.model import Mode
from remediator.rules.document import Source, read_source
from remediator.rules.report import FileError, Level, Problem
from remediator.rules.ruleset import Place
from remediator.rules.wording import complain, shown
from remediator.settings import Settings, masked
from remediator.store.urls import backend_of, is_postgres, parsed
from remediator.watchdog import awaited

KINDS = ("settings", "credentials", "web")
FILES = (
    "web_config_file",
    "web_credentials_file",
    "audit_key_file",
    "audit_previous_key_file",
    "kubeconfig",
    "alertmanager_token_file",
    "alertmanager_ca_file",
    "prometheus_token_file",
    "prometheus_ca_file",
    "webhook_token_file",
)
"""Settings that name a file which must be there."""

LISTS_OF_FILES = ("rules", "web_token_files")


class _FileSettings(Settings):
    """The settings as a file gives them, whatever the environment says."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


@dataclass(frozen=True, slots=True)
class Checked:
    """What a file is, and what is wrong with it and with those that it names."""

    kind: str
    problems: Sequence[Problem]


def check_file(file: Path, kind: str | None = None) -> Checked:
    """`kind` None: as its fields say."""
    try:
        source = read_source(str(file), file.read_bytes())
    except OSError as error:
        text = f"cannot be read: {error.strerror or error}"
        hint = "look at the path and at who may read it"
        return Checked(kind or "settings", [Problem(str(file), 1, 1, text, hint, "", "unreadable")])
    is_of = kind or _kind_of(source.data)
    match is_of:
        case "credentials":
            problems = _credentials(file)
        case "web":
            problems = _web(file)
        case _:
            problems = _settings(source)
    return Checked(is_of, problems)


def _kind_of(data: object) -> str:
    fields = set(data) if isinstance(data, dict) else set()
    if fields & set(CredentialsDocument.model_fields):
        return "credentials"
    return "web" if fields & set(WebDocument.model_fields) else "settings"


def _credentials(file: Path) -> Sequence[Problem]:
    """By itself: what the web configuration file must have beside it is looked at with the settings that name both."""
    try:
        read_document(file, CredentialsDocument)
    except FileError as error:
        return error.problems
    return []


def _web(file: Path) -> Sequence[Problem]:
    try:
        source, document = read_document(file, WebDocument)
        load_web_config(file)
    except FileError as error:
        return error.problems
    noted = Noted()
    if document.basic_auth_users and document.tls_server_config is None:
        text = "passwords come in clear text: there is no TLS"
        hint = "add tls_server_config: {cert_file: ..., key_file: ...}"
        noted.warn(_place(source, ("basic_auth_users",)), text, hint, code="password-without-tls")
    return _unlined(noted.in_order())


def _settings(source: Source) -> Sequence[Problem]:
    data = {} if source.data is None else source.data
    settings = None
    if not isinstance(data, dict):
        hint = "write setting: value, one a line"
        source.complain(source.spot(()), f"expected settings, got {shown(data)}", hint, code="wrong-type")
    elif not source.problems:
        try:
            settings = _FileSettings.model_validate(data)
        except ValidationError as error:
            complain(source, error, Settings, at=())
    problems = list(_unlined(sorted(source.problems, key=lambda one: (one.line, one.column))))
    if settings is None:
        return problems
    noted = Noted()
    _missing_files(settings, source, noted)
    _unusable(settings, source, noted)
    _storage(settings, source, noted)
    _doubts(settings, source, noted)
    return [*_unlined(noted.in_order()), *_named(settings)]


def _missing_files(settings: Settings, source: Source, noted: Noted) -> None:
    values: Mapping[str, Any] = {name: getattr(settings, name) for name in (*FILES, *LISTS_OF_FILES)}
    for name, value in values.items():
        for number, path in enumerate(value if isinstance(value, tuple) else () if value is None else (value,)):
            if not path.exists():
                at = (name, number) if isinstance(value, tuple) else (name,)
                hint = "write the path as the service sees it, from its own folder"
                noted.refuse(_place(source, at), f"{name}: this file is not here", hint, code="file-missing")


def _unusable(settings: Settings, source: Source, noted: Noted) -> None:
    """What keeps the service from starting, in files that are there and in words that only it understands."""
    try:
        awaited(settings)
    except ConfigError as error:
        hint = "write alertname=\"NAME\", or '' to await none"
        noted.refuse(_place(source, ("watchdog",)), str(error), hint, code="bad-watchdog")
    if (file := settings.alertmanager_ca_file) is not None and file.exists():
        try:
            trusting(file)
        except ConfigError as error:
            noted.refuse(_place(source, ("alertmanager_ca_file",)), str(error), "write PEM to it", code="bad-ca")
    for name in ("audit_key_file", "audit_previous_key_file"):
        file = getattr(settings, name)
        if file is None or not file.exists():
            continue
        try:
            signing_key(settings.audit_key_name, file.read_bytes())
        except (BadNote, OSError) as error:
            hint = "`remediator audit keygen` makes one"
            noted.refuse(_place(source, (name,)), f"{name}: {error}", hint, code="bad-key")


def _storage(settings: Settings, source: Source, noted: Noted) -> None:
    at = _place(source, ("storage_url",))
    try:
        url = parsed(settings.storage_url)
        backend_of(url)
    except ConfigError as error:
        noted.refuse(at, f"storage_url: {error}", "", code="storage-url")
        return
    if not is_postgres(url):
        return
    if url.password is not None:
        hint = "leave it out, and set PGPASSWORD or passfile= (or storage_url in the environment, from a Secret)"
        noted.warn(at, "storage_url: the password of the database stands in this file", hint, code="storage-password")
    if _is_away(url.host) and url.query.get("sslmode") not in ("verify-full", "verify-ca"):
        text = "storage_url: the connection may be read on its way, and another server may answer in its place"
        noted.warn(at, text, "add ?sslmode=verify-full&sslrootcert=FILE", code="storage-without-tls")


def _is_away(host: str | None) -> bool:
    """Whether it is another machine, as far as its name says."""
    return host is not None and host not in ("localhost", "127.0.0.1", "::1") and not host.startswith("/")


def _doubts(settings: Settings, source: Source, noted: Noted) -> None:
    """What can be used, and does less than one thinks, or more."""
    acts = settings.mode in (Mode.ACTIVE, Mode.APPROVE)
    is_open = not (settings.web_credentials_file or settings.web_token_files or settings.web_config_file)
    place = _place(source, ("mode",))
    for code, is_so, text, hint in (
        (
            "mode-without-key",
            acts and settings.audit_key_file is None,
            f"mode {settings.mode}, and nothing will be done: the audit log is not signed",
            "add audit_key_file; `remediator audit keygen` makes one",
        ),
        (
            "mode-without-prometheus",
            acts and settings.prometheus_url is None,
            f"mode {settings.mode}, and nothing will be done: without Prometheus no alert is known to be true still",
            "add prometheus_url",
        ),
        (
            "mode-without-alertmanager",
            acts and not settings.alertmanager_urls,
            "a silence that people set after an alert came is not seen",
            "add alertmanager_urls, of all replicas",
        ),
        (
            "mode-open",
            acts and is_open,
            "whoever reaches the service can cause actions: nobody is asked who they are",
            "add web_credentials_file; `remediator generate token` makes an entry",
        ),
        (
            "any-host",
            is_open and "*" in settings.web_allowed_hosts,
            "a page of any name that is made to point here reads and changes all that a browser can reach",
            "name the hosts that people use, or add web_credentials_file",
        ),
        (
            "key-without-anchor",
            settings.audit_key_file is not None
            and settings.audit_anchor_file is None
            and settings.audit_anchor_configmap is None,
            "without an anchor a person has to confirm the log after each start, before anything is done",
            "add audit_anchor_file or audit_anchor_configmap",
        ),
        (
            "token-without-url",
            settings.webhook_token_file is not None and settings.webhook_url is None,
            "webhook_token_file is used by nothing: there is no webhook_url",
            "add webhook_url",
        ),
        (
            "protected-lost",
            "kube-system" not in settings.protected_namespaces,
            "kube-system is not protected any more: a list given here replaces the default",
            "name kube-system in it as well",
        ),
    ):
        if is_so:
            at = place if code.startswith("mode") else _place(source, ABOUT.get(code, ()))
            noted.warn(at, text, hint, code=code)


ABOUT: Mapping[str, tuple[str, ...]] = {
    "any-host": ("web_allowed_hosts",),
    "key-without-anchor": ("audit_key_file",),
    "token-without-url": ("webhook_token_file",),
    "protected-lost": ("protected_namespaces",),
}


def _named(settings: Settings) -> Iterator[Problem]:
    """The mistakes of the files that the settings name, also of the one beside the other."""
    web, credentials = settings.web_config_file, settings.web_credentials_file
    found: WebConfig | None = WebConfig()
    if web is not None and web.exists():
        problems = _web(web)
        yield from problems
        found = None if any(one.level is Level.ERROR for one in problems) else load_web_config(web)
    tokens = [file for file in settings.web_token_files if file.exists()]
    if found is None or (credentials is not None and not credentials.exists()):
        return
    client_auth = ClientAuth.NONE if found.tls is None else found.tls.client_auth
    try:
        load_credentials(credentials, tokens, users=found.users.keys(), client_auth=client_auth)
    except FileError as error:
        yield from error.problems
    except ConfigError as error:
        yield Problem(str(tokens[0]), 1, 1, str(error), "", "", "bad-token")
    else:
        if credentials is not None:
            yield from _credentials(credentials)


def _place(source: Source, path: tuple[str | int, ...]) -> Place:
    line, column = source.spot(path, of_key=bool(path) and isinstance(path[-1], str))
    return Place(source.file, line + 1, column + 1)


def _unlined(problems: Sequence[Problem]) -> Sequence[Problem]:
    return [replace(problem, source="", text=masked(problem.text), hint=masked(problem.hint)) for problem in problems]
