"""Which database a storage URL names. `database.py` and the doctor ask."""

from __future__ import annotations

from importlib import import_module

import sqlalchemy as sa

from remediator.errors import ConfigError
from remediator.store import sqlite
from remediator.store.backend import Backend

_POSTGRES = ("postgresql", "postgres", "postgresql+psycopg")


def parsed(url: str) -> sa.URL:
    """Raises ConfigError for anything but `sqlite:///path`, `sqlite:///:memory:` and `postgresql://…`; the text holds
    nothing of what could be a password."""
    try:
        read = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        raise ConfigError(
            "storage URL cannot be read; write sqlite:///path/to/remediator.db or postgresql://user@host/database, "
            "where characters like / @ : in a password are written %2F %40 %3A"
        ) from None  # what cannot be read may show a part of a password
    if read.drivername in _POSTGRES:
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
