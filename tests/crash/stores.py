"""The two stores as the crash tests look at them from outside, while no service runs.

A kind of store more is a class with these methods, and its name in `STORES`.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pytest

from remediator.audit.findings import Answer
from remediator.audit.note import Checkpoint, checkpoint, opened
from remediator.audit.verify import anchors, trusted_keys, verify
from remediator.clock import SystemClock
from remediator.store.opening import open_database
from tests.logkeys import KEYS
from tests.postgres import Server

STORES = ("sqlite", "postgresql")


class Kept(Protocol):
    """`url` is for the service; the others read what it left."""

    url: str

    def rows(self, question: str) -> Sequence[Any]: ...

    def check(self) -> None:
        """Raises AssertionError when the database finds a fault in itself."""

    async def check_log(self, anchor: Path) -> None:
        """Raises AssertionError when a record was changed, or taken away since it was anchored."""


class InFile:
    """A copy is looked at: what a killed process left in the file and its log is for the next one to put together."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "r.db"
        self.url = f"sqlite:///{self._file}"

    def rows(self, question: str) -> Sequence[Any]:
        with tempfile.TemporaryDirectory() as folder:
            for file in self._file.parent.glob("r.db*"):
                shutil.copy(file, folder)
            with closing(sqlite3.connect(Path(folder) / "r.db")) as connection:
                return connection.execute(question).fetchall()

    def check(self) -> None:
        assert self.rows("PRAGMA integrity_check") == [("ok",)]

    async def check_log(self, anchor: Path) -> None:
        verify_log(self._file, anchor)


def verify_log(file: Path, anchor: Path) -> None:
    """`remediator audit verify`. Raises AssertionError."""
    noted = anchors(anchor.read_text(encoding="utf-8"))
    report = verify(file, trusted=trusted_keys(f"{KEYS.known[0]}\n"), anchored=noted)
    assert report.answer is Answer.VERIFIED, report.reason


class OnServer:
    """What was under way when the process died may yet be rolled back: it waits for that."""

    def __init__(self, url: str) -> None:
        self.url = url

    def rows(self, question: str) -> Sequence[Any]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            return connection.execute(question.encode()).fetchall()

    def check(self) -> None:
        """Every index against its table, by amcheck."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("CREATE EXTENSION IF NOT EXISTS amcheck")
            connection.execute(
                "SELECT bt_index_check(indexrelid, true) FROM pg_index JOIN pg_class ON pg_class.oid = indrelid "
                "WHERE relnamespace = 'public'::regnamespace"
            )

    async def check_log(self, anchor: Path) -> None:
        store = await open_database(self.url, clock=SystemClock(), keys=KEYS)
        try:
            assert (await store.log_standing()).problem == ""
            assert await store.log_look_over(0, 1_000_000) == (None, "")
            for noted in _anchored(anchor):
                assert await store.log_root_at(noted.size) == noted.root, f"not what was anchored at {noted.size}"
        finally:
            await store.close()


def _anchored(anchor: Path) -> Sequence[Checkpoint]:
    notes = anchors(anchor.read_text(encoding="utf-8"))
    return [checkpoint(opened(note, KEYS.known)[0]) for note in notes]


@asynccontextmanager
async def _new(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Kept]:
    if request.param == "sqlite":
        yield InFile(folder)
        return
    server: Server = request.getfixturevalue("postgres")
    url = server.url(server.empty_database())
    yield OnServer(url)
    server.drop(url)


@pytest.fixture(params=STORES)
async def kept(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Kept]:
    """A new store of each kind."""
    async with _new(request, tmp_path) as made:
        yield made


@pytest.fixture
async def kept_in(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Kept]:
    """A new store of the kind that the test names, as a parameter of this."""
    async with _new(request, tmp_path) as made:
        yield made
