"""What is particular to PostgreSQL: how a replica's one connection is opened, how its transactions begin, and what its
errors mean.

`writer.py` calls it through `POSTGRES`. Only where `urls.py` was asked for it is psycopg imported: it is an extra.

Writers. Several replicas write the same database, and each transaction that writes first takes the one advisory lock of
the database, which PostgreSQL gives up at its end, however it ends. So whoever writes is alone, as on SQLite. The level
is READ COMMITTED on purpose: there each statement sees what was committed before *it* began, and those after the lock
began after the transaction of the last holder had ended. Under REPEATABLE READ the snapshot would be as old as the wait
for the lock, and what the last holder wrote would be missing from it: ids would be given out twice. Nobody else writes
meanwhile, so what later statements see does not move either. A transaction that only reads takes no lock and sees one
snapshot (REPEATABLE READ, READ ONLY).

Nobody can hang the others. A replica that is paused inside a transaction is cut off by the server after
`_IDLE_SECONDS` and its lock is free; who waits for the lock longer than that and some more gives up
(StoreUnavailable), and so does who gets no answer at all.

Durable is what survives a crash of the server: `fsync`, `full_page_writes`, and a `synchronous_commit` that waits. Of
that `on`, `remote_write` and `remote_apply` wait for this server's disk, and for standbys where there are synchronous
ones. `local` waits for the disk alone: it is as good as `on` without synchronous standbys (the manual says they are
the same then), and with them it would give away what they are there for. `off` may lose commits for three times
`wal_writer_delay`. Source: PostgreSQL manual, 19.5 "Write Ahead Log", 13.2 "Transaction Isolation", 9.28 "Advisory
Lock Functions".

What is taken back or replaced (`redaction.py`) stays in dead rows until VACUUM has passed and their page is used
again, and in the archive of the WAL for as long as that is kept: PostgreSQL has no `secure_delete`.

Another replica's new work is seen by polling, as work that becomes due is (`poll_seconds`): LISTEN would need a second
connection for each replica, and a notification can be lost with it, so that polling would be needed all the same.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from functools import cache
from typing import Any, cast

import psycopg
import sqlalchemy as sa
from psycopg.types.string import StrDumper
from sqlalchemy.pool import NullPool

from remediator.errors import ConfigError, cut
from remediator.store.backend import Backend, Work

_OLDEST = 130000
"""`server_version` of PostgreSQL 13, the oldest that the tests' SQL is known to run on."""

LOCK = int.from_bytes(b"remediat")
"""The advisory lock of those who write: one for a database, since such locks are of a database."""

_IDLE_SECONDS = 5
_LOCK_SECONDS = 8
_STATEMENT_SECONDS = 20
_PATIENCE_SECONDS = 30
_MIGRATION_WAIT_SECONDS = 300

_NETWORK: Mapping[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "application_name": "remediator",
}
"""libpq's parameters where neither the URL nor its variables say otherwise: a server that is gone is noticed within
ten seconds."""

_VARIABLES = {"connect_timeout": "PGCONNECT_TIMEOUT", "application_name": "PGAPPNAME"}

_OURS: Mapping[str, Any] = {
    "autocommit": True,  # the driver begins nothing on its own, so that BEGIN is exactly ours
    "client_encoding": "utf8",
}

_SESSION = f"""
SET lock_timeout = '{_LOCK_SECONDS}s';
SET statement_timeout = '{_STATEMENT_SECONDS}s';
SET idle_in_transaction_session_timeout = '{_IDLE_SECONDS}s';
"""

_FOUND = sa.text("""
SELECT current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes,
    current_setting('synchronous_commit') AS synchronous_commit,
    current_setting('synchronous_standby_names') AS synchronous_standby_names,
    current_setting('server_encoding') AS server_encoding,
    current_setting('default_transaction_read_only') AS default_transaction_read_only,
    pg_is_in_recovery() AS is_standby
""")

_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_WRITE = f"""
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
SELECT current_setting('fsync') AS fsync, pg_advisory_xact_lock({LOCK})
"""
_MIGRATE = f"""
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
SET LOCAL statement_timeout = 0;
SET LOCAL idle_in_transaction_session_timeout = 0;
SET LOCAL lock_timeout = '{_MIGRATION_WAIT_SECONDS}s';
SELECT current_setting('fsync') AS fsync, pg_advisory_xact_lock({LOCK})
"""
_BEGIN = {Work.READS: _READ, Work.WRITES: _WRITE, Work.MIGRATES: _MIGRATE}
_WORK = "work of the next transaction"

_PASSING = frozenset({"55P03", "57014", "53100", "53200", "40001", "40P01"})
"""Errors that leave the connection as good as before: lock_not_available, query_canceled (a timeout), disk_full,
out_of_memory, serialization_failure, deadlock_detected."""


class _Text(StrDumper):
    """PostgreSQL keeps every character but NUL. The receiver and the API let none in; one that comes from elsewhere,
    say an annotation or a log, must not fail the batch it is in. The audit log has it as it was: its records are
    bytes."""

    def dump(self, obj: str) -> bytes | bytearray | memoryview | None:
        return super().dump(obj.replace("\0", "\N{REPLACEMENT CHARACTER}") if "\0" in obj else obj)


def connect(url: sa.URL) -> sa.Connection:
    """Open a connection to a server that keeps what it answers. It belongs to the thread that opens it.

    Raises ConfigError when the server is out of reach, older than 13, a standby, read-only or not durable.
    """
    try:
        connection = _engine(url).connect()
    except sa.exc.DBAPIError as error:
        raise ConfigError(f"storage {shown(url)} cannot be opened: {_said(url, error)}") from None
    try:
        _configure(connection, url)
    except (sa.exc.DBAPIError, psycopg.Error) as error:
        connection.close()
        raise ConfigError(f"storage {shown(url)} cannot be used: {_said(url, error)}") from None
    except BaseException:
        connection.close()
        raise
    return connection


def shown(url: sa.URL) -> str:
    """Which database it is, for people: no user, no password, no parameters."""
    port = "" if url.port is None else f":{url.port}"
    return f"postgresql://{url.host or ''}{port}/{url.database or ''}"


def begin(connection: sa.Connection, work: Work) -> AbstractContextManager[Any]:
    """Raises DBAPIError when the lock cannot be had in time, or the server has ceased to be durable."""
    connection.info[_WORK] = work
    return connection.begin()


def roll_back(connection: sa.Connection) -> None:
    if not connection.invalidated:  # else SQLAlchemy would open another one here, which nobody has looked at
        _driver(connection).rollback()


def is_doubtful(error: sa.exc.SQLAlchemyError) -> bool:
    """Also of a lost answer to COMMIT it is not known whether it was done: a new connection reads what was."""
    if not isinstance(error, sa.exc.DBAPIError) or error.connection_invalidated:
        return True
    return getattr(error.orig, "sqlstate", None) not in _PASSING


def give_up(connection: sa.Connection) -> None:
    """End the conversation from outside of the thread that waits in it: its wait then ends with an error."""
    with suppress(OSError, psycopg.Error, sa.exc.SQLAlchemyError):
        if not connection.invalidated:
            with socket.socket(fileno=os.dup(_driver(connection).fileno())) as ours:
                ours.shutdown(socket.SHUT_RDWR)


@cache
def _engine(url: sa.URL) -> sa.Engine:
    """What makes connections to it, and keeps compiled statements from one to the next; it holds none open."""
    given = {*url.query, *(name for name, variable in _VARIABLES.items() if variable in os.environ)}
    arguments = {**{name: value for name, value in _NETWORK.items() if name not in given}, **_OURS}
    # `format`: placeholders without names, as `Transaction.insert` wants them.
    engine = sa.create_engine(
        url, poolclass=NullPool, pool_reset_on_return=None, paramstyle="format", connect_args=arguments
    )
    sa.event.listen(engine, "connect", _adapt)
    sa.event.listen(engine, "begin", _begin)
    return engine


def _adapt(driver: psycopg.Connection[Any], _: object) -> None:
    driver.adapters.register_dumper(str, _Text)


def _begin(connection: sa.Connection) -> None:
    text = _BEGIN[connection.info.pop(_WORK, Work.WRITES)]
    try:
        # All in one message, so that the lock costs no second way there and back.
        cursor = _driver(connection).execute(text)
        while cursor.nextset():
            pass
        found = None if cursor.description is None else cursor.fetchone()
    except psycopg.Error as error:
        raise sa.exc.OperationalError(text, {}, error) from error
    if found is not None and found[0] != "on":
        raise sa.exc.OperationalError(text, {}, psycopg.OperationalError(f"fsync is {found[0]} now, not on"))


def _driver(connection: sa.Connection) -> psycopg.Connection[Any]:
    driver = connection.connection.driver_connection
    if driver is None:
        raise psycopg.OperationalError("the connection is gone")
    return cast("psycopg.Connection[Any]", driver)


def _configure(connection: sa.Connection, url: sa.URL) -> None:
    driver = _driver(connection)
    if driver.info.server_version < _OLDEST:
        major = driver.info.server_version // 10000
        raise ConfigError(f"storage {shown(url)}: this is PostgreSQL {major}; 13 or newer is needed")
    driver.execute(_SESSION)
    connection.info[_WORK] = Work.READS
    with connection.begin():
        found = dict(connection.execute(_FOUND).mappings().one())
    if (wrong := not_durable(found)) is not None:
        raise ConfigError(f"storage {shown(url)}: {wrong}")
    # Whatever the server is told later, this session goes on as it was found.
    driver.execute(f"SET synchronous_commit = {found['synchronous_commit']}")


def not_durable(found: Mapping[str, Any]) -> str | None:
    """Why a server with these settings does not keep what it answers, or cannot be written; None: it does. Pure."""
    if found["is_standby"]:
        return "this is a standby, which cannot be written; name the primary (target_session_attrs=read-write)"
    if found["default_transaction_read_only"] != "off":
        return "read-only here: default_transaction_read_only is on; set it to off for this user and database"
    if found["server_encoding"] != "UTF8":
        return f"server_encoding is {found['server_encoding']}; create the database with ENCODING 'UTF8'"
    for name in ("fsync", "full_page_writes"):
        if found[name] != "on":
            return f"not durable here: {name} is {found[name]}, needed is on"
    commit = found["synchronous_commit"]
    if commit == "local" and found["synchronous_standby_names"]:
        return "not durable here: synchronous_commit is local though there are synchronous standbys, needed is on"
    if commit not in ("on", "remote_write", "remote_apply", "local"):
        return f"not durable here: synchronous_commit is {commit}, needed is on"
    return None


def _said(url: sa.URL, error: Exception) -> str:
    """The driver's words; libpq shows no password, and if it did it would be taken out here."""
    text = str(getattr(error, "orig", None) or error)
    passwords = (url.password, url.query.get("password"), os.environ.get("PGPASSWORD"))
    for secret in passwords:
        if secret:
            text = text.replace(str(secret), "***")
    return cut(text)


POSTGRES = Backend(
    connect=connect,
    begin=begin,
    roll_back=roll_back,
    is_doubtful=is_doubtful,
    errors=(psycopg.Error,),
    give_up=give_up,
    patience_seconds=_PATIENCE_SECONDS,
)
