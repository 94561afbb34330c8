"""An anchor in a file, on another disk or share than the database: replaced whole, and on the disk before it counts."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from remediator.anchor.base import AnchorUnavailable
from remediator.errors import cut

MAX_BYTES = 64 * 1024


class FileAnchor:
    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def name(self) -> str:
        return f"file {self._path}"

    async def read(self) -> bytes | None:
        try:
            return await asyncio.to_thread(_read, self._path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise AnchorUnavailable(f"{self.name}: {cut(error.strerror or str(error))}") from error

    async def write(self, note: bytes, *, unless: Callable[[bytes], bool]) -> None:
        try:
            await asyncio.to_thread(_replace, self._path, note, unless)
        except OSError as error:
            raise AnchorUnavailable(f"{self.name}: {cut(error.strerror or str(error))}") from error


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_BYTES)


def _replace(path: Path, note: bytes, unless: Callable[[bytes], bool]) -> None:
    beside = path.with_name(f".{path.name}.new")
    with path.with_name(f".{path.name}.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # against another replica that has the same folder
        if not (path.exists() and unless(_read(path))):
            _put(path, beside, note)


def _put(path: Path, beside: Path, note: bytes) -> None:
    with beside.open("wb") as file:
        file.write(note)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the rename itself
    finally:
        os.close(folder)
