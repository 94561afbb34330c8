"""Process settings: what a flag, the environment or a file can say about how the service runs.

Read once at start by `cli/` (`Settings.load`) and handed on by `app.py`; frozen. Rules are not settings.
A flag wins over the environment (`REMEDIATOR_<NAME>`), that over the file, that over the default.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from remediator.errors import ConfigError, cut
from remediator.model import Mode

SERVICE_ACCOUNT_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
KILL_SWITCH_NAME = "remediator-kill-switch"
_USERINFO = re.compile(r"(?<=://)([^/@:]*):?[^/@]*@")
_LISTS = (
    "rules",
    "alertmanager_urls",
    "alertmanager_receivers",
    "web_token_files",
    "web_allowed_hosts",
    "protected_namespaces",
)
_HOST = re.compile(r"\*|\.?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")

Strings = Annotated[tuple[str, ...], NoDecode]
Paths = Annotated[tuple[Path, ...], NoDecode]


class Settings(BaseSettings):
    """All process settings. In the environment, lists are separated by commas.

    Unknown variables of the environment are ignored, since Kubernetes itself sets `REMEDIATOR_PORT` and the like for a
    Service of that name; unknown keys of the file and unknown flags are refused.
    """

    model_config = SettingsConfigDict(env_prefix="REMEDIATOR_", frozen=True, extra="forbid", validate_default=False)

    web_listen_address: str = Field(
        ":9095", description="Where HTTP is served, as host:port. An empty host means all addresses."
    )
    web_enable_lifecycle: bool = Field(False, description="Whether POST /-/reload is answered. SIGHUP always reloads.")
    web_config_file: Path | None = Field(
        None,
        description="Web configuration file in the Prometheus format: TLS, client certificates, users with passwords, "
        "headers. None: plain HTTP.",
    )
    web_credentials_file: Path | None = Field(
        None,
        description="File of credentials: what each may, and for which receivers, namespaces and rules.",
    )
    web_token_files: Paths = Field(
        (),
        description="Files with one bearer token each, all valid at once, for rotation, and each with full authority: "
        "the simple form of the credentials file. Without either there is no authentication.",
    )
    web_allowed_hosts: Strings = Field(
        (),
        description="Names by which browsers may come where nobody has to say who they are: of a host, of all below a "
        "domain (`.example.org`), or `*` for any, which lets a page whose name is made to point here read and change "
        "all. Always known: addresses, localhost, names without a dot, that of web_listen_address and, in a cluster, "
        "those of our namespace (`NAME.NAMESPACE.svc`). Alertmanager, Prometheus and the commands may use any.",
    )
    max_body_bytes: int = Field(
        4 * 1024 * 1024,
        ge=64 * 1024,
        le=256 * 1024 * 1024,
        description="Largest webhook body in bytes. A larger one is answered with 413, which Alertmanager does not "
        "retry within the flush. An alert takes about 850 bytes.",
    )
    web_max_connections: int = Field(
        256,
        ge=16,
        le=65536,
        description="How many clients may be connected at once. Above it, who waits longest without a request goes.",
    )
    web_max_connections_per_peer: int = Field(
        32,
        ge=1,
        le=65536,
        description="How many of them may have the same address. Raise it where all come through one proxy.",
    )
    max_waiting: int = Field(
        20_000,
        ge=100,
        le=10_000_000,
        description="Remediations that may be undecided or under way at once. A body that would begin more is answered "
        "with 503, and Alertmanager sends it again.",
    )
    storage_url: str = Field(
        "sqlite:///remediator.db",
        description="Database: sqlite:///FILE, or postgresql://USER@HOST/DATABASE for several replicas, which needs "
        "the extra postgres. libpq's parameters may follow (?sslmode=verify-full&sslrootcert=FILE), and its variables "
        "count (PGPASSWORD, PGPASSFILE).",
    )
    audit_key_file: Path | None = Field(
        None,
        description="File with the Ed25519 private key (PEM) that signs the audit log. None: the log is kept and not "
        "signed, and nothing is done to the cluster.",
    )
    audit_previous_key_file: Path | None = Field(
        None,
        description="The key before, for the start at which the new one takes its place; with several replicas until "
        "all of them have started with both. Who has the old one alone does nothing to the cluster meanwhile.",
    )
    audit_key_name: str = Field(
        "remediator",
        pattern=r"^[^\s+]+$",
        max_length=200,
        description="Name of the key in signatures and in the lists of those who trust it.",
    )
    audit_anchor_file: Path | None = Field(
        None,
        description="File outside the database's disk that remembers the newest checkpoint of the audit log, so that "
        "an older database in its place is noticed.",
    )
    audit_anchor_configmap: str | None = Field(
        None,
        pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?/[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$",
        description="NAMESPACE/NAME of a ConfigMap that does so. Without any anchor a person must confirm the log "
        "after each start, before anything is done to the cluster.",
    )
    retention_days: float | None = Field(
        None,
        ge=30,
        le=36500,
        description="How long records and what has ended are kept, in days; hashes and checkpoints stay. None: always.",
    )
    rules: Paths = Field((), description="Rule files, in order. Empty: the table shipped with remediator.")
    mode: Mode = Field(
        Mode.SILENT, description="The most that any rule may do: off, silent (recommend only), approve or active."
    )
    cluster_name: str = Field(
        "default", min_length=1, max_length=253, pattern=r"^[^/\s]+$", description="Name of the cluster in records."
    )
    kubeconfig: Path | None = Field(
        None, description="Kubeconfig file. None: the service account when in a cluster, else kubectl's default."
    )
    kube_context: str | None = Field(None, description="Context of the kubeconfig. None: its current context.")
    kube_server: str | None = Field(
        None, pattern=r"^https?://", description="Plain URL of an API server without credentials, for tests and demos."
    )
    prometheus_url: str | None = Field(
        None,
        pattern=r"^https?://",
        description="Base URL of Prometheus. None: what needs metrics is unknown, and does not act.",
    )
    alertmanager_urls: Strings = Field(
        (),
        description="Base URLs of all replicas of Alertmanager, asked before each write whether the alert is still "
        "there and nobody silenced it. Empty: only what it delivered is known.",
    )
    alertmanager_receivers: Strings = Field(
        (),
        description="Names of the receivers that lead here, as Alertmanager's configuration has them. Empty: those "
        "with `remediator` in the name.",
    )
    alertmanager_credential: str | None = Field(
        None,
        max_length=300,
        description="Name of the credential under whose authority alerts are taken that Alertmanager lists and that "
        "never came. None: the only one that may alert; of several nobody knows which, and they are only told.",
    )
    reconcile_seconds: float = Field(
        300,
        ge=0,
        le=86400,
        description="How often what Alertmanager lists is compared with what came, in seconds, and how long the "
        "webhook has for an alert; 0: never. Needs alertmanager_urls.",
    )
    alertmanager_token_file: Path | None = Field(None, description="File with a bearer token for Alertmanager.")
    alertmanager_ca_file: Path | None = Field(None, description="CA bundle (PEM) for Alertmanager. None: the system's.")
    watchdog: str = Field(
        'alertname="Watchdog"',
        max_length=1000,
        description="Matchers of the alert that always fires and proves, routed here, that alerts arrive. It begins no "
        "incident. From its first firing on, what is resolved counts only once it fired after that. Empty: none "
        "is awaited, and one that was known is forgotten.",
    )
    watchdog_absent_seconds: float = Field(
        900,
        gt=0,
        le=86400,
        description="How long without the watchdog alert is absence, in seconds: more than twice the repeat_interval "
        "and the group_interval of its route together.",
    )
    watchdog_confirm_seconds: float = Field(
        120,
        gt=0,
        le=3600,
        description="How long after a resolution the watchdog must fire to confirm it, in seconds: more than "
        "Prometheus' `--rules.alert.resend-delay` (1m) and the group_interval of its route.",
    )
    prometheus_token_file: Path | None = Field(
        None,
        description="File with a bearer token for Prometheus. None: the password that ~/.netrc has for its host, which "
        "no other client here looks at, or none.",
    )
    prometheus_ca_file: Path | None = Field(None, description="CA bundle (PEM) for Prometheus. None: the system's.")
    webhook_url: str | None = Field(
        None,
        pattern=r"^https?://",
        description="Where every decision and deed is posted as a CloudEvent 1.0, at least once. None: nowhere.",
    )
    webhook_token_file: Path | None = Field(None, description="File with a bearer token for the webhook.")
    otlp_endpoint: str | None = Field(
        None,
        pattern=r"^https?://",
        description="OTLP/HTTP endpoint for traces, with its path (needs the extra `otlp`). None: no traces.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe level printed.")
    log_format: Literal["logfmt", "json", "console"] = Field("logfmt", description="Form of a log line on stderr.")
    events: bool = Field(True, description="Whether Kubernetes Events are written on the objects concerned.")
    workers: int = Field(4, ge=1, le=256, description="How many remediations run at once in this process.")
    lease_seconds: float = Field(
        60, ge=5, le=3600, description="How long a worker's claim holds unless renewed, in seconds."
    )
    grace_seconds: float = Field(
        20, ge=0, le=600, description="How long running work may take to finish after SIGTERM, in seconds."
    )
    poll_seconds: float = Field(1, gt=0, le=60, description="How often an idle worker looks for due work, in seconds.")
    rollout_poll_seconds: float = Field(
        15, ge=0, le=60, description="How often Deployments are looked at for new rollouts, in seconds; 0: never."
    )
    score_poll_seconds: float = Field(
        30,
        ge=0,
        le=600,
        description="How often the target of a recommendation is looked at afterwards, in seconds; 0: never, and then "
        "nothing is judged but by people.",
    )
    score_window_seconds: float = Field(
        3600,
        ge=300,
        le=86400,
        description="How long after a recommendation it is awaited what happens without us, in seconds.",
    )
    promote_min_decisions: int = Field(
        20, ge=5, le=10000, description="Decisions known to be right or wrong that a rule needs for its next mode."
    )
    promote_min_right_ratio: float = Field(
        0.95, ge=0.5, le=1, description="Share of these that must have been right, 0.5 to 1."
    )
    promote_max_harmful: int = Field(
        0, ge=0, le=100, description="How many of its decisions may be such that they would have been harmful."
    )
    reload_poll_seconds: float = Field(
        30,
        ge=0,
        le=3600,
        description="How often rules, credentials, certificates and Alertmanager's CA are compared with what is "
        "loaded, in seconds; 0: only on request.",
    )
    protected_namespaces: Strings = Field(
        ("kube-system", "kube-public", "kube-node-lease", "monitoring", "observability", "openshift-monitoring"),
        description="Namespaces in which nothing is ever changed. A list given here replaces the default.",
    )
    kill_switch_configmap: str | None = Field(
        None,
        pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?/[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$",
        description="NAMESPACE/NAME of the ConfigMap whose `engaged: \"true\"` stops every write. It need not exist; "
        "one that cannot be read is taken for engaged. None: remediator-kill-switch in its own namespace, if any.",
    )
    own_namespace: str | None = Field(
        None, description="The namespace remediator runs in, always protected. None: the service account's, if any."
    )

    @classmethod
    def load(cls, config_file: Path | None, overrides: Mapping[str, Any]) -> Self:
        """Settings from all sources; `overrides` are the flags that were given, by field name.

        Raises ConfigError naming the field, where its value came from, and what is allowed.
        """
        places: dict[str, str] = {}
        from_file = _read_file(config_file, places, known=tuple(cls.model_fields)) if config_file else {}
        given = {name: value for name, value in overrides.items() if value is not None}
        given["config_file_values"] = from_file
        try:
            return cls(**given)
        except ValidationError as error:
            raise ConfigError(_explain(error, places, given)) from error

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        flags = dict(init_settings())
        from_file = flags.pop("config_file_values", {})
        return (lambda: flags, env_settings, lambda: from_file)  # type: ignore[return-value]

    @field_validator(*_LISTS, mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return tuple(value) if isinstance(value, list) else value

    @field_validator("web_listen_address")
    @classmethod
    def _is_address(cls, value: str) -> str:
        _, colon, port = value.rpartition(":")
        if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise ValueError("expected host:port, :port or [ipv6]:port, port 0 to 65535")
        return value

    @field_validator("web_allowed_hosts")
    @classmethod
    def _are_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        hosts = tuple(one.lower().removesuffix(".") for one in value)
        if any(_HOST.fullmatch(one) is None for one in hosts):
            raise ValueError("expected names such as remediator.example.org or .example.org, without scheme and port")
        return hosts

    @field_validator("alertmanager_urls")
    @classmethod
    def _are_urls(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            try:
                parts = urlsplit(one)
                is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
            except ValueError:  # a port that is no number, half an IPv6 address
                is_url = False
            if not is_url:
                raise ValueError("expected http://host:port or https://host:port of each replica")
        return value

    @property
    def listen_host(self) -> str | None:
        """The address to bind; None: all."""
        return self.web_listen_address.rpartition(":")[0].strip("[]") or None

    @property
    def listen_port(self) -> int:
        return int(self.web_listen_address.rpartition(":")[2])

    def known_hosts(self) -> tuple[str, ...]:
        """Names of the service that settings say, in lower case."""
        return (*self.web_allowed_hosts, *([self.listen_host.lower()] if self.listen_host else []))

    def switch_in_cluster(self) -> tuple[str, str] | None:
        """Namespace and name of the ConfigMap that is the kill switch; None: there is none."""
        if self.kill_switch_configmap is not None:
            namespace, _, name = self.kill_switch_configmap.partition("/")
            return namespace, name
        own = self.home()
        return (own, KILL_SWITCH_NAME) if own else None

    def never_touched(self) -> frozenset[str]:
        """The protected namespaces and our own. Reads the service account's file when `own_namespace` is not set."""
        own = self.home()
        return frozenset((*self.protected_namespaces, *([own] if own else [])))

    def home(self) -> str | None:
        """Our own namespace; None: not in a cluster, as far as anybody says."""
        if self.own_namespace is None and SERVICE_ACCOUNT_NAMESPACE.is_file():
            return SERVICE_ACCOUNT_NAMESPACE.read_text(encoding="utf-8").strip() or None
        return self.own_namespace

    def shown(self) -> dict[str, Any]:
        """All values as JSON, credentials in URLs replaced: for `/api/v1/status/config` and the log."""
        values: dict[str, Any] = self.model_dump(mode="json")
        return {name: masked(value) if isinstance(value, str) else value for name, value in values.items()}

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in self.shown().items())})"

    __str__ = __repr__


def masked(text: str) -> str:
    """The text without the passwords of addresses in it."""
    return _USERINFO.sub(r"\1:<secret>@", text)


def _read_file(path: Path, places: dict[str, str], *, known: tuple[str, ...]) -> dict[str, Any]:
    """The file's mapping; `places` gets `file:line:column` for each key."""
    try:
        loaded = YAML(typ="rt", pure=True).load(path.read_text(encoding="utf-8"))
    except MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise ConfigError(f"{where}: {cut(str(error.problem))}") from error
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise ConfigError(f"{path}: cannot read the settings: {cut(str(error))}") from error
    if loaded is None:
        return {}
    if not isinstance(loaded, CommentedMap):
        raise ConfigError(f"{path}:1:1: expected a mapping of setting to value")
    for name in loaded:
        line, column = loaded.lc.key(name)
        places[str(name)] = f"{path}:{line + 1}:{column + 1}"
        if name not in known:
            raise ConfigError(f"{places[str(name)]}: {_unknown(str(name), known)}")
    return {name: list(value) if isinstance(value, list) else value for name, value in loaded.items()}


def _unknown(name: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
    return f"unknown setting {cut(name, max_length=60)!r}; {hint}"


def _explain(error: ValidationError, places: Mapping[str, str], flags: Mapping[str, Any]) -> str:
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0])
    if first["type"] == "extra_forbidden":
        return _unknown(name, tuple(Settings.model_fields))
    variable = f"REMEDIATOR_{name.upper()}"
    if name in flags:
        source = f"flag --{name.replace('_', '-')}"
    elif any(known.upper() == variable for known in os.environ):
        source = f"environment {variable}"
    else:
        source = places.get(name, "default")
    problem = first["msg"].removeprefix("Value error, ")
    return f"{source}: {name}: {problem}, not {cut(masked(repr(first['input'])), max_length=80)}"
