"""What is particular to SQLite: how the one connection is opened, and what its errors mean.

`writer.py` calls it. The settings are the durability promise: an answered call has been synced to disk
(`synchronous=FULL`), and no second process or connection can touch the file (`locking_mode=EXCLUSIVE`), which also
keeps away the WAL-reset bug of SQLite 3.7.0 to 3.51.2, since that needs two connections.
"""

from __future__ import annotations

import sqlite3
from contextlib import AbstractContextManager
from functools import cache
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from remediator.errors import ConfigError, cut
from remediator.store.backend import Backend, Work
from remediator.store.place import check_file_system, check_there, identities, path_of
from remediator.store.place import check_in_place as check_files

_SCHEME = "sqlite"
_SYNCHRONOUS_FULL = 2
_BUSY_TIMEOUT_MS = 1000
"""How long opening waits for another process that is just leaving; afterwards nobody else can hold a lock."""

_PASSING = frozenset(
    {sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT}
)
"""Errors that leave the connection as good as before."""

_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})

_FILES = "remediator.files"
"""Where a connection keeps which files it was opened on."""


def check_url(url: str) -> sa.URL:
    """Raises ConfigError for anything but `sqlite:///path` and `sqlite:///:memory:`."""
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError as error:
        raise ConfigError(f"storage URL cannot be read; write {_SCHEME}:///path/to/remediator.db") from error
    if parsed.drivername != _SCHEME:
        raise ConfigError(
            f"storage URL begins with {parsed.drivername}; write {_SCHEME}:///path or postgresql://user@host/database"
        )
    return parsed


def is_memory(url: sa.URL) -> bool:
    return url.database in (None, "", ":memory:")


def connect(url: sa.URL) -> sa.Connection:
    """Open the one connection, alone on the file and durable; it belongs to the thread that opens it.

    Raises ConfigError when it cannot be had.
    """
    _check_place(url)
    try:
        connection = _engine(url).connect()
    except sa.exc.DBAPIError as error:
        raise ConfigError(_why_not(url, error)) from error
    try:
        _configure(_driver(connection))
        _check(connection, url)
        connection.info[_FILES] = identities(url)
    except (sqlite3.Error, OSError) as error:
        connection.close()
        raise ConfigError(_why_not(url, error)) from error
    except BaseException:
        connection.close()
        raise
    return connection


@cache
def _engine(url: sa.URL) -> sa.Engine:
    """What makes connections to it, and keeps compiled statements from one to the next; it holds none open."""
    # isolation_level None: the driver begins nothing on its own, so that BEGIN and SAVEPOINT are exactly ours.
    engine = sa.create_engine(url, poolclass=NullPool, connect_args={"isolation_level": None})
    sa.event.listen(engine, "begin", _begin)
    return engine


def begin(connection: sa.Connection, work: Work) -> AbstractContextManager[Any]:
    """The same for all work: who holds the file is alone with it."""
    return connection.begin()


def roll_back(connection: sa.Connection) -> None:
    """End the transaction that a failed COMMIT leaves open: SQLAlchemy holds it for ended, SQLite does not."""
    _driver(connection).rollback()


def image_of(connection: sa.Connection) -> bytes:
    """The whole database as bytes."""
    return _driver(connection).serialize()


def fill(connection: sa.Connection, image: bytes) -> None:
    """Let an empty database in memory be a copy of that one."""
    _driver(connection).deserialize(image)


def check_in_place(connection: sa.Connection) -> None:
    """Raises OutOfPlace when what was just written is not in the files that a restart would open."""
    check_files(connection.info[_FILES])


def is_doubtful(error: sa.exc.SQLAlchemyError) -> bool:
    """Whether what the connection believes may differ from what the disk holds, so that it must be opened anew."""
    return not isinstance(error, sa.exc.DBAPIError) or _code(error) not in _PASSING


def _check_place(url: sa.URL) -> None:
    path = path_of(url)
    if path is None:
        return
    try:
        path = path.resolve()
        if not path.parent.is_dir():
            raise ConfigError(f"storage folder {path.parent} does not exist; create it or change the storage URL")
        if path.is_dir():
            raise ConfigError(f"storage {path} is a folder; name a file in it")
    except OSError as error:
        raise ConfigError(f"storage {path} cannot be looked at: {error.strerror}") from error
    check_file_system(path)


def _driver(connection: sa.Connection) -> sqlite3.Connection:
    driver = connection.connection.driver_connection
    if driver is None:
        raise sqlite3.OperationalError("the connection is gone")
    return cast(sqlite3.Connection, driver)


def _configure(driver: sqlite3.Connection) -> None:
    for statement in (
        f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}",
        "PRAGMA locking_mode=EXCLUSIVE",  # before WAL: then it needs no shared memory either
        "PRAGMA journal_mode=WAL",
        "PRAGMA synchronous=FULL",
        "PRAGMA foreign_keys=ON",
        "PRAGMA secure_delete=ON",  # the exact requests of a plan, once replaced, must not stay in free pages
        # A write transaction takes the lock, which is then kept until the connection is closed.
        "BEGIN IMMEDIATE",
        "COMMIT",
        # After a failed sync a log page may be readable and yet not be on the disk: move all of it to the database.
        "PRAGMA wal_checkpoint(TRUNCATE)",
    ):
        driver.execute(statement).fetchall()


def _begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _check(connection: sa.Connection, url: sa.URL) -> None:
    with connection.begin():
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "locking_mode")
        }
    wanted = {
        "journal_mode": "memory" if is_memory(url) else "wal",
        "synchronous": _SYNCHRONOUS_FULL,
        "foreign_keys": 1,
        "locking_mode": "exclusive",
    }
    if found != wanted:
        raise ConfigError(f"storage {url.database}: not durable here: {found}, needed is {wanted}")


def _why_not(url: sa.URL, error: sa.exc.DBAPIError | sqlite3.Error | OSError) -> str:
    code = _code(error)
    if code in _BUSY:
        return f"another remediator holds {url.database}; stop it first, or use another file"
    # A read-only file in WAL mode fails at the exclusive lock, before anything says "readonly".
    if code == sqlite3.SQLITE_READONLY or _extended_code(error) == sqlite3.SQLITE_IOERR_LOCK:
        return (
            f"storage {url.database} is read-only, or its file system has no locks; make the file and its folder "
            "writable, on a disk of this machine"
        )
    if code == sqlite3.SQLITE_NOTADB:
        return f"storage {url.database} is not an SQLite database"
    return f"storage {url.database} cannot be opened: {cut(str(getattr(error, 'orig', None) or error))}"


def _code(error: sa.exc.DBAPIError | sqlite3.Error | OSError) -> int | None:
    # The low byte is the kind, the rest its detail (SQLITE_IOERR_FSYNC is SQLITE_IOERR).
    code = _extended_code(error)
    return None if code is None else code & 0xFF


def _extended_code(error: sa.exc.DBAPIError | sqlite3.Error | OSError) -> int | None:
    origin = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    return getattr(origin, "sqlite_errorcode", None)


SQLITE = Backend(
    connect=connect,
    begin=begin,
    roll_back=roll_back,
    is_doubtful=is_doubtful,
    errors=(sqlite3.Error,),
    check_there=check_there,
    check_in_place=check_in_place,
)
