"""Which database a storage URL names. `database.py` and the doctor ask."""

from __future__ import annotations

from importlib import import_module

import sqlalchemy as sa

from remediator.errors import ConfigError
from remediator.store import sqlite
from remediator.store.backend import Backend

_POSTGRES = ("postgresql", "postgres", "postgresql+psycopg")
_SEPARATING = frozenset("/@:?#")
_UNREADABLE = (
    "storage URL cannot be read; write sqlite:///path/to/remediator.db or postgresql://user@host/database, where "
    "characters like / @ : in a password are written %2F %40 %3A"
)


def parsed(url: str) -> sa.URL:
    """Raises ConfigError for anything but `sqlite:///path`, `sqlite:///:memory:` and `postgresql://…`; the text holds
    nothing of what could be a password."""
    try:
        read = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        raise ConfigError(_UNREADABLE) from None  # what cannot be read may show a part of a password
    if read.password and not _SEPARATING.isdisjoint(read.password) and read.password in url:
        raise ConfigError(_UNREADABLE)  # SQLAlchemy reads it all the same; who hides passwords elsewhere would not
    if read.drivername in _POSTGRES:
        if "password" in read.query:
            raise ConfigError(
                "storage URL has its password as a parameter, where it would be shown; write user:password@host, or "
                "leave it out and set PGPASSWORD or passfile="
            )
        return read.set(drivername="postgresql+psycopg")
    return sqlite.check_url(url)


def is_postgres(url: sa.URL) -> bool:
    return url.drivername in _POSTGRES


def backend_of(url: sa.URL) -> Backend:
    """What serves a URL that `parsed` gave. Raises ConfigError where the extra for it is not installed."""
    if not is_postgres(url):
        return sqlite.SQLITE
    try:
        found: Backend = import_module("remediator.store.postgres").POSTGRES
    except ImportError as error:
        if not (error.name or "psycopg").startswith("psycopg"):
            raise
        raise ConfigError(
            "storage in PostgreSQL needs a driver that is not installed: pip install 'remediator[postgres]'"
        ) from error
    return found
