"""Opening a PostgreSQL database: durable, writable, or a ConfigError that says what to set; what its faults mean."""

from __future__ import annotations

import asyncio
import importlib.abc
import logging
import signal
import socket
import sys
import time
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from remediator.clock import SystemClock
from remediator.errors import ConfigError
from remediator.model import State
from remediator.store.base import KillSwitch, LostClaim, Record, StoreUnavailable
from remediator.store.database import Database
from remediator.store.indexes import metadata
from remediator.store.leaves import TILE
from remediator.store.opening import open_database
from remediator.store.pauses_base import Pause, PauseOf
from remediator.store.postgres import connect, not_durable
from remediator.store.urls import backend_of, parsed
from tests.postgres import Server
from tests.unit.store.examples import LEASE, NOTE, NOW, firing

DURABLE: dict[str, Any] = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "synchronous_standby_names": "",
    "server_encoding": "UTF8",
    "default_transaction_read_only": "off",
    "is_standby": False,
}
BACK_SECONDS = 10
"""How soon it serves again, by the issue."""


@pytest.fixture
def url(postgres_url: str) -> str:
    return postgres_url


@pytest.fixture
async def store(url: str) -> AsyncIterator[Database]:
    database = await open_database(url, clock=SystemClock())
    yield database
    await database.close()


# -- what is durable


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, None),
        ({"synchronous_commit": "remote_write"}, None),
        ({"synchronous_commit": "remote_apply"}, None),
        ({"synchronous_commit": "local"}, None),
        ({"synchronous_commit": "local", "synchronous_standby_names": "b"}, "synchronous_commit is local"),
        ({"synchronous_commit": "off"}, "synchronous_commit is off"),
        ({"fsync": "off"}, "fsync is off"),
        ({"full_page_writes": "off"}, "full_page_writes is off"),
        ({"is_standby": True}, "standby"),
        ({"default_transaction_read_only": "on"}, "read-only"),
        ({"server_encoding": "SQL_ASCII"}, "ENCODING 'UTF8'"),
    ],
)
def test_durable_is_what_survives_a_crash_of_the_server(changes: dict[str, Any], said: str | None) -> None:
    found = not_durable(DURABLE | changes)
    assert found is None if said is None else said in (found or "")


@pytest.mark.parametrize("setting", ["synchronous_commit = off", "default_transaction_read_only = on"])
async def test_refuses_at_start_what_is_set_for_its_database(postgres: Server, url: str, setting: str) -> None:
    name = url.rpartition("/")[2]
    postgres.execute(f"ALTER DATABASE {name} SET {setting}")
    try:
        with pytest.raises(ConfigError, match=setting.partition(" ")[0]):
            await open_database(url, clock=SystemClock())
    finally:
        postgres.execute(f"ALTER DATABASE {name} RESET ALL")


async def test_refuses_another_encoding(postgres: Server) -> None:
    url = postgres.url(postgres.empty_database(ENCODING="'SQL_ASCII'", TEMPLATE="template0"))
    with pytest.raises(ConfigError, match="server_encoding is SQL_ASCII"):
        await open_database(url, clock=SystemClock())
    postgres.drop(url)


def test_what_the_server_is_told_later_does_not_weaken_a_session(url: str) -> None:
    connection = connect(parsed(url))
    with connection.begin():
        source = "SELECT setting, source FROM pg_settings WHERE name = 'synchronous_commit'"
        assert tuple(connection.exec_driver_sql(source).one()) == ("on", "session")
    connection.close()


# -- the URL, and who may know it


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_each_of_its_names_is_known(scheme: str) -> None:
    assert parsed(f"{scheme}://h/d").drivername == "postgresql+psycopg"


def test_a_password_may_have_any_character() -> None:
    assert parsed("postgresql://me:%2F%40%3A%3F@h/d").password == "/@:?"


@pytest.mark.parametrize(
    "url", ["postgresql//me:s3cret@host/x", "postgresql://me:s3cret@host:port/x", "postgresql://me:s3cret/@host/x"]
)
def test_a_url_that_cannot_be_read_is_not_shown(url: str) -> None:
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        parsed(url)
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


async def test_a_password_is_in_no_error_and_in_no_log(
    postgres: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    url = postgres.url("missing").replace("@", ":s3cret-w0rd@")
    with pytest.raises(ConfigError, match=r'postgresql://127.*missing.*"missing" does not exist') as caught:
        await open_database(url, clock=SystemClock())
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert "s3cret" not in caplog.text


async def test_the_ways_of_libpq_work(
    postgres: Server, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not in the URL comes from the environment, as it does for psql."""
    name = url.rpartition("/")[2]
    for variable, value in {"PGHOST": "127.0.0.1", "PGPORT": str(postgres.port), "PGUSER": "remediator"}.items():
        monkeypatch.setenv(variable, value)
    store = await open_database(f"postgresql:///{name}?sslmode=prefer&application_name=mine", clock=SystemClock())
    [[application]] = postgres.execute(f"SELECT application_name FROM pg_stat_activity WHERE datname = '{name}'")
    await store.close()
    assert application == "mine"


async def test_a_server_without_tls_is_refused_where_tls_is_asked_for(url: str) -> None:
    with pytest.raises(ConfigError, match="does not support SSL"):
        await open_database(f"{url}?sslmode=require", clock=SystemClock())


def test_without_the_extra_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Missing(importlib.abc.MetaPathFinder):
        def find_spec(self, name: str, *_: object) -> None:
            if name.partition(".")[0] == "psycopg":
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    for name in [name for name in sys.modules if name.startswith(("psycopg", "remediator.store.postgres"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])
    with pytest.raises(ConfigError, match=r"pip install 'remediator\[postgres\]'"):
        backend_of(parsed("postgresql://h/d"))


async def test_a_server_that_is_not_there_is_a_config_error(own_port: int) -> None:
    with pytest.raises(ConfigError, match=rf"postgresql://127.0.0.1:{own_port}/r cannot be opened.*refused"):
        await open_database(f"postgresql://127.0.0.1:{own_port}/r", clock=SystemClock())


@pytest.fixture
def own_port() -> Iterator[int]:
    """A port that nobody listens on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


async def test_a_role_that_may_not_make_tables_is_told_so(postgres: Server) -> None:
    url = postgres.url(postgres.empty_database())
    postgres.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC", url.rpartition("/")[2])  # the default since 15
    postgres.execute("CREATE ROLE reader LOGIN")
    with pytest.raises(ConfigError, match="cannot be made ready: permission denied for schema public"):
        await open_database(url.replace("remediator@", "reader@"), clock=SystemClock())
    postgres.drop(url)
    postgres.execute("DROP ROLE reader")


# -- the schema


def test_the_revisions_make_what_the_tables_say(url: str) -> None:
    connection = connect(parsed(url))
    with connection.begin():
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    connection.close()


def test_every_index_is_made_with_its_condition(postgres: Server, url: str) -> None:
    # Alembic compares neither conditions nor expressions.
    reference = postgres.url(postgres.empty_database())
    engine = sa.create_engine(parsed(reference))
    metadata.create_all(engine)
    engine.dispose()
    query = (
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version' "
        "ORDER BY indexname"
    )
    found, wanted = (postgres.execute(query, one.rpartition("/")[2]) for one in (url, reference))
    assert found == wanted
    postgres.drop(reference)


async def test_what_is_old_or_free_may_go_and_the_tree_stays(store: Database, url: str) -> None:
    """The triggers let go of what retention has given up, and of what stands beside a record."""
    await store.note([Record("test.noted", {"n": n, "comment": "x"}) for n in range(2 * TILE + 9)], at=NOW)
    root = await store.log_root_at(2 * TILE + 9)
    assert await store.prune(before=NOW + timedelta(days=1)) == 2 * TILE
    said = {"by": "ada", "comment": "asked for", "at": NOW}
    assert await store.redact(2 * TILE + 1, ["comment"], **said) == ["comment"]
    assert await store.log_root_at(2 * TILE + 9) == root
    await store.close()
    again = await open_database(url, clock=SystemClock())
    assert (await again.log_standing()).problem == ""
    await again.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE records SET kind = 'x'",
        "DELETE FROM records",
        "TRUNCATE records",
        "INSERT INTO records (seq, at, kind, canonical) VALUES (5, 0, 'x', '')",
        "INSERT INTO records (seq, at, kind, canonical) VALUES (0, 0, 'x', '')",
    ],
    ids=["change", "delete", "truncate", "leave a hole", "before the first"],
)
async def test_the_audit_log_only_grows_by_the_next_number(store: Database, url: str, statement: str) -> None:
    await store.accept([firing()], at=NOW)
    refused = psycopg.errors.IntegrityConstraintViolation
    with psycopg.connect(url) as direct, pytest.raises(refused, match="append-only"):
        direct.execute(statement.encode())


async def test_refuses_the_schema_of_a_newer_version(url: str) -> None:
    with psycopg.connect(url) as direct:
        found = direct.execute("SELECT version_num FROM alembic_version").fetchone()
        direct.execute("UPDATE alembic_version SET version_num = '9999'")
    try:
        with pytest.raises(ConfigError, match=r"schema 9999.*newer remediator"):
            await open_database(url, clock=SystemClock())
    finally:
        with psycopg.connect(url) as direct:
            direct.execute("UPDATE alembic_version SET version_num = %s", found)


# -- what must not fail a batch


async def test_a_text_with_nul_fails_nobody(store: Database) -> None:
    """PostgreSQL keeps no NUL: the row has U+FFFD in its place, the audit log has the text as it was."""
    switch = KillSwitch(True, "a\0b", "ada", NOW, None)
    _, accepted = await asyncio.gather(store.set_kill_switch(switch), store.accept([firing()], at=NOW))
    assert accepted.queued == 1
    assert (await store.kill_switch()).comment == "a�b"
    [record] = [one for one in await store.records(after=0, limit=10) if one.kind == "switch.engaged"]
    assert record.body["comment"] == "a\0b"


async def test_an_alert_with_nul_everywhere_is_kept(store: Database) -> None:
    """The receiver quarantines such alerts; one that came in all the same must not be sent again for ever."""
    alert = replace(firing(), group_key="\0", generator_url="\0", receiver="a\0", labels={"a\0": "\0"})
    assert (await store.accept([alert, firing(2)], at=NOW)).queued == 2
    assert (await store.accept([alert], at=NOW)).repeated == 1


async def test_a_text_that_does_not_fit_its_index_fails_alone(store: Database) -> None:
    noise = "".join(chr(0x4E00 + (number * 7919) % 20000) for number in range(5000))
    pause = Pause(PauseOf.RULE, noise, "ada", "too long", NOW, None)
    failed, accepted = await asyncio.gather(
        store.set_pause(pause), store.accept([firing()], at=NOW), return_exceptions=True
    )
    assert isinstance(failed, StoreUnavailable)
    assert not isinstance(accepted, BaseException)
    assert accepted.queued == 1


# -- a server that goes away


async def until(holds: Callable[[], bool]) -> None:
    """Ends when it holds, or with the time limit of the test."""
    async with asyncio.timeout(60):
        while True:
            if holds():
                return
            await asyncio.sleep(0.01)


async def test_what_a_server_answered_survives_its_crash_and_it_serves_again_by_itself(own_postgres: Server) -> None:
    """`pg_ctl restart -m immediate` under load: no answer is lost, and nobody has to restart us."""
    url = await own_postgres.database()
    store = await open_database(url, clock=SystemClock())
    numbers, answered, refused = count(), [], 0
    is_over = asyncio.Event()

    async def caller() -> None:
        nonlocal refused
        while not is_over.is_set():
            number = next(numbers)
            try:
                await store.accept([firing(number)], at=NOW)
            except StoreUnavailable:
                refused += 1
                await asyncio.sleep(0.01)
            else:
                answered.append(number)

    async def crash() -> None:
        answers, refusals = len(answered), refused
        await until(lambda: len(answered) > answers + 50)
        await asyncio.to_thread(own_postgres.stop, signal.SIGQUIT)
        await until(lambda: refused > refusals + 5)
        await asyncio.to_thread(own_postgres.start)
        back, present = time.monotonic(), len(answered)
        await until(lambda: len(answered) > present)
        assert time.monotonic() - back < BACK_SECONDS

    async def crash_twice() -> None:
        for _ in range(2):
            await crash()
        is_over.set()

    async with asyncio.timeout(120), asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(caller())
        group.create_task(crash_twice())
    found = {int(record.body["fingerprint"], 16) for record in await store.records(after=0, limit=100_000)}
    assert set(answered) - found == set()
    assert (await store.log_standing()).problem == ""
    assert await store.log_look_over(0, 1000) == (None, "")
    await store.close()


class Wire:
    """Between us and the server; once told to, it takes the answer to the next COMMIT away, and the connection."""

    def __init__(self, server: Server) -> None:
        self._behind = server.port
        self._ends: list[asyncio.StreamWriter] = []
        self.cuts = False

    async def __aenter__(self) -> Wire:
        self._listening = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._listening.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listening.close()
        for end in self._ends:
            end.close()
        await asyncio.gather(*(end.wait_closed() for end in self._ends), return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection("127.0.0.1", self._behind)
        self._ends += [writer, forth]
        async with asyncio.TaskGroup() as group:
            answers = group.create_task(self._pass_on(back, writer))
            while chunk := await reader.read(1 << 16):
                if self.cuts and b"COMMIT\0" in chunk:  # the statement, not the level READ COMMITTED
                    self.cuts = False
                    answers.cancel()
                    await asyncio.wait([answers])
                    forth.write(chunk)
                    assert b"COMMIT\0" in await back.read(1 << 16), "the server has answered"
                    break
                forth.write(chunk)
            answers.cancel()
            writer.close()
            forth.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(1 << 16):
            writer.write(chunk)
        writer.close()


async def test_a_commit_whose_answer_was_lost_was_done_or_not_and_is_read_back(postgres: Server, url: str) -> None:
    """Alertmanager sends again, which is a repeat; whoever claims next finds what was committed."""
    async with Wire(postgres) as wire:
        store = await open_database(url.replace(str(postgres.port), str(wire.port)), clock=SystemClock())
        wire.cuts = True
        with pytest.raises(StoreUnavailable):
            await store.accept([firing()], at=NOW)
        assert (await store.accept([firing()], at=NOW)).repeated == 1
        [claimed] = await store.claim(owner="a", at=NOW, lease=LEASE, limit=10)
        wire.cuts = True
        with pytest.raises(StoreUnavailable):
            await store.advance(claimed, to=State.DIAGNOSING, record=NOTE, at=NOW)
        with pytest.raises(LostClaim):
            await store.advance(claimed, to=State.DIAGNOSING, record=NOTE, at=NOW)
        [found] = await store.claim(owner="a", at=NOW + 2 * LEASE, lease=LEASE, limit=10)
        assert (found.state, found.epoch) == (State.DIAGNOSING, claimed.epoch + 1)
        assert [one.kind for one in await store.records(after=0, limit=9)] == ["alert.received", NOTE.kind]
        await store.close()


async def test_refuses_a_server_without_fsync_and_notices_when_it_goes(own_postgres: Server) -> None:
    """A session that began well hears of it with its next write; nothing is answered until it is on again."""
    url = await own_postgres.database()
    store = await open_database(url, clock=SystemClock())
    await store.accept([firing(1)], at=NOW)

    async def told(value: str) -> None:
        own_postgres.configure(fsync=value)
        own_postgres.reload()
        await until(lambda: own_postgres.execute("SHOW fsync") == [(value,)])

    await told("off")
    with pytest.raises(ConfigError, match="not durable here: fsync is off"):
        await open_database(url, clock=SystemClock())
    answers = []
    while not answers or not isinstance(answers[-1], StoreUnavailable):  # each process reads the file when it can
        answers += await asyncio.gather(store.accept([firing(2)], at=NOW), return_exceptions=True)
        assert len(answers) < 1000
    with pytest.raises(StoreUnavailable, match="fsync is off"):
        await store.accept([firing(3)], at=NOW)
    await told("on")
    assert (await store.accept([firing(3)], at=NOW)).queued == 1
    await store.close()
