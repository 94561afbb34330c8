"""`remediator simulate`: readable for people, JSON for machines, exit codes for scripts, and nothing is touched."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from remediator.cli.output import Output
from remediator.cli.simulate import Wanted, run
from tests.dumps import shop

PAYLOADS = Path(__file__).parents[2] / "data" / "payloads"
STUCK = PAYLOADS / "firing-kubedeploymentrolloutstuck.json"
AT = "2026-11-23T07:28:00Z"


@pytest.fixture(scope="module")
def dump(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("dump") / "shop.json"
    file.write_text(json.dumps(shop()), encoding="utf-8")
    return file


def wanted(dump: Path, *bodies: Path) -> Wanted:
    return Wanted(bodies or (STUCK,), dumps=(dump,), is_complete=True, assumes_firing=True, at=AT)


def test_it_says_rule_target_cause_rows_plan_guards_and_decision(
    dump: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(wanted(dump), Output.SIMPLE) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[0].startswith("simulate 14 rules · mode silent · cluster: ")
    for part in (
        "target shop/deployment/checkout",
        "cause bad-rollout",
        "row 1 taken rollback",
        "yes deployed_within: 28m ago, wanted 2h",
        "row 4 yes escalate (always)",
        "plan roll back shop/deployment/checkout from revision 2 to 1",
        "+ - image: shop/checkout:2.0",
        "guards kill-switch allow released",
        "dry-run allow the API server would accept it",
        "decision RECOMMEND [mode-silent]: would roll back shop/deployment/checkout from revision 2 to 1",
        "advice kubectl -n shop rollout undo deployment/checkout --to-revision=1",
    ):
        assert part in lines, part
    assert any(line.startswith("rule rollout-stuck, severity 1 ") and "default.yaml:" in line for line in lines)
    [unknown] = [line for line in lines if line.startswith("unknown ")]
    assert "logs of containers" in unknown
    assert "permissions" in unknown
    assert "metrics (--prometheus URL, or --assume-firing)" in unknown


def test_what_is_not_assumed_is_a_no_with_a_name(dump: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As of a service without Prometheus."""
    assert run(replace(wanted(dump), assumes_firing=False), Output.JSON) == 0
    [delivery] = json.loads(capsys.readouterr().out)["deliveries"]
    [alert] = delivery["alerts"]
    assert (alert["decision"], alert["reason"]) == ("recommend", "fact-missing")
    assert alert["attempt"]["verdicts"][-1]["guard"] == "still-firing"


def test_without_a_cluster_the_target_is_unknown_and_the_rule_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(Wanted((STUCK,)), Output.SIMPLE) == 0
    out = capsys.readouterr().out
    assert "cluster: not known" in out
    assert "rollout-stuck, severity 1" in out
    assert "DECLINE [target-unreadable]" in out
    assert "deployments (not in the dump)" in out


def test_in_active_mode_it_would_act(dump: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = dump.read_bytes()
    assert run(replace(wanted(dump), mode="active"), Output.JSON) == 0
    [alert] = json.loads(capsys.readouterr().out)["deliveries"][0]["alerts"]
    assert alert["decision"] == "act"
    assert alert["decisions"][-1]["kind"] == "action.intent"
    assert dump.read_bytes() == before


def test_files_are_told_apart_and_together_they_are_a_storm(dump: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ("kubedeploymentrolloutstuck", "kubehpamaxedout", "kubenodenotready-no-namespace-label")
    files = [PAYLOADS / f"firing-{name}.json" for name in names]
    files.append(PAYLOADS / "firing-multi-kubepodcrashlooping.json")

    def reasons(*, is_together: bool) -> list[str]:
        assert run(replace(wanted(dump, *files), is_together=is_together), Output.JSON) == 0
        told = json.loads(capsys.readouterr().out)["deliveries"]
        assert len(told) == (1 if is_together else len(files))
        return [alert["reason"] for one in told for alert in one["alerts"]]

    assert "storm" not in reasons(is_together=False)
    assert "storm" in reasons(is_together=True)


def test_a_not_yet_is_followed(dump: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The second pod of one workload waits for a cooldown, then for a slot: for as long as its time to decide."""
    assert run(wanted(dump, PAYLOADS / "firing-multi-kubepodcrashlooping.json"), Output.JSON) == 0
    [_, second] = json.loads(capsys.readouterr().out)["deliveries"][0]["alerts"]
    told = [(one["kind"], one["reason"]) for one in second["decisions"]]
    assert told[:2] == [("decision.held", "cooldown"), ("decision.held", "limit-used")]
    assert told[2:] == [("decision.expired", "limit-used")]


def test_the_time_is_the_newest_in_the_files(dump: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A dump of last week is decided on as of last week."""
    assert run(replace(wanted(dump), at=None), Output.JSON) == 0
    [delivery] = json.loads(capsys.readouterr().out)["deliveries"]
    assert "2026-11-23T07:20:00Z" < delivery["at"] <= AT


@contextmanager
def alertmanager(alerts: Any, *, status: int = 200, token: str = "") -> Iterator[tuple[str, list[str]]]:
    """Any server; with a `token` it lets nobody in who has another one."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            is_known = not token or self.headers["Authorization"] == f"Bearer {token}"
            self.send_response(status if is_known else 401)
            self.end_headers()
            self.wfile.write(json.dumps(alerts).encode())

        do_POST = do_GET

        def log_message(self, *args: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_what_alertmanager_lists_is_decided_on(dump: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What fires and is not silenced; it is only read, and asked again whether the alert is still there."""
    listed = json.loads((PAYLOADS / "api-v2-alerts.json").read_text(encoding="utf-8"))
    with alertmanager(listed) as (url, asked):
        told = Wanted((), dumps=(dump,), is_complete=True, alertmanagers=(url,), at=AT)
        assert run(told, Output.JSON) == 0
    [delivery] = json.loads(capsys.readouterr().out)["deliveries"]
    fires = [one["fingerprint"] for one in listed if one["status"]["state"] != "suppressed"]
    assert sorted(alert["fingerprint"] for alert in delivery["alerts"]) == sorted(fires)
    assert asked[0] == "/api/v2/alerts?active=true&silenced=false&inhibited=false"


def test_servers_that_want_a_token_are_asked_with_theirs(
    dump: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without its token a Prometheus is one that does not answer: nothing is decided on what is not known."""
    listed = json.loads((PAYLOADS / "api-v2-alerts.json").read_text(encoding="utf-8"))
    nothing = {"status": "success", "data": {"resultType": "vector", "result": [], "groups": []}}
    files = {name: tmp_path / name for name in ("one", "two")}
    for name, file in files.items():
        file.write_text(f"{name}\n", encoding="ascii")
    with alertmanager(listed, token="one") as (url, _), alertmanager(nothing, token="two") as (other, asked):
        told = replace(wanted(dump), alertmanagers=(url,), prometheus=other, assumes_firing=False)
        assert run(told, Output.JSON) == 1
        assert "answered 401" in capsys.readouterr().err
        told = replace(told, alertmanager_token=files["one"], prometheus_token=files["two"])
        assert run(told, Output.JSON) == 0
    assert any(path.startswith("/api/v1/") for path in asked)
    text = capsys.readouterr().out
    assert "Unauthorized" not in text
    assert "answered 401" not in text
    assert json.loads(text)["deliveries"][0]["alerts"]


def test_a_server_that_does_not_answer_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with alertmanager([], status=503) as (url, _):
        assert run(Wanted((), alertmanagers=(url,)), Output.SIMPLE) == 1
    assert "answered 503" in capsys.readouterr().err


MISUSE: list[tuple[Wanted, str]] = [
    (Wanted(()), "nothing to simulate"),
    (Wanted((Path("none.json"),)), "none.json: cannot be read: No such file"),
    (Wanted((STUCK,), mode="loud"), "--mode loud: expected off, silent, approve, active"),
    (Wanted((STUCK,), at="noon"), "--at noon: expected a time"),
    (Wanted((STUCK,), dumps=(Path("none.yaml"),)), "none.yaml: cannot be read"),
    (Wanted((STUCK,), rules=(Path("none.yaml"),)), "none.yaml"),
    (Wanted((), alertmanagers=("alertmanager:9093",)), "write http://host:port"),
]


@pytest.mark.parametrize(("asked", "complaint"), MISUSE, ids=[complaint for _, complaint in MISUSE])
def test_misuse_is_one_line_and_exit_code_2(asked: Wanted, complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(asked, Output.SIMPLE) == 2
    captured = capsys.readouterr()
    assert complaint in captured.err
    assert captured.out == ""


def test_a_body_that_the_receiver_refuses_is_said_with_its_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "old.json"
    file.write_text('{"version": "3", "alerts": []}', encoding="utf-8")
    assert run(Wanted((file,)), Output.SIMPLE) == 2
    assert f"{file}: " in capsys.readouterr().err
