"""Commands ask the address that was named: an answer that points elsewhere is told, and no credential goes there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from remediator.cli.main import app
from tests.unit.scripted_server import Answer, ScriptedServer

COMMANDS: Sequence[Sequence[str]] = (
    ("incidents", "list"),
    ("status",),
    ("export", "inc-1", "--format", "jsonl", "-o", "-"),
    ("pause", "--comment", "x"),
    ("approve", "R-1", "--comment", "x"),
    ("audit", "checkpoint"),
    ("check", "alertmanager"),
)


@pytest.fixture
async def servers() -> AsyncIterator[tuple[ScriptedServer, ScriptedServer]]:
    """The named one, and another."""
    both = ScriptedServer(), ScriptedServer()
    for one in both:
        await one.start()
    yield both
    for one in both:
        await one.stop()


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
async def test_a_redirect_is_told_and_not_followed(
    servers: tuple[ScriptedServer, ScriptedServer],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: Sequence[str],
    code: int,
) -> None:
    """The library would send the token along, and make a GET of what is posted: a pause would seem to be set."""
    named, other = servers
    (tmp_path / "token").write_text("operator-0123456789abcdef")
    monkeypatch.setenv("REMEDIATOR_TOKEN_FILE", str(tmp_path / "token"))
    named.answers(Answer(code, b"", {"Location": f"{other.url}/login"}))
    given = [*words, "--url", named.url]
    given += ["--token-file", str(tmp_path / "token")] if words[0] == "check" else []
    done = await asyncio.to_thread(CliRunner().invoke, app, given)
    assert other.asked == [], "nobody named it"
    assert (done.exit_code, len(named.asked)) == (1, 1), done.output
    assert f"answered {code} and points to {other.url}/login, which is not followed" in done.stderr
    assert named.asked[0].headers["Authorization"] == "Bearer operator-0123456789abcdef"
