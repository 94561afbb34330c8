"""`remediator check ...`: forms for people, scripts, code scanning and CI; exit codes; no stack trace on bad input."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar
from xml.etree import ElementTree

import pytest
import yaml
from typer.testing import CliRunner, Result

from remediator.cli.main import app
from tests.certificates import Authority
from tests.unit.lint.alertmanagers import BAD, FOLDER, GOOD, PROMETHEUS, ROOT

RULES = FOLDER.parent / "rules"
DOUBTFUL, WRONG = RULES / "doubtful" / "limits-missing.yaml", RULES / "bad" / "rule-mode-unknown.yaml"
PLAIN = next(file for file in GOOD if file.stem == "plain")
SEVERITY = next(file for file in BAD if file.stem == "severity")
GROUPED = next(file for file in BAD if file.stem == "group-by")
NO_URL = PLAIN.read_text(encoding="utf-8").replace("http://remediator.remediator.svc:9095/api/v1/alerts", "<secret>")


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["check", *map(str, words)])


def alertmanager(file: Path, *words: object) -> Result:
    given = [word for one in PROMETHEUS for word in ("--prometheus-rules", one)]
    return run("alertmanager", file, *given, *words)


@pytest.mark.parametrize("name", ["rules", "config", "rbac", "alertmanager"])
def test_help_has_an_example(name: str) -> None:
    done = run(name, "--help")
    assert done.exit_code == 0
    assert f"Example: remediator check {name}" in done.output


@pytest.mark.parametrize(
    ("words", "plain", "fatal"),
    [
        (("rules", DOUBTFUL), 0, 3),
        (("rules", WRONG), 1, 1),
        (("rules",), 0, 0),
        (("alertmanager", PLAIN), 0, 0),
        (("alertmanager", SEVERITY), 1, 1),
        (("alertmanager", GROUPED), 0, 3),
        (("rbac", "--manifests", ROOT / "deploy" / "kustomize", "--account", "remediator/remediator-silent"), 0, 3),
        (("rbac", "--manifests", ROOT / "deploy" / "kustomize", "--account", "remediator/nobody"), 1, 1),
    ],
)
def test_exit_codes(words: tuple[object, ...], plain: int, fatal: int) -> None:
    """0 good, 1 errors, 3 warnings with --lint-fatal; the form changes nothing."""
    assert run(*words, "-o", "json").exit_code == plain
    assert run(*words, "--lint-fatal").exit_code == fatal


@pytest.mark.parametrize(
    "words",
    [
        ("alertmanager",),
        ("alertmanager", PLAIN, "--url", "http://127.0.0.1:1"),
        ("alertmanager", "none.yml"),
        ("alertmanager", PLAIN, "--prometheus-rules", "none-*.yaml"),
        ("alertmanager", PLAIN, "--prometheus-rules", "none.yaml"),
        ("alertmanager", "--url", "alertmanager:9093"),
        ("alertmanager", PLAIN, "--ca-file", PLAIN),
        ("alertmanager", "--url", "https://127.0.0.1:1", "--ca-file", "none.pem"),
        ("alertmanager", "--url", "https://127.0.0.1:1", "--ca-file", PLAIN),
        ("alertmanager", PLAIN, "--config.file", "none.yaml"),
        ("rbac", "--mode", "loud"),
        ("rbac", "--rules", WRONG),
        ("rbac", "--manifests", "none"),
        ("rbac", "--manifests", ROOT / "deploy" / "kustomize"),
        ("rbac", "--config.file", "none.yaml"),
        ("config", PLAIN, "--kind", "secrets"),
        ("config",),
        ("rules", "-o", "xml"),
    ],
)
def test_misuse_is_told_in_a_line(words: tuple[object, ...]) -> None:
    done = run(*words)
    assert (done.exit_code, done.exception.__class__) == (2, SystemExit)
    assert done.stderr
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("rules", "none.yaml"), "cannot be read"),
        (("config", "none.yaml"), "cannot be read"),
        (("alertmanager", PLAIN, "--rules", WRONG), "unknown mode 'actve'"),
        (("alertmanager", WRONG), "no Alertmanager configuration"),
        (("alertmanager", PLAIN, "--prometheus-rules", RULES / "bad" / "yaml-unclosed-bracket.yaml"), "not YAML"),
        (("alertmanager", "--url", "http://127.0.0.1:1"), "no Alertmanager answers"),
    ],
)
def test_what_cannot_be_read_is_an_error(words: tuple[object, ...], said: str) -> None:
    done = run(*words)
    assert (done.exit_code, said in done.output) == (1, True)


def test_for_people_each_finding_has_place_line_and_what_to_write() -> None:
    out = alertmanager(SEVERITY).output
    first, shown, caret, *_ = out.splitlines()
    assert first.startswith(f"{SEVERITY}:")
    assert 'error: only severity="critical" is sent to us, and KubePodCrashLooping' in first
    assert "# here" in shown
    assert caret.endswith("^ take this matcher away, or name those severities too")
    assert out.endswith("1 error, 0 warnings\n")
    assert "\x1b" not in out


def test_json_has_the_code_and_the_place() -> None:
    told = json.loads(alertmanager(GROUPED, "-o", "json").output)
    [warning] = told["warnings"]
    assert (told["ok"], told["errors"], warning["code"], warning["level"]) == (True, [], "group-by", "warning")
    assert told["alerts"] > 8


def test_sarif_is_as_code_scanning_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Version 2.1.0: a rule for each code, results that point to it, places relative to the repository."""
    monkeypatch.chdir(ROOT)
    log: dict[str, Any] = json.loads(run("rules", *sorted((RULES / "bad").glob("when-*.yaml")), "-o", "sarif").output)
    [found] = log["runs"]
    rules, results = found["tool"]["driver"]["rules"], found["results"]
    assert (log["version"], log["$schema"].endswith("sarif-2.1.0.json")) == ("2.1.0", True)
    assert len({rule["id"] for rule in rules}) == len(rules)
    assert results
    for result in results:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in ("error", "warning", "note")
        assert result["message"]["text"]
        [place] = result["locations"]
        physical = place["physicalLocation"]
        assert (ROOT / physical["artifactLocation"]["uri"]).is_file()
        assert min(physical["region"].values()) >= 1


def test_sarif_of_what_is_good_has_no_results() -> None:
    log = json.loads(run("rules", "-o", "sarif").output)
    assert log["runs"][0]["results"] == []


def test_junit_has_a_suite_for_each_file() -> None:
    done = run("rules", "-o", "junit")
    suites = ElementTree.fromstring(done.output).findall("testsuite")
    assert [(suite.get("tests"), suite.get("failures")) for suite in suites] == [("1", "0")] * 3
    root = ElementTree.fromstring(run("rules", DOUBTFUL, "-o", "junit").output)
    [failure] = root.iter("failure")
    assert failure.get("message") == "warning: can act (rollback) without limits of its own"


def test_rights_as_roles_are_manifests() -> None:
    done = run("rbac", "--mode", "active", "-o", "yaml", "--account", "remediator/remediator-active")
    kinds = [one["kind"] for one in yaml.safe_load_all(done.output)]
    assert kinds == ["ClusterRole", "ClusterRoleBinding", "ClusterRole", "Role", "RoleBinding"]


def test_rights_to_prove_are_printed_with_what_has_to_come_with_them() -> None:
    """And bound to nobody: they are those of the real writes."""
    done = run("rbac", "--dry-run", "-o", "yaml", "--account", "remediator/remediator-silent").output
    assert done.startswith("# A dry run takes the right to the real write. Never bind remediator-silent-write")
    bound = {one["roleRef"]["name"] for one in yaml.safe_load_all(done) if "roleRef" in one}
    assert bound == {"remediator-silent", "remediator-kill-switch"}
    assert not run("rbac", "-o", "yaml").output.startswith("#")


def test_rights_follow_the_settings(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    text = "own_namespace: ops\naudit_anchor_configmap: ops/anchor\nevents: false\nrollout_poll_seconds: 0\n"
    file.write_text(text, encoding="utf-8")
    told = json.loads(run("rbac", "--config.file", file, "-o", "json").output)
    named = {(one["verb"], one["namespace"], one["name"]) for one in told if one["name"]}
    assert named == {("get", "ops", "remediator-kill-switch"), ("get", "ops", "anchor"), ("patch", "ops", "anchor")}
    assert not any("deployment watch" in one["for"] or one["group"] == "events.k8s.io" for one in told)


def test_config_tells_what_each_file_is(tmp_path: Path) -> None:
    for name, text in (("a", "mode: silent\n"), ("b", "tls_server_config: {}\n")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    good = run("config", tmp_path / "a")
    assert (good.exit_code, good.output) == (0, f"{tmp_path / 'a'}: settings, ok\n")
    told = json.loads(run("config", tmp_path / "a", tmp_path / "b", "-o", "json").output)
    assert (told["ok"], set(told["files"].values())) == (False, {"settings", "web"})


def test_the_settings_say_which_alert_is_the_watchdog(tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    for text, said in (
        ("watchdog: alertname=Beat", "warning: no route sends the watchdog, Beat, to us"),
        ("watchdog_absent_seconds: 300", "warning: Watchdog comes every 2m30s, and is missing after 5m"),
        ("watchdog_confirm_seconds: 30", "warning: what comes of Watchdog may be 30s old"),
        ("watchdog: ''", ""),
    ):
        settings.write_text(text, encoding="utf-8")
        done = alertmanager(PLAIN, "--config.file", settings, "--lint-fatal")
        assert (done.exit_code, said in done.output) == (3 if said else 0, True), done.output


# --- a running Alertmanager


class _Status(BaseHTTPRequestHandler):
    """GET /api/v2/status; `text` is the configuration that it has loaded, `asked` are the requests."""

    text = ""
    code = 200
    asked: ClassVar[list[tuple[str, str, str]]]

    def do_GET(self) -> None:
        type(self).asked.append((self.command, self.path, self.headers.get("Authorization", "")))
        body = json.dumps({"config": {"original": type(self).text}}).encode()
        self.send_response(type(self).code)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def status() -> Iterator[tuple[str, type[_Status]]]:
    class Handler(_Status):
        asked: ClassVar[list[tuple[str, str, str]]] = []

    with HTTPServer(("127.0.0.1", 0), Handler) as server, serving(server):
        yield f"http://127.0.0.1:{server.server_address[1]}", Handler


@contextmanager
def serving(server: HTTPServer) -> Iterator[None]:
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


def test_a_running_one_is_asked_for_what_it_has_loaded(status: tuple[str, type[_Status]], tmp_path: Path) -> None:
    """One GET, with the token if one is given; addresses and credentials come back as <secret>."""
    url, handler = status
    token = tmp_path / "token"
    token.write_text("t0ken\n", encoding="utf-8")
    handler.text = NO_URL.replace("credentials_file: /etc/alertmanager/remediator-token", "credentials: <secret>")
    done = run("alertmanager", "--url", url, "--token-file", token)
    assert (done.exit_code, done.output.startswith(f"{url}/api/v2/status: alerts of 14 rules reach")) == (0, True)
    assert handler.asked == [("GET", "/api/v2/status", "Bearer t0ken")]


def test_its_findings_have_its_address(status: tuple[str, type[_Status]]) -> None:
    url, handler = status
    handler.text = NO_URL.replace("max_alerts: 0", "max_alerts: 5")
    done = run("alertmanager", "--url", url)
    assert done.exit_code == 1
    assert done.output.startswith(f"{url}/api/v2/status:33:9: error: max_alerts: 5 cuts bodies off")
    [result] = json.loads(run("alertmanager", "--url", url, "-o", "sarif").output)["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == f"{url}/api/v2/status"


def test_one_that_refuses_is_an_error(status: tuple[str, type[_Status]]) -> None:
    url, handler = status
    handler.code = 401
    done = run("alertmanager", "--url", url)
    assert (done.exit_code, "answered 401" in done.output) == (1, True)


def test_a_certificate_is_believed_by_the_authority_that_is_named(tmp_path: Path) -> None:
    """Not by the system's then, and not without; what is wrong with the file is said before anything is asked."""

    class Handler(_Status):
        text = NO_URL
        asked: ClassVar[list[tuple[str, str, str]]] = []

    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    pair = authority.server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        url = f"https://127.0.0.1:{server.server_address[1]}"
        with serving(server):
            done = run("alertmanager", "--url", url, "--ca-file", authority.file)
            assert (done.exit_code, done.stdout.startswith(f"{url}/api/v2/status: alerts of")) == (0, True), done.output
            for words in ((), ("--ca-file", other.file)):
                done = run("alertmanager", "--url", url, *words)
                assert (done.exit_code, done.stdout) == (1, "")
                assert f"error: the certificate of {url} is not trusted, see --ca-file: " in done.stderr
    assert len(Handler.asked) == 1
    for file, said in (("none.pem", "does not exist"), (PLAIN, "holds no certificate")):
        assert said in run("alertmanager", "--url", url, "--ca-file", file).stderr
