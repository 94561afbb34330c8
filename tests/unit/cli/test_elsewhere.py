"""Commands that were given the address of something else say which address that is, and what to name instead."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from remediator.cli.main import app
from remediator.cli.reading import MAX_BYTES
from tests.unit.api.service import running
from tests.unit.scripted_server import CUT, Answer, ScriptedServer

COMMANDS: Sequence[tuple[Sequence[str], str]] = (
    (("status",), "/api/v1/status"),
    (("incidents", "list"), "/api/v1/incidents"),
    (("audit", "checkpoint"), "/api/v1/audit/checkpoint"),
    (("export", "--since", "1h", "-o", "-"), "/api/v1/export"),
    (("pause", "--comment", "x"), "/api/v1/pause"),
)
LOGIN = Answer(200, b"<html><form>Sign in</form></html>", {"Content-Type": "text/html; charset=utf-8"})


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    one = ScriptedServer()
    await one.start()
    yield one
    await one.stop()


async def said(words: Sequence[str], url: str) -> str:
    """What is on stderr of a command that fails, and prints nothing else."""
    done = await asyncio.to_thread(CliRunner().invoke, app, [*words, "--url", url])
    assert (done.exit_code, done.stdout) == (1, ""), done.output
    return done.stderr


@pytest.mark.parametrize(("words", "path"), COMMANDS, ids=lambda given: given[0] if isinstance(given, tuple) else "")
async def test_a_path_that_a_remediator_does_not_know_is_named(words: Sequence[str], path: str) -> None:
    async with running() as service:
        url = f"http://127.0.0.1:{service.port}/wrong"
        text = await said(words, url)
    assert text.startswith(f"error: {url}{path} answered 404: ")
    assert "with its path prefix" in text


async def test_what_a_remediator_does_not_find_keeps_its_own_words() -> None:
    """The negative control: a 404 is not always another service."""
    async with running() as service:
        text = await said(("incidents", "show", "inc-99"), f"http://127.0.0.1:{service.port}")
    assert text == "error: there is no incident inc-99\n"


@pytest.mark.parametrize(("words", "path"), COMMANDS, ids=lambda given: given[0] if isinstance(given, tuple) else "")
async def test_a_login_page_is_no_answer_and_no_export(
    server: ScriptedServer, words: Sequence[str], path: str
) -> None:
    server.answers(LOGIN)
    text = await said(words, server.url)
    assert text.startswith(f"error: {server.url}{path} answered 200 with a page in HTML: a login, or another service?")


async def test_an_export_in_html_is_one() -> None:
    """The negative control: of all that a remediator answers, only a file is HTML."""
    async with running() as service:
        url = f"http://127.0.0.1:{service.port}"
        words = ["export", "--since", "1h", "--format", "html", "-o", "-", "--url", url]
        done = await asyncio.to_thread(CliRunner().invoke, app, words)
    assert (done.exit_code, done.output[:15]) == (0, "<!doctype html>")


async def test_a_login_page_does_not_become_a_file(server: ScriptedServer, tmp_path: Path) -> None:
    server.answers(LOGIN)
    await said(("export", "--since", "1h", "-o", str(tmp_path / "incidents.html")), server.url)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (Answer(404, b"<html>"), "answered 404: a login, or another service?"),
        (Answer(502, b"<html>"), "answered 502"),
        (Answer(200, b"pong"), "does not answer as a remediator does: a login, or another service?"),
    ],
)
async def test_an_answer_that_is_no_json_is_told_with_its_address(
    server: ScriptedServer, answer: Answer, text: str
) -> None:
    server.answers(answer)
    assert f"error: {server.url}/api/v1/status {text}" in await said(("status",), server.url)


@pytest.mark.parametrize("words", [("status",), ("audit", "checkpoint"), ("export", "--since", "1h")], ids=" ".join)
async def test_an_answer_that_breaks_off_is_not_taken_for_a_whole_one(
    server: ScriptedServer, tmp_path: Path, words: Sequence[str]
) -> None:
    """A text, and an export, have no end by which it would be seen."""
    server.answers(CUT)
    to = ("-o", str(tmp_path / "bundle.zip")) if words[0] == "export" else ()
    assert "broke off" in await said((*words, *to), server.url)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "words", [("status",), ("incidents", "list"), ("explain", "--incident", "inc-7")], ids=" ".join
)
@pytest.mark.parametrize("body", [{}, [], {"status": "ok"}, None], ids=str)
async def test_json_of_another_service_is_told_with_its_address(
    server: ScriptedServer, words: Sequence[str], body: object
) -> None:
    server.answers(Answer(200, body))
    text = await said(words, server.url)
    assert text.startswith(f"error: {server.url}/api/v1/")
    assert "does not answer as a remediator does" in text


async def test_an_error_that_nobody_can_read_is_told_by_its_number(server: ScriptedServer) -> None:
    server.answers(Answer(500, b"[" * 60_000))
    assert await said(("status",), server.url) == f"error: {server.url}/api/v1/status answered 500\n"


@pytest.mark.parametrize("words", [("status",), ("explain", "--incident", "inc-7")], ids=" ".join)
async def test_an_answer_without_an_end_is_not_taken_into_memory(
    server: ScriptedServer, words: Sequence[str]
) -> None:
    """As a download that somebody put at that address."""
    server.answers(Answer(200, b'{"a": "' + bytes(MAX_BYTES) + b'"}'))
    assert "answers with more than 64 MiB: a login, or another service?" in await said(words, server.url)


async def test_an_export_may_be_larger_than_what_is_taken_into_memory(server: ScriptedServer, tmp_path: Path) -> None:
    """It is written piece by piece."""
    server.answers(Answer(200, bytes(MAX_BYTES + 1)))
    file = tmp_path / "bundle.zip"
    words = ["export", "--since", "1h", "-o", str(file), "--url", server.url]
    assert (await asyncio.to_thread(CliRunner().invoke, app, words)).exit_code == 0
    assert file.stat().st_size == MAX_BYTES + 1
