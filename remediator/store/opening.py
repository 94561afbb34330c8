"""Opening the store: connect, bring the schema up to date, look at the audit log, start the writer.

Before the way of an alert. `app.py` opens the one of the service, `simulate/` and `backtest/` those in memory; what
cannot be used is refused here, and what has become doubtful is opened again by the writer with what stands here.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache, partial

import sqlalchemy as sa

from remediator.clock import Clock
from remediator.errors import ConfigError, cut
from remediator.store import duties
from remediator.store.backend import Backend, Work
from remediator.store.database import Database
from remediator.store.direct import Direct
from remediator.store.log import Log, LogKeys
from remediator.store.migrate import migrate
from remediator.store.sqlite import SQLITE, check_url, connect, fill, image_of, is_memory
from remediator.store.transaction import Transaction
from remediator.store.urls import backend_of, is_postgres, parsed
from remediator.store.writer import AtOnce, Writer

_MEMORY = "sqlite:///:memory:"
_NO_KEYS = LogKeys()


async def open_database(
    url: str, *, clock: Clock, keys: LogKeys = _NO_KEYS, log_name: str = "default"
) -> Database:
    """Connect, bring the schema up to date, look at the audit log, and start the writer. The caller closes it.

    `keys` sign the log; `log_name` is part of its name where it begins here.

    `url` is `sqlite:///relative/path`, `sqlite:////absolute/path`, `sqlite:///:memory:` or
    `postgresql://user@host/database`. Raises ConfigError when the database cannot be used: held by another process
    (SQLite), out of reach, read-only, not durable, or written by a newer version.
    """
    place = parsed(url)
    backend = backend_of(place)
    log = Log(keys, name=log_name)
    is_lasting = is_postgres(place) or not is_memory(place)
    again = partial(reopened, place, log) if is_lasting else None
    begun = partial(ready, place, log, clock.now())
    return Database(await Writer.open(begun, connect=again, log=log, backend=backend), clock=clock)


async def open_in_memory(*, clock: Clock) -> Database:
    """A database in memory, as a copy of one that the migrations were run on once, and without a thread of its own: for
    whoever opens many and plays them."""
    log = Log(_NO_KEYS)
    writer = await Writer.open(partial(_copied, log, clock.now()), connect=None, log=log, thread=AtOnce())
    return Database(writer, clock=clock)


def direct_in_memory(*, clock: Clock) -> Direct:
    """The writer of a database in memory that keeps no record, for whoever makes the `Database` himself."""
    log = Log(_NO_KEYS)
    return Direct(_copied(log, clock.now()), log)


def _copied(log: Log, at: datetime) -> sa.Connection:
    connection = connect(check_url(_MEMORY))
    fill(connection, _blank())
    return _begun(connection, log, at, SQLITE)


@cache
def _blank() -> bytes:
    connection = connect(check_url(_MEMORY))
    try:
        migrate(connection)
        return image_of(connection)
    finally:
        connection.close()


def ready(url: sa.URL, log: Log, at: datetime) -> sa.Connection:
    """A connection to a database that is ready to be written. Raises ConfigError."""
    backend = backend_of(url)
    connection = backend.connect(url)
    try:
        migrate(connection, backend)
        return _begun(connection, log, at, backend)
    except sa.exc.DBAPIError as error:
        connection.close()
        said = cut(str(error.orig or error))
        raise ConfigError(f"storage {url.database} cannot be made ready: {said}") from error
    except BaseException:
        connection.close()
        raise


def reopened(url: sa.URL, log: Log) -> sa.Connection:
    """A connection to the same database again, after one that became doubtful. Raises ConfigError when it is gone, or
    when another one, or an older copy, is in its place."""
    backend = backend_of(url)
    backend.check_there(url)
    connection = backend.connect(url)
    try:
        with backend.begin(connection, Work.READS):
            log.check_not_older(connection, is_shared=backend.is_shared)
    except sa.exc.DBAPIError as error:
        connection.close()
        raise ConfigError(f"what is at {url.database} now cannot be used: {cut(str(error.orig))}") from error
    except BaseException:
        connection.close()
        raise
    return connection


def _begun(connection: sa.Connection, log: Log, at: datetime, backend: Backend) -> sa.Connection:
    try:
        with backend.begin(connection, Work.MIGRATES):
            transaction = Transaction(connection, log)
            for entry in log.begin(connection, at=at):
                transaction.record(entry)
            transaction.write_records()
            log.head(connection)
            if not backend.is_shared:
                duties.free(connection)  # whoever had them held the file, and so is dead
        log.committed()
    except BaseException:
        connection.close()
        raise
    return connection
