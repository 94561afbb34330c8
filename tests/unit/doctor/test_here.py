"""What is looked at on this machine: settings, rules, the store's place, the audit key, credentials, a webhook."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from remediator.audit.note import Checkpoint, signed
from remediator.doctor.access import ACCESS
from remediator.doctor.audit import ANCHOR, AUDIT, KEY
from remediator.doctor.base import Answer, Asked, Examination, Result, failed, ok
from remediator.doctor.examine import examine, read_rules, read_settings, unexamined
from remediator.doctor.store import STORE, judged
from remediator.doctor.store import examine as examine_store
from remediator.doctor.webhook import WEBHOOK
from remediator.settings import Settings
from remediator.store.place import UNKNOWN
from tests.logkeys import KEYS, PEM
from tests.postgres import Server
from tests.unit.doctor.asking import answers, asked, only, said, written

OK, WARNING, FAILED, SKIPPED = Answer.OK, Answer.WARNING, Answer.FAILED, Answer.SKIPPED
MIB = 2**20


# --- settings and rules


def test_settings_that_cannot_be_read_are_said_with_their_place(tmp_path: Path) -> None:
    file = written(tmp_path, "settings.yaml", "prometheus_ulr: http://x\n")
    settings, result = read_settings(file, {})
    assert settings is None
    assert said(result)[0] is FAILED
    assert f"{file}:1:1: unknown setting 'prometheus_ulr'; did you mean prometheus_url?" in result.detail
    assert {one.answer for one in unexamined("why")} == {SKIPPED}


def test_a_variable_that_was_meant_for_us_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service ignores it, as it must ignore what Kubernetes sets for a Service of its name."""
    for name in (
        "REMEDIATOR_PORT",
        "REMEDIATOR_SERVICE_HOST",
        "REMEDIATOR_PORT_9095_TCP_ADDR",
        "REMEDIATOR_TOKEN_FILE",
    ):
        monkeypatch.setenv(name, "x")
    assert read_settings(None, {})[1].answer is OK
    monkeypatch.setenv("REMEDIATOR_PROMETHEUS_ULR", "http://x")
    result = read_settings(None, {})[1]
    assert result.answer is WARNING
    assert result.lines == (
        "REMEDIATOR_PROMETHEUS_ULR is no setting and is ignored; did you mean REMEDIATOR_PROMETHEUS_URL?",
    )


def test_rules_that_cannot_be_read_are_said_with_their_place(tmp_path: Path) -> None:
    file = written(tmp_path, "rules.yaml", "rules:\n  - {name: one, sevrity: 1}\n")
    table, result = read_rules(Settings.load(None, {"rules": (file,)}))
    assert table is None
    assert result.answer is FAILED
    assert f"{file}:2:" in result.detail


def test_good_files_are_said_in_a_line(tmp_path: Path) -> None:
    settings, result = read_settings(written(tmp_path, "settings.yaml", "mode: active\n"), {})
    assert settings is not None
    assert (result.answer, "mode active" in result.detail) == (OK, True)
    _, of_rules = read_rules(settings)
    assert of_rules.answer is OK
    assert "14 rules in the shipped table; 0 of them may act" in of_rules.detail


# --- the store


@pytest.mark.parametrize(
    ("url", "answer", "text"),
    [
        ("sqlite:///:memory:", WARNING, "gone with the process"),
        ("sqlite:////no/such/folder/r.db", FAILED, "does not exist"),
        ("sqlite:////tmp", FAILED, "is a folder"),
        ("mysql://x/y", FAILED, "write sqlite:///path or postgresql://"),
        ("postgresql://localhost:1/y", FAILED, "cannot be opened"),
        ("nonsense", FAILED, "cannot be read"),
    ],
)
async def test_a_place_that_keeps_nothing(url: str, answer: Answer, text: str) -> None:
    found = await only(STORE, asked(storage_url=url))
    assert found[0] is answer
    assert text in found[1]


async def test_a_server_is_asked_whether_it_keeps_what_it_answers(postgres: Server) -> None:
    url = postgres.url(postgres.empty_database())
    assert (await only(STORE, asked(storage_url=url)))[0] is OK
    postgres.execute(f"ALTER DATABASE {url.rpartition('/')[2]} SET synchronous_commit = off")
    answer, text = (await only(STORE, asked(storage_url=url)))[:2]
    assert (answer, "synchronous_commit is off" in text) == (FAILED, True)
    postgres.drop(url)


@pytest.mark.parametrize(
    ("kind", "free_mib", "answer", "text"),
    [
        ("ext4", 5000, OK, "on ext4, 5,000 MiB free"),
        ("ext4", 100, WARNING, "retention_days"),
        ("ext4", 1, FAILED, "larger volume"),
        ("nfs4", 5000, FAILED, "local disk"),
        ("cifs", 5000, FAILED, "local disk"),
        ("overlay", 5000, WARNING, "survive"),
        ("tmpfs", 5000, WARNING, "survive"),
        (UNKNOWN, 5000, OK, "unknown file system"),
    ],
)
def test_the_file_system_and_its_room(kind: str, free_mib: int, answer: Answer, text: str) -> None:
    found = said(judged(Path("/data/r.db"), kind=kind, free_bytes=free_mib * MIB))
    assert found[0] is answer
    assert text in found[1]


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    file = written(tmp_path, "r.db", "a letter to my aunt")
    assert examine_store(f"sqlite:///{file}").answer is FAILED


HOLDER = """
import sqlite3, sys
one = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in ("PRAGMA locking_mode=EXCLUSIVE", "PRAGMA journal_mode=WAL", "CREATE TABLE IF NOT EXISTS t (x)",
                  "INSERT INTO t VALUES (1)"):
    one.execute(statement).fetchall()
print("held", flush=True)
sys.stdin.read()
one.execute("INSERT INTO t VALUES (2)")
print(one.execute("SELECT count(*) FROM t").fetchone()[0], flush=True)
"""


def test_a_database_that_a_service_holds_is_named_and_left_alone(tmp_path: Path) -> None:
    """Asked by the kernel who holds it: no byte of it changes, no file appears, and the holder goes on writing."""
    file = tmp_path / "r.db"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        before = {one.name: (one.stat().st_mtime_ns, one.read_bytes()) for one in tmp_path.iterdir()}
        found = examine_store(f"sqlite:///{file}")
        assert {one.name: (one.stat().st_mtime_ns, one.read_bytes()) for one in tmp_path.iterdir()} == before
        assert f"held by process {holder.pid}" in found.detail
        said_last, _ = holder.communicate(input="")
        assert said_last == "2\n"
    finally:
        holder.kill()
        holder.wait()
    assert "no service holds it" in examine_store(f"sqlite:///{file}").detail


# --- the audit log


async def test_without_a_key_nothing_is_done() -> None:
    for mode, answer in (("silent", WARNING), ("approve", FAILED), ("active", FAILED)):
        found = await answers(AUDIT, asked(mode=mode))
        assert (found[KEY].answer, found[ANCHOR].answer) == (answer, WARNING)
        assert "audit keygen" in found[KEY].remedy
    assert "audit confirm" in found[ANCHOR].detail


@pytest.fixture
def key(tmp_path: Path) -> Path:
    file = tmp_path / "key.pem"
    file.write_bytes(PEM)
    file.chmod(0o440)
    return file


async def test_a_key_is_looked_at(tmp_path: Path, key: Path) -> None:
    good = (await answers(AUDIT, asked(audit_key_file=key)))[KEY]
    assert good.answer is OK
    assert str(KEYS.known[0]) in good.detail
    os.chmod(key, 0o644)
    assert (await answers(AUDIT, asked(audit_key_file=key)))[KEY].answer is WARNING
    for wrong in (tmp_path / "none", written(tmp_path, "wrong.pem", "no key")):
        assert (await answers(AUDIT, asked(audit_key_file=wrong)))[KEY].answer is FAILED


def note(size: int = 12) -> bytes:
    assert KEYS.present is not None
    return signed(Checkpoint("remediator/lab", size, b"r" * 32).text(), [KEYS.present])


@pytest.mark.parametrize(
    ("content", "answer", "text"),
    [
        (None, OK, "has held nothing yet"),
        (note(), OK, "knows 12 records of remediator/lab"),
        (b"a shopping list", FAILED, "holds no checkpoint of this key"),
    ],
)
async def test_what_the_anchor_file_holds(
    tmp_path: Path, key: Path, content: bytes | None, answer: Answer, text: str
) -> None:
    file = tmp_path / "anchor"
    if content is not None:
        file.write_bytes(content)
    found = (await answers(AUDIT, asked(audit_key_file=key, audit_anchor_file=file)))[ANCHOR]
    assert (found.answer, text in found.detail) == (answer, True), found


async def test_an_anchor_that_cannot_be_written_or_lies_beside_the_database(tmp_path: Path, key: Path) -> None:
    gone = (await answers(AUDIT, asked(audit_key_file=key, audit_anchor_file=tmp_path / "no" / "anchor")))[ANCHOR]
    assert (gone.answer, "does not exist" in gone.detail) == (FAILED, True)
    beside = {"audit_anchor_file": tmp_path / "anchor", "storage_url": f"sqlite:///{tmp_path / 'r.db'}"}
    near = (await answers(AUDIT, asked(audit_key_file=key, **beside)))[ANCHOR]
    assert (near.answer, "folder of the database" in near.detail) == (WARNING, True)


# --- who may come in


@pytest.mark.parametrize(("mode", "answer"), [("silent", WARNING), ("approve", FAILED), ("active", FAILED)])
async def test_where_anyone_may_cause_an_action(mode: str, answer: Answer) -> None:
    found = await only(ACCESS, asked(mode=mode))
    assert found[0] is answer
    assert "whoever reaches the port" in found[1]
    assert "remediator generate token" in found[1]


async def test_credentials_are_counted_and_never_shown(tmp_path: Path) -> None:
    token = written(tmp_path, "token", "a-token-that-nobody-knows\n")
    found = await answers(ACCESS, asked(mode="active", web_token_files=(token,)))
    [result] = found.values()
    assert result.answer is OK
    assert result.lines == ("file:token: may alert, operate, read, in every namespace",)
    assert "nobody-knows" not in repr(found)


async def test_a_credentials_file_with_a_mistake_is_said_with_its_place(tmp_path: Path) -> None:
    file = written(tmp_path, "credentials.yaml", "credentials:\n  - {name: a, may: [alert]}\n")
    found = await only(ACCESS, asked(web_credentials_file=file))
    assert found[0] is FAILED
    assert f"{file}:2:" in found[1]


# --- the webhook


async def test_the_webhook_is_reached_and_nothing_is_posted() -> None:
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.put_nowait(await reader.read())
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        found = await only(WEBHOOK, asked(webhook_url=f"http://127.0.0.1:{port}/hook"))
        async with asyncio.timeout(5):
            assert await heard.get() == b""
    assert found[0] is OK


@pytest.mark.parametrize(
    ("settings", "answer", "text"),
    [
        ({}, SKIPPED, "not configured"),
        ({"webhook_url": "http://127.0.0.1:1/hook"}, FAILED, "network policy"),
        ({"webhook_url": f"http://{'a' * 64}.example/"}, FAILED, "is not known"),
        ({"webhook_url": "http://127.0.0.1:1/", "webhook_token_file": Path("/no/such")}, FAILED, "token file"),
    ],
)
async def test_a_webhook_that_cannot_be_told(settings: dict[str, Any], answer: Answer, text: str) -> None:
    found = await only(WEBHOOK, asked(**settings))
    assert found[0] is answer
    assert text in found[1]


async def test_a_proxy_is_said_and_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@127.0.0.1:1")
    found = await only(WEBHOOK, asked(webhook_url="https://hooks.example/"))
    assert found[0] is WARNING
    assert "secret" not in found[1]


# --- all of them together


async def test_what_does_not_end_or_breaks_is_one_result_and_the_others_go_on() -> None:
    async def hangs(_: Asked) -> Any:
        yield ok("first", "fine")
        await asyncio.Event().wait()

    async def breaks(_: Asked) -> Any:
        raise ValueError("odd answer")
        yield

    async def ends(_: Asked) -> Any:
        yield failed("a", "no", "mend it")

    found: list[Result] = list(
        await examine(
            asked(limit=0.05),
            examinations=[
                Examination(("first", "second", "third"), hangs),
                Examination(("broken",), breaks),
                Examination(("a", "b"), ends),
            ],
        )
    )
    assert [(one.name, one.answer) for one in found] == [
        ("first", OK),
        ("second", FAILED),
        ("third", SKIPPED),
        ("broken", FAILED),
        ("a", FAILED),
        ("b", SKIPPED),
    ]
    assert found[1].detail == "no answer within 0.05 s"
    assert found[2].detail == "since second failed"
    assert found[3].detail == "odd answer"
