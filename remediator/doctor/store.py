"""Where the database is. Of a file: folder, free space, kind of file system, and who holds it; it is not opened.

A running service holds it exclusively, and even a reader that opened it would be in its way. Source: SQLite "How To
Corrupt An SQLite Database File" (2.1, 2.2), `os_unix.c` (the byte ranges of its locks). A PostgreSQL server is asked as
the service asks it when it starts: whether it is there, and whether it keeps what it answers.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import sqlalchemy as sa

from remediator.doctor.base import Answer, Asked, Examination, Result, failed, ok, warning
from remediator.errors import ConfigError
from remediator.store.place import MOUNTS, NETWORK, PASSING, UNKNOWN, file_system
from remediator.store.sqlite import is_memory
from remediator.store.urls import backend_of, is_postgres, parsed

NAME = "store"
LEAST_FREE_BYTES = 16 * 1024 * 1024
LITTLE_FREE_BYTES = 256 * 1024 * 1024
_HEAD = b"SQLite format 3\0"
_SHARED = (0x40000002, 510)
"""First byte and length of the range that SQLite locks to write alone."""


async def run(asked: Asked) -> AsyncIterator[Result]:
    yield await asyncio.to_thread(examine, asked.settings.storage_url)


def examine(storage_url: str, *, mounts: Path = MOUNTS) -> Result:
    """Reads names, numbers and the first bytes only; of a server, its settings."""
    try:
        url = parsed(storage_url)
    except ConfigError as error:
        return failed(NAME, str(error), "set storage_url to sqlite:////FOLDER/remediator.db")
    if is_postgres(url):
        return _server(url)
    if is_memory(url):
        return warning(NAME, "in memory: all of it is gone with the process", "set storage_url to a file on a volume")
    path = Path(url.database or "").resolve()
    if not path.parent.is_dir():
        return failed(NAME, f"folder {path.parent} does not exist", "create it, or mount the volume there")
    if (wrong := _not_writable(path)) is not None:
        return failed(NAME, wrong, "give the service's user the right to write there (fsGroup of the pod)")
    if path.exists() and path.stat().st_size and not _is_sqlite(path):
        return failed(NAME, f"{path} is not an SQLite database", "name another file, or move that one away")
    disk = os.statvfs(path.parent)
    result = judged(path, kind=file_system(path.parent, mounts=mounts), free_bytes=disk.f_bavail * disk.f_frsize)
    return result if result.answer is not Answer.OK else ok(NAME, f"{result.detail}; {_held(path)}")


def _server(url: sa.URL) -> Result:
    """It is connected to as by the service, which refuses what is not durable."""
    try:
        connection = backend_of(url).connect(url)
    except ConfigError as error:
        return failed(NAME, str(error), "see what it says; psql with the same URL connects in the same way")
    try:
        version = ".".join(str(part) for part in connection.dialect.server_version_info or ())
    finally:
        connection.close()
    place = f"PostgreSQL {version} at {url.host or 'the default of libpq'}, database {url.database}"
    return ok(NAME, f"{place}: it keeps what it answers")


def judged(path: Path, *, kind: str, free_bytes: int) -> Result:
    """Whether such a place keeps what a 200 promises. `kind` is the kernel's word for the file system. Pure."""
    kind_in_words = "an unknown file system" if kind == UNKNOWN else kind
    place = f"{path} on {kind_in_words}, {free_bytes / 2**20:,.0f} MiB free"
    if kind in NETWORK:
        return failed(NAME, f"{place}: it does not lock and sync as a disk does", "use a local disk or a block volume")
    if free_bytes < LEAST_FREE_BYTES:
        return failed(NAME, f"{place}: alerts cannot be stored for long", "make room, or give it a larger volume")
    if free_bytes < LITTLE_FREE_BYTES:
        return warning(NAME, place, "make room, or set retention_days")
    if kind in PASSING:
        return warning(NAME, f"{place}; it may not survive the container", "mount a volume that does")
    return ok(NAME, place)


def _not_writable(path: Path) -> str | None:
    if path.is_dir():
        return f"{path} is a folder; name a file in it"
    if not os.access(path.parent, os.W_OK | os.X_OK):
        return f"folder {path.parent} is not writable for this user"
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        return f"{path} is not writable for this user"
    return None


def _is_sqlite(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_HEAD)) == _HEAD


def _held(path: Path) -> str:
    """Who has it, asked of the kernel. Never in the process of the service: closing a file gives up its own locks."""
    if not path.exists():
        return "the database is made at the first start"
    if sys.platform != "linux":
        return "who holds it is not asked here"  # the kernel's answer has another shape
    with path.open("rb") as file:
        first, length = _SHARED
        asked = struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, first, length, 0)
        try:
            kind, _, _, _, holder = struct.unpack("hhqqi4x", fcntl.fcntl(file, fcntl.F_GETLK, asked))
        except (OSError, struct.error):
            return "nobody can say who holds it"
    if kind == fcntl.F_UNLCK:
        return "no service holds it"
    return f"held by process {holder}, a running service" if holder > 0 else "held by a running service"


STORE = Examination((NAME,), run)
