"""`remediator backtest`: golden runs of a recorded file, in a pipe, and what is wrong in a line."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

import remediator.cli.backtesting  # noqa: F401  # or the log would first be set up for a stream of the runner's
from remediator.cli.main import app
from tests.unit.prometheus.conftest import failure
from tests.unit.scripted_server import Answer, Asked, ScriptedServer

ROOT = Path(__file__).parents[3]
DATA = "tests/data/backtest"
SHOP = ["--from", f"{DATA}/shop.json"]
TWO_HOURS = ["--since", "2026-11-23T13:00:00Z", "--until", "2026-11-23T15:00:00Z"]


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def run(*arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout, stderr; neither is a terminal."""
    done = CliRunner().invoke(app, ["backtest", *arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("arguments", "golden"),
    [
        ([f"{DATA}/rules.yaml", *SHOP], "rules.txt"),
        ([f"{DATA}/rules.yaml", *SHOP, "--against", f"{DATA}/before.yaml"], "against.txt"),
        ([f"{DATA}/rules.yaml", *SHOP, *TWO_HOURS], "two-hours.txt"),
    ],
)
def test_a_recorded_file_says_the_same_each_time(arguments: list[str], golden: str) -> None:
    """Written by `remediator backtest ... > tests/data/backtest/FILE`; nothing but the text, in a pipe."""
    code, out, err = run(*arguments)
    assert (code, err) == (0, "")
    assert out == (ROOT / DATA / golden).read_text(encoding="utf-8")
    assert "\x1b" not in out


def test_json_has_every_decision_and_every_change() -> None:
    code, out, _ = run(f"{DATA}/rules.yaml", *SHOP, "-o", "json")
    told = json.loads(out)
    assert (code, told["alerts"], told["cut"]) == (0, 7, 1)
    [evict] = [one for one in told["decisions"] if one["labels"].get("pod") == "pay-v1-1"]
    assert (evict["would"], evict["action"], evict["at"]) == ("act", "evict", "2026-11-23T14:35:00Z")
    assert told["rules"][0]["days"][0]["day"] == "2026-11-23"
    code, out, _ = run(f"{DATA}/rules.yaml", *SHOP, "--against", f"{DATA}/before.yaml", "-o", "json")
    told = json.loads(out)
    assert set(told) == {"result", "against", "rules", "changes"}
    assert told["rules"]["crash-loop"] == {"gained": 1, "lost": 0, "different": 0}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "give one of --prometheus.url and --from"),
        ([*SHOP, "--prometheus.url", "http://x"], 2, "give one of --prometheus.url and --from"),
        ([*SHOP, "--record", "x.json"], 2, "does not go with --from"),
        (["--from", "none.json"], 2, "none.json cannot be read: No such file or directory"),
        (["none.yaml", *SHOP], 2, "none.yaml"),
        ([*SHOP, "--since", "tomorrow"], 2, "--since 'tomorrow': write a duration like 30d, or a time like"),
        ([*SHOP, "--until", "2025-01-01T00:00:00Z"], 2, "nothing of the recorded time lies between"),
        (["--prometheus.url", "prometheus:9090"], 2, "not a URL of a Prometheus"),
        (["--prometheus.url", "http://x", "--step", "10ms"], 2, "--step 10ms: write whole seconds, 1s to 1h"),
        (["--prometheus.url", "http://x", "--since", "1d", "--until", "2d"], 2, "--since must be before --until"),
        (["--prometheus.url", "http://x", "--external-label", "prod"], 2, "write NAME=VALUE"),
    ],
)
def test_what_cannot_be_used_is_said_in_words(arguments: list[str], code: int, said: str) -> None:
    found, out, err = run(*arguments)
    assert (found, out) == (code, "")
    assert said in " ".join(err.replace("│", " ").split())
    assert "Traceback" not in err


def test_in_a_pipe_there_is_nothing_but_the_answer() -> None:
    """A process of its own: no bar, no colour, no word of a log."""
    command = [sys.executable, "-m", "remediator", "backtest", f"{DATA}/rules.yaml", *SHOP]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "FORCE_COLOR": "1"})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (ROOT / DATA / "rules.txt").read_text(encoding="utf-8")


# --- against a Prometheus


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    scripted = ScriptedServer()
    await scripted.start()
    yield scripted
    await scripted.stop()


async def ask(server: ScriptedServer, *arguments: str) -> tuple[int, str, str]:
    """The command in a thread, since the server answers in this one."""
    return await asyncio.to_thread(run, f"{DATA}/rules.yaml", "--prometheus.url", server.url, *arguments)


def matrix(*series: tuple[dict[str, str], list[tuple[float, str]]]) -> Answer:
    result = [{"metric": labels, "values": values} for labels, values in series]
    return Answer(body={"status": "success", "data": {"resultType": "matrix", "result": result}})


PERIOD = ("--since", "2026-11-23T12:00:00Z", "--until", "2026-11-23T14:00:00Z")


async def test_prometheus_is_asked_played_and_recorded(server: ScriptedServer, tmp_path: Path) -> None:
    """And the recorded file gives the same answer without it."""

    def script(asked: Asked) -> Answer:
        if asked.path.endswith("query_range") and asked.query["query"].startswith("ALERTS{"):
            labels = {"__name__": "ALERTS", "alertname": "KubePodNotReady", "alertstate": "firing", "namespace": "shop"}
            return matrix((labels, [(float(asked.query["start"]) + 60 * n, "1") for n in range(10, 20)]))
        if asked.path.endswith("query_range"):
            return matrix()
        return Answer(body={"status": "success", "data": {"resultType": "vector", "result": []}})

    server.script(script)
    file = tmp_path / "history.json"
    code, out, err = await ask(server, *PERIOD, "--record", str(file))
    assert (code, err) == (0, "")
    assert "1 alert, exact to 1m" in out
    assert "no-target-label 1" in out
    again, same, _ = await asyncio.to_thread(run, f"{DATA}/rules.yaml", "--from", str(file))
    assert (again, same) == (0, out)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (matrix(), "Prometheus has no ALERTS that fired between 2026-11-23T12:00:00Z and 2026-11-23T14:00:00Z"),
        (
            failure(422, "execution", "query processing would load too many samples into memory"),
            "ALERTS: Prometheus ref",
        ),
        (failure(401, "", "who are you"), "check the token file and what its account may do"),
    ],
    ids=["empty", "too many samples", "refused"],
)
async def test_what_prometheus_cannot_do_is_named(server: ScriptedServer, answer: Answer, said: str) -> None:
    """One line, exit 1, no trace."""
    server.answers(answer)
    code, out, err = await ask(server, *PERIOD)
    assert (code, out) == (1, "")
    assert said in err
    assert len(err.splitlines()) == 1


async def test_a_prometheus_that_is_down_is_named(server: ScriptedServer) -> None:
    await server.stop()
    code, _, err = await ask(server, *PERIOD)
    assert code == 1
    assert "Connection refused" in err
    assert len(err.splitlines()) == 1
