"""`check config` tells all mistakes of settings, credentials and web configuration, of each beside the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from remediator.lint.settings import check_file
from remediator.rules.report import Level, Problem
from tests.logkeys import PEM

GOOD_HASH = "$2b$10$Y7rJQ1QW0T8rHq3b9yOe8u0rVbq3x7Y8QmGQ0hJYd0Vw0mS5y9yqK"
DIGEST = "a" * 64
ACTIVE = "mode: active\nprometheus_url: http://p:9090\nalertmanager_urls: [http://a:9093]\n"


def codes(problems: list[Problem]) -> list[str]:
    return [f"{one.line}:{one.column} {one.code}" for one in problems]


def check(folder: Path, text: str, kind: str | None = None, **others: str) -> list[Problem]:
    for name, content in others.items():
        (folder / name).write_text(content, encoding="utf-8")
    file = folder / "file.yaml"
    file.write_text(text.replace("HERE", str(folder)), encoding="utf-8")
    return list(check_file(file, kind).problems)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("mode: silent\n", "settings"),
        ("", "settings"),
        (f"credentials: [{{name: a, token_sha256: [{DIGEST}], namespaces: [shop]}}]\n", "credentials"),
        ("tls_server_config: {cert_file: a, key_file: b}\n", "web"),
        (f"basic_auth_users: {{ada: {GOOD_HASH}}}\n", "web"),
    ],
)
def test_a_file_is_what_its_fields_say(tmp_path: Path, text: str, kind: str) -> None:
    file = tmp_path / "file.yaml"
    file.write_text(text, encoding="utf-8")
    assert check_file(file).kind == kind


@pytest.mark.parametrize(
    ("text", "found", "said"),
    [
        ("mode: actve\n", "1:7 unknown-name", "did you mean 'active'?"),
        ("moed: active\n", "1:1 unknown-field", "did you mean 'mode'?"),
        ("workers: 0\n", "1:10 wrong-value", "must be at least 1, got 0"),
        ("workers: many\n", "1:10 wrong-value", "expected a whole number, got 'many'"),
        ("mode: silent\nmode: active\n", "2:1 duplicate-field", "first given in line 1"),
        ("prometheus_url: prometheus:9090\n", "1:17 wrong-value", "begins with https:// or http://"),
        ("web_listen_address: '9095'\n", "1:21 wrong-value", "host:port"),
        ("kill_switch_configmap: stop\n", "1:24 wrong-value", "expected NAMESPACE/NAME"),
        ("web_allowed_hosts: ['http://ops']\n", "1:20 wrong-value", "without scheme and port"),
        ("alertmanager_urls: ['am:9093']\n", "1:20 wrong-value", "expected http://host:port"),
        ("alertmanager_urls: ['http://am:port']\n", "1:20 wrong-value", "expected http://host:port"),
        ("watchdog: severity=none\n", "1:1 bad-watchdog", 'write alertname="NAME"'),
        ("watchdog: 'a=~('\n", "1:1 bad-watchdog", "watchdog: "),
        ("alertmanager_ca_file: HERE/file.yaml\n", "1:1 bad-ca", "holds no certificate (PEM)"),
        ("audit_previous_key_file: HERE/file.yaml\n", "1:1 bad-key", "not a private key in PEM"),
        ("- mode\n", "1:1 wrong-type", "write setting: value"),
        ("mode: [active\n", "2:1 yaml-syntax", "bracket"),
        ("prometheus_token_file: HERE/none\n", "1:1 file-missing", "this file is not here"),
        ("rules: [HERE/none]\n", "1:9 file-missing", "this file is not here"),
        ("storage_url: mysql://h/d\n", "1:1 storage-url", "write sqlite:///path or postgresql://"),
        ("storage_url: 'postgresql://ada:s3cret@h:p/d'\n", "1:1 storage-url", "cannot be read"),
        ("storage_url: 'postgresql://h/d?password=s3cret'\n", "1:1 storage-url", "its password as a parameter"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, text: str, found: str, said: str) -> None:
    problems = check(tmp_path, text)
    assert codes(problems) == [found]
    assert said in f"{problems[0].text} {problems[0].hint}"
    assert problems[0].level is Level.ERROR


def test_a_password_in_an_address_is_not_repeated(tmp_path: Path) -> None:
    [problem] = check(tmp_path, "prometheus_url: 'ftp://ada:s3cret@p:9090'\n")
    assert "s3cret" not in str(problem)
    assert "ada:<secret>@p" in problem.text


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    """The service itself stops at the first."""
    problems = check(tmp_path, "workers: 0\nmode: actve\nlog_format: yaml\nnonsense: 1\n")
    assert codes(problems) == ["1:10 wrong-value", "2:7 unknown-name", "3:13 unknown-name", "4:1 unknown-field"]


def test_the_environment_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would hide what the file says, and is another one where the service runs."""
    monkeypatch.setenv("REMEDIATOR_WORKERS", "4")
    assert codes(check(tmp_path, "workers: 0\n")) == ["1:10 wrong-value"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (ACTIVE + "audit_key_file: HERE/key\naudit_anchor_file: HERE/key\nweb_token_files: [HERE/token]\n", []),
        (ACTIVE + "audit_anchor_file: HERE/key\nweb_token_files: [HERE/token]\n", ["1:1 mode-without-key"]),
        (ACTIVE + "audit_key_file: HERE/key\nweb_token_files: [HERE/token]\n", ["4:1 key-without-anchor"]),
        (ACTIVE + "audit_key_file: HERE/key\naudit_anchor_file: HERE/key\n", ["1:1 mode-open"]),
        (
            "mode: active\naudit_key_file: HERE/key\naudit_anchor_file: HERE/key\nweb_token_files: [HERE/token]\n",
            ["1:1 mode-without-alertmanager", "1:1 mode-without-prometheus"],
        ),
        ("webhook_token_file: HERE/token\n", ["1:1 token-without-url"]),
        ("web_allowed_hosts: ['*']\n", ["1:1 any-host"]),
        ("web_allowed_hosts: [ops.example.org]\n", []),
        ("web_token_files: [HERE/token]\nweb_allowed_hosts: ['*']\n", []),
        ("protected_namespaces: [monitoring]\n", ["1:1 protected-lost"]),
        ("storage_url: postgresql://ada@db/r\n", ["1:1 storage-without-tls"]),
        ("storage_url: postgresql://ada:s3cret@db/r?sslmode=verify-full\n", ["1:1 storage-password"]),
        ("storage_url: postgresql://ada@localhost/r\n", []),
        ("mode: silent\n", []),
    ],
)
def test_what_can_be_used_and_does_less_than_one_thinks(tmp_path: Path, text: str, found: list[str]) -> None:
    problems = check(tmp_path, text, key=PEM.decode(), token="0123456789abcdef0123")
    assert codes(problems) == found
    assert all(one.level is Level.WARNING and one.hint for one in problems)


def test_files_that_settings_name_are_checked_with_them(tmp_path: Path) -> None:
    """A credential of a user that the web configuration does not have is a mistake of the two together."""
    credentials = "credentials: [{name: a, basic_auth_user: eve, namespaces: [shop]}]\n"
    text = "web_config_file: HERE/web\nweb_credentials_file: HERE/credentials\n"
    problems = check(tmp_path, text, web=f"basic_auth_users: {{ada: {GOOD_HASH}}}\n", credentials=credentials)
    assert [(Path(one.file).name, one.code) for one in problems] == [
        ("web", "password-without-tls"),
        ("credentials", "unknown-user"),
    ]
    web = "tls_server_config: {cert_file: none.crt, key_file: none.key}\n"
    problems = check(tmp_path, text, web=web, credentials=credentials)
    assert [(Path(one.file).name, one.code) for one in problems] == [("web", "unusable-tls")]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("credentials: []\n", ["1:14 empty"]),
        (f"credentials: [{{name: a, token_sha256: [{DIGEST}]}}]\n", ["1:15 wrong-value"]),
        (
            f"credentials: [{{nam: a, token_sha256: [{DIGEST}], namespaces: [x]}}]\n",
            ["1:15 missing-field", "1:16 unknown-field"],
        ),
        ("basic_auth_users: {ada: secret}\n", ["1:25 wrong-value"]),
        ("rate_limit: {}\nbasic_auth_users: {}\n", ["1:13 wrong-value"]),
    ],
)
def test_credentials_and_web_configuration_by_themselves(tmp_path: Path, text: str, found: list[str]) -> None:
    problems = check(tmp_path, text)
    assert codes(problems) == found
    assert not any("secret" in str(one) or one.source for one in problems)  # what it holds is not repeated


def test_a_token_that_is_none_is_told(tmp_path: Path) -> None:
    problems = check(tmp_path, "web_token_files: [HERE/token]\n", token="short")
    assert [one.code for one in problems] == ["bad-token"]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    [problem] = check_file(tmp_path / "none.yaml").problems
    assert problem.code == "unreadable"
