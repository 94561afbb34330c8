"""The store under SIGKILL and on a failing disk: what was answered is there, and the database is whole.

SIGKILL cannot see a missing sync (the page cache survives it); that the setting is right is tested in
`tests/unit/store/test_sqlite.py` and `test_postgres.py`. What it sees is an answer given too early, as the negative
control shows. On PostgreSQL it is our process that is killed; what a crash of the server does is in `test_postgres.py`.
`--long` kills 200 times on each.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from remediator.clock import SystemClock
from remediator.errors import ConfigError
from remediator.store.opening import open_database
from tests.postgres import Server

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.crash


@contextmanager
def child(url: str, what: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "tests.crash.store_child", url, what]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def killed_after(url: str, what: str, *, answers: int) -> set[int]:
    """Start the child, kill it once it has answered that often, and give everything that it had answered."""
    with child(url, what) as process:
        assert process.stdout is not None
        seen = [int(process.stdout.readline()) for _ in range(answers)]
        process.kill()
        rest = process.stdout.read().splitlines()
    return {*seen, *(int(line) for line in rest)}


ALERTS = "SELECT fingerprint FROM alerts"
RECORDS = "SELECT count(*), min(seq), max(seq) FROM records"
REMEDIATIONS = "SELECT count(*), count(DISTINCT alert_id), max(id) FROM remediations"


def stored(database: Path) -> set[int]:
    """The alerts in the file, after checking the file itself: integrity, and a dense audit log of as many records."""
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return checked(connection.execute)


def stored_at(url: str) -> set[int]:
    """The same of PostgreSQL, where each table and index is checked against the other (`amcheck`)."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS amcheck")
        connection.execute(
            "SELECT bt_index_check(indexrelid, true) FROM pg_index JOIN pg_class ON pg_class.oid = indrelid "
            "WHERE relnamespace = 'public'::regnamespace"
        )
        # One snapshot: what was under way when the process died may yet be committed.
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        return checked(connection.execute)


def checked(execute: Callable[[str], Any]) -> set[int]:
    numbers = {int(row[0], 16) for row in execute(ALERTS)}
    assert tuple(execute(RECORDS).fetchone()) == (len(numbers), 1, len(numbers))
    assert tuple(execute(REMEDIATIONS).fetchone()) == (len(numbers),) * 3
    return numbers


def test_twenty_kills_under_load_lose_nothing_that_was_answered(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    database = tmp_path / "r.db"
    answered: set[int] = set()
    for cycle in range(200 if request.config.getoption("--long") else 20):
        answered |= killed_after(f"sqlite:///{database}", "after-commit", answers=20 + 37 * (cycle % 20))
        assert answered - stored(database) == set()


async def test_kills_on_postgresql_lose_nothing_that_was_answered(
    postgres: Server, request: pytest.FixtureRequest
) -> None:
    url = await postgres.database()
    answered: set[int] = set()
    cycles = 200 if request.config.getoption("--long") else 5
    for cycle in range(cycles):
        answered |= killed_after(url, "after-commit", answers=20 + 37 * (cycle % 20))
        assert answered - stored_at(url) == set()
    store = await open_database(url, clock=SystemClock())
    assert (await store.log_standing()).problem == ""
    assert await store.log_look_over(0, 1_000_000) == (None, "")
    await store.close()
    postgres.drop(url)


def test_the_kill_test_sees_an_answer_that_was_given_before_the_commit(tmp_path: Path) -> None:
    answered = killed_after(f"sqlite:///{tmp_path / 'r.db'}", "before-commit", answers=200)
    assert answered - stored(tmp_path / "r.db")


async def test_the_kill_test_sees_it_on_postgresql(postgres: Server) -> None:
    url = await postgres.database()
    answered = killed_after(url, "before-commit", answers=200)
    assert answered - stored_at(url)
    postgres.drop(url)


async def test_a_second_process_is_refused_while_the_first_lives_and_not_after_its_death(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/r.db"
    with child(f"sqlite:///{tmp_path}/r.db", "after-commit") as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(ConfigError, match="another remediator holds"):
            await open_database(url, clock=SystemClock())
    await (await open_database(url, clock=SystemClock())).close()


def test_a_disk_that_fails_is_answered_with_unavailable_and_served_again_afterwards(tmp_path: Path) -> None:
    with child(f"sqlite:///{tmp_path}/r.db", "starved") as process:
        assert process.stdout is not None
        result = json.loads(process.stdout.read())
    assert result["error"].startswith("the store cannot commit")
    assert result["queued_after"] == 1
    assert result["records"] == result["kept"] + 1
    assert len(stored(tmp_path / "r.db")) == result["records"]
