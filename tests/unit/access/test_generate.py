"""`generate token`: the token is shown once, and what the file gets holds only its hash."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from remediator.access.credentials import load_credentials
from remediator.cli.main import app

RUN = CliRunner()


def test_the_entry_knows_the_token(tmp_path: Path) -> None:
    done = RUN.invoke(app, ["generate", "token", "shop", "-n", "shop", "-n", "shop-.*"])
    token = done.stderr.split(": ")[1].strip()
    file = tmp_path / "credentials.yaml"
    file.write_text("credentials:\n" + done.stdout, encoding="utf-8")
    found = load_credentials(file, ()).of_token(token.encode())
    assert found is not None
    assert found.name == "shop"
    assert [found.authority.outside([one]) for one in ("shop", "shop-eu", "pay")] == ["", "", "namespace 'pay'"]
    assert token not in done.stdout, "that is for the file"
    assert len(token) == 43, "256 bits"


def test_two_runs_make_two_tokens() -> None:
    said = [json.loads(RUN.invoke(app, ["generate", "token", "a", "-o", "json"]).stdout) for _ in range(2)]
    assert said[0]["token"] != said[1]["token"]
    assert said[0]["entry"]["may"] == ["alert"]


def test_the_token_can_go_to_a_file_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "token"
    command = ["generate", "token", "ops", "--may", "operate", "--token-file", str(file)]
    done = RUN.invoke(app, command)
    token = file.read_text(encoding="ascii").strip()
    assert done.exit_code == 0
    assert token not in done.output
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = RUN.invoke(app, command)
    assert (again.exit_code, file.read_text(encoding="ascii").strip()) == (1, token), "never over another one"


@pytest.mark.parametrize("words", [["Shop"], ["a b"], ["shop", "--may", "all"]])
def test_misuse_is_said(words: list[str]) -> None:
    assert RUN.invoke(app, ["generate", "token", *words]).exit_code == 2
