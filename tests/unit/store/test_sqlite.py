"""Opening an SQLite file: durable, alone, or a ConfigError that names the file."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from remediator.clock import SystemClock
from remediator.errors import ConfigError
from remediator.store.base import StoreUnavailable
from remediator.store.database import Database
from remediator.store.log import Log, LogKeys
from remediator.store.opening import open_database, ready
from remediator.store.sqlite import check_url, connect
from remediator.store.writer import Writer
from tests.unit.store.examples import NOW, firing, queued


def url_of(path: Path) -> str:
    return f"sqlite:///{path}"


async def opened(path: Path) -> Database:
    return await open_database(url_of(path), clock=SystemClock())


@pytest.mark.parametrize(
    ("pragma", "expected"),
    [("synchronous", 2), ("journal_mode", "wal"), ("foreign_keys", 1), ("locking_mode", "exclusive")],
)
def test_the_connection_is_durable_and_alone(tmp_path: Path, pragma: str, expected: object) -> None:
    connection = connect(check_url(url_of(tmp_path / "r.db")))
    with connection.begin():
        assert connection.exec_driver_sql(f"PRAGMA {pragma}").scalar_one() == expected
    connection.close()


async def test_refuses_a_database_that_cannot_be_made_durable() -> None:
    # A named database in memory accepts every setting and keeps none of them on a disk.
    with pytest.raises(ConfigError, match=r"not durable here.*memory"):
        await open_database("sqlite:///file:r?mode=memory&uri=true", clock=SystemClock())


async def test_refuses_a_file_that_another_holds(tmp_path: Path) -> None:
    first = await opened(tmp_path / "r.db")
    with pytest.raises(ConfigError, match=r"another remediator holds .*r\.db"):
        await opened(tmp_path / "r.db")
    await first.close()


async def test_a_closed_file_can_be_opened_again_with_everything_in_it(tmp_path: Path) -> None:
    first = await opened(tmp_path / "r.db")
    await first.accept([firing()], at=NOW)
    await first.close()
    second = await opened(tmp_path / "r.db")
    assert [remediation.alert for remediation in await queued(second)] == [firing()]
    await second.close()


def _a_folder(path: Path) -> None:
    path.mkdir()


def _some_text(path: Path) -> None:
    path.write_text("alert fatigue " * 200)


@pytest.mark.parametrize(
    ("make", "name", "message"),
    [
        (None, "missing/r.db", "folder .*missing does not exist"),
        (_a_folder, "r.db", "r.db is a folder"),
        (_some_text, "r.db", "r.db is not an SQLite database"),
    ],
    ids=["no folder", "a folder", "not a database"],
)
async def test_names_the_file_that_cannot_be_used(
    tmp_path: Path, make: Callable[[Path], None] | None, name: str, message: str
) -> None:
    if make is not None:
        make(tmp_path / name)
    with pytest.raises(ConfigError, match=message):
        await opened(tmp_path / name)


async def test_refuses_a_read_only_file(tmp_path: Path) -> None:
    await (await opened(tmp_path / "r.db")).close()
    with pytest.raises(ConfigError, match="is read-only"):
        await open_database(f"sqlite:///file:{tmp_path}/r.db?mode=ro&uri=true", clock=SystemClock())


@pytest.mark.parametrize("url", ["mysql://localhost/r", "sqlite+aiosqlite:///r.db", "remediator.db"])
async def test_refuses_another_kind_of_url(url: str) -> None:
    with pytest.raises(ConfigError, match="sqlite:///path"):
        await open_database(url, clock=SystemClock())


async def test_a_full_disk_fails_the_call_and_nothing_more(tmp_path: Path) -> None:
    log = Log(LogKeys())
    begun = partial(ready, check_url(url_of(tmp_path / "r.db")), log, NOW)
    writer = await Writer.open(begun, connect=None, log=log)
    store = Database(writer, clock=SystemClock())

    async def set_max_pages(count: int) -> None:
        await writer.read(lambda t: t.connection.exec_driver_sql(f"PRAGMA max_page_count={count}").scalar_one())

    await store.accept([firing(0)], at=NOW)
    await set_max_pages(1)  # SQLite takes the present size for a smaller one
    with pytest.raises(StoreUnavailable, match="full"):
        await store.accept([firing(number) for number in range(1, 500)], at=NOW)
    await set_max_pages(1_000_000)
    assert len(await store.records(after=0, limit=10)) == 1
    assert (await store.accept([firing(number) for number in range(1, 500)], at=NOW)).queued == 499
    await store.close()


async def test_the_file_passes_the_integrity_check(tmp_path: Path) -> None:
    store = await opened(tmp_path / "r.db")
    await store.accept([firing(number) for number in range(100)], at=NOW)
    await store.close()
    with closing(sqlite3.connect(tmp_path / "r.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
