"""The store under SIGKILL and on a failing disk: what was answered is there, and the file is whole.

SIGKILL cannot see a missing sync (the page cache survives it); that the setting is right is tested in
`tests/unit/store/test_sqlite.py`. What it sees is an answer given too early, as the negative control shows.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from remediator.clock import SystemClock
from remediator.errors import ConfigError
from remediator.store.database import open_database

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.crash


@contextmanager
def child(database: Path, what: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "tests.crash.store_child", f"sqlite:///{database}", what]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def killed_after(database: Path, what: str, *, answers: int) -> set[int]:
    """Start the child, kill it once it has answered that often, and give everything that it had answered."""
    with child(database, what) as process:
        assert process.stdout is not None
        seen = [int(process.stdout.readline()) for _ in range(answers)]
        process.kill()
        rest = process.stdout.read().splitlines()
    return {*seen, *(int(line) for line in rest)}


def stored(database: Path) -> set[int]:
    """The alerts in the file, after checking the file itself: integrity, and a dense audit log of as many records."""
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        numbers = {int(row[0], 16) for row in connection.execute("SELECT fingerprint FROM alerts")}
        records = connection.execute("SELECT count(*), min(seq), max(seq) FROM records").fetchone()
        remediations = connection.execute("SELECT count(*) FROM remediations").fetchone()
    assert records == (len(numbers), 1, len(numbers))
    assert remediations == (len(numbers),)
    return numbers


def test_twenty_kills_under_load_lose_nothing_that_was_answered(tmp_path: Path) -> None:
    database = tmp_path / "r.db"
    answered: set[int] = set()
    for cycle in range(20):
        answered |= killed_after(database, "after-commit", answers=20 + 37 * cycle)
        assert answered - stored(database) == set()


def test_the_kill_test_sees_an_answer_that_was_given_before_the_commit(tmp_path: Path) -> None:
    answered = killed_after(tmp_path / "r.db", "before-commit", answers=200)
    assert answered - stored(tmp_path / "r.db")


async def test_a_second_process_is_refused_while_the_first_lives_and_not_after_its_death(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/r.db"
    with child(tmp_path / "r.db", "after-commit") as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(ConfigError, match="another remediator holds"):
            await open_database(url, clock=SystemClock())
    await (await open_database(url, clock=SystemClock())).close()


def test_a_disk_that_fails_is_answered_with_unavailable_and_served_again_afterwards(tmp_path: Path) -> None:
    with child(tmp_path / "r.db", "starved") as process:
        assert process.stdout is not None
        result = json.loads(process.stdout.read())
    assert result["error"].startswith("the store cannot commit")
    assert result["queued_after"] == 1
    assert result["records"] == result["kept"] + 1
    assert len(stored(tmp_path / "r.db")) == result["records"]
