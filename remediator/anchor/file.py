"""An anchor in a file, on another disk or share than the database: replaced whole, and on the disk before it counts."""

from __future__ import annotations

import asyncio
import os
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

    async def write(self, note: bytes) -> None:
        try:
            await asyncio.to_thread(_replace, self._path, note)
        except OSError as error:
            raise AnchorUnavailable(f"{self.name}: {cut(error.strerror or str(error))}") from error


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_BYTES)


def _replace(path: Path, note: bytes) -> None:
    beside = path.with_name(f".{path.name}.new")
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
