"""Settings: their sources, their errors, and what is shown of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from remediator.errors import ConfigError
from remediator.model import Mode
from remediator.settings import Settings


def config(folder: Path, text: str) -> Path:
    file = folder / "remediator.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_flag_wins_over_the_environment_over_the_file_over_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = config(tmp_path, "workers: 5\npoll_seconds: 5\nlease_seconds: 5\n")
    monkeypatch.setenv("REMEDIATOR_WORKERS", "6")
    monkeypatch.setenv("REMEDIATOR_POLL_SECONDS", "6")
    settings = Settings.load(file, {"workers": 7, "grace_seconds": None})
    assert (settings.workers, settings.poll_seconds, settings.lease_seconds) == (7, 6, 5)
    assert settings.grace_seconds == 20


def test_starts_silent_and_without_a_file() -> None:
    assert Settings.load(None, {}).mode is Mode.SILENT


@pytest.mark.parametrize("given", ["a.yaml, b.yaml", ["a.yaml", "b.yaml"], (Path("a.yaml"), Path("b.yaml"))])
def test_lists_come_from_flags_in_every_form(given: Any) -> None:
    assert Settings.load(None, {"rules": given}).rules == (Path("a.yaml"), Path("b.yaml"))


def test_lists_come_from_the_file_and_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMEDIATOR_PROTECTED_NAMESPACES", "kube-system,ci")
    settings = Settings.load(config(tmp_path, "rules: [a.yaml]\n"), {})
    assert settings.rules == (Path("a.yaml"),)
    assert settings.protected_namespaces == ("kube-system", "ci")


def test_ignores_what_kubernetes_puts_into_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Service named remediator makes the kubelet set these in every container."""
    monkeypatch.setenv("REMEDIATOR_PORT", "tcp://10.0.0.1:9095")
    monkeypatch.setenv("REMEDIATOR_SERVICE_HOST", "10.0.0.1")
    Settings.load(None, {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mode: silnet\n", ":1:1: mode: Input should be 'off', 'silent', 'approve' or 'active', not 'silnet'"),
        ("workers: 2\nworker: 3\n", ":2:1: unknown setting 'worker'; did you mean workers?"),
        ("workers: 2\nworkers: 3\n", ":2:1: found duplicate key"),
        ("a: [\n", ":2:1: "),
        ("- a\n", ":1:1: expected a mapping"),
        ("workers: 0\n", ":1:1: workers: Input should be greater than or equal to 1, not 0"),
        ("prometheus_url: prom:9090\n", ":1:1: prometheus_url: String should match pattern"),
        ("web_listen_address: '9095'\n", ":1:1: web_listen_address: expected host:port, :port or [ipv6]:port"),
    ],
)
def test_a_fault_of_the_file_is_named_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    file = config(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        Settings.load(file, {})
    assert str(caught.value).startswith(f"{file}{message}")


def test_a_fault_of_a_flag_or_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"^flag --log-level: log_level: Input should be 'debug', 'info'"):
        Settings.load(None, {"log_level": "loud"})
    with pytest.raises(ConfigError, match="unknown setting 'log_levle'; did you mean log_level"):
        Settings.load(None, {"log_levle": "info"})
    monkeypatch.setenv("REMEDIATOR_MAX_BODY_BYTES", "4MiB")
    with pytest.raises(ConfigError, match=r"^environment REMEDIATOR_MAX_BODY_BYTES: max_body_bytes: "):
        Settings.load(None, {})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.yaml: cannot read the settings"):
        Settings.load(tmp_path / "missing.yaml", {})


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [(":9095", None, 9095), ("127.0.0.1:0", "127.0.0.1", 0), ("[::1]:80", "::1", 80), ("prom:65535", "prom", 65535)],
)
def test_reads_the_listen_address_as_prometheus_does(address: str, host: str | None, port: int) -> None:
    settings = Settings.load(None, {"web_listen_address": address})
    assert (settings.listen_host, settings.listen_port) == (host, port)


@pytest.mark.parametrize("address", ["", "9095", "host:", ":70000", ":http", "host:-1"])
def test_refuses_what_is_no_address(address: str) -> None:
    with pytest.raises(ConfigError, match="expected host:port"):
        Settings.load(None, {"web_listen_address": address})


def test_hosts_of_browsers_are_names_alone() -> None:
    given = ["Ops.Example.org", ".shop.example.net.", "*"]
    settings = Settings.load(None, {"web_allowed_hosts": given, "web_listen_address": "Desk:9095"})
    assert settings.web_allowed_hosts == ("ops.example.org", ".shop.example.net", "*")
    assert settings.known_hosts() == (*settings.web_allowed_hosts, "desk")


@pytest.mark.parametrize("host", ["http://ops", "ops:9095", "ops/x", "*.example.org", "a..b", "-a", "ops example", "ä"])
def test_refuses_what_is_no_host(host: str) -> None:
    with pytest.raises(ConfigError, match="web_allowed_hosts: expected names such as"):
        Settings.load(None, {"web_allowed_hosts": host})


@pytest.mark.parametrize("url", ["postgresql+psycopg://me:hunter2@db/x", "postgresql://:hunter2@db/x"])
def test_never_shows_a_secret(url: str) -> None:
    settings = Settings.load(None, {"storage_url": url, "prometheus_url": "https://u:hunter2@prom"})
    assert "hunter2" not in f"{settings!r} {settings} {settings.shown()}"
    assert settings.storage_url == url


def test_a_secret_is_not_in_an_error_either() -> None:
    with pytest.raises(ConfigError) as caught:
        Settings.load(None, {"prometheus_url": "ftp://u:hunter2@prom"})
    assert "hunter2" not in str(caught.value)


def test_its_own_namespace_is_always_protected() -> None:
    settings = Settings.load(None, {"protected_namespaces": "ci", "own_namespace": "remediator"})
    assert settings.never_touched() == {"ci", "remediator"}


def test_every_setting_is_described() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
