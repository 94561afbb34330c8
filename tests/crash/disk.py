"""A disk that fails when told to: SQLite's own file layer with a few of its calls replaced, for one database of a test.

SQLite reaches the disk through a table of functions (sqlite.org/vfs.html). This registers a copy of the usual one under
the name `faulty`, whose files answer as the kernel's errors make them: no root, no compiler, no other process needed.
A failed sync drops what was written since the last good one, as the page cache does (safety 1.3): a store that only
tried again would read and promise what no disk holds.
"""

from __future__ import annotations

import _sqlite3
import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar

OK, FULL, CANTOPEN = 0, 13, 14
IOERR_READ, IOERR_WRITE, IOERR_FSYNC, IOERR_TRUNCATE = 266, 778, 1034, 1546
OPEN_READONLY, OPEN_READWRITE, OPEN_CREATE = 1, 2, 4

_P, _I, _L = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64
_OPEN = ctypes.CFUNCTYPE(_I, _P, _P, _P, _I, ctypes.POINTER(_I))  # SQLite keeps the name by its address
_TRANSFER = ctypes.CFUNCTYPE(_I, _P, _P, _I, _L)
_TRUNCATE = ctypes.CFUNCTYPE(_I, _P, _L)
_SYNC = ctypes.CFUNCTYPE(_I, _P, _I)
_SIZE = ctypes.CFUNCTYPE(_I, _P, ctypes.POINTER(_L))


class _Vfs(ctypes.Structure):
    """`sqlite3_vfs`, of which only what stands before and at `open` is looked at."""

    _fields_: ClassVar = [
        ("version", _I),
        ("size_of_file", _I),
        ("max_path", _I),
        ("next", _P),
        ("name", ctypes.c_char_p),
        ("data", _P),
        ("open", _P),
        ("others", _P * 14),
    ]


class _Methods(ctypes.Structure):
    """`sqlite3_io_methods`."""

    _fields_: ClassVar = [
        ("version", _I),
        ("close", _P),
        ("read", _P),
        ("write", _P),
        ("truncate", _P),
        ("sync", _P),
        ("size", _P),
        ("others", _P * 12),
    ]


class Fault(Enum):
    """What the disk does. The value is what people call it."""

    NONE = "well"
    FULL = "full"
    WRITE = "an I/O error on write"
    SYNC = "an I/O error on sync"
    READ = "an I/O error on read and write"
    READ_ONLY = "remounted read-only"
    HANGS = "a sync that does not come back"


class Disk:
    """Under `sqlite:///file:{path}?vfs=faulty&uri=true`. `fault` is what it does from now on; `breaks_at` are bytes
    (the kind of a record) with whose first write it begins to do `breaks_with`. `syncs` counts those that succeeded."""

    def __init__(self) -> None:
        self.fault = Fault.NONE
        self.breaks_at = b""
        self.breaks_with = Fault.FULL
        self.has_broken = threading.Event()
        self.may_sync = threading.Event()
        self.syncs = 0
        self._unsynced: dict[int, list[tuple[int, bytes, int]]] = {}
        self._kept: list[Any] = []  # what C code points to
        self._tables: dict[int, _Methods] = {}

    @staticmethod
    def url(path: Path) -> str:
        return f"sqlite:///file:{path}?vfs=faulty&uri=true"

    def repair(self) -> None:
        self.fault, self.breaks_at = Fault.NONE, b""
        self.may_sync.set()

    # -- what SQLite calls, in the store's thread

    def opened(self, open_: Callable[..., int], name: int | None, file: int, flags: int, out: Any) -> int:
        if self.fault is Fault.READ_ONLY and flags & OPEN_READWRITE:
            if name is None or not os.path.exists(ctypes.string_at(name)):
                return CANTOPEN
            flags = flags & ~(OPEN_READWRITE | OPEN_CREATE) | OPEN_READONLY
        code = open_(name, file, flags, out)
        if code == OK and name is not None:
            self._unsynced[file] = []
            pointer = ctypes.cast(file, ctypes.POINTER(_P))
            pointer[0] = ctypes.addressof(self._replaced(pointer[0]))
        return code

    def _replaced(self, address: int) -> _Methods:
        if address in self._tables:
            return self._tables[address]
        real = _Methods.from_address(address)
        table = _Methods()
        ctypes.memmove(ctypes.addressof(table), address, ctypes.sizeof(_Methods))
        read, size_of = _TRANSFER(real.read), _SIZE(real.size)
        write, truncate, sync = _TRANSFER(real.write), _TRUNCATE(real.truncate), _SYNC(real.sync)

        # All by SQLite's own calls: whoever closes a second descriptor of the file drops the locks of the first.
        def remember(file: int, at: int, count: int) -> None:
            before, size = ctypes.create_string_buffer(count), _L()
            size_of(file, ctypes.byref(size))
            read(file, ctypes.addressof(before), count, at)
            self._unsynced[file].append((at, before.raw[: max(0, size.value - at)], size.value))

        def drop(file: int) -> None:
            """The page cache forgets what it could not write: the next read comes from the disk."""
            for at, data, size in reversed(self._unsynced[file]):
                write(file, ctypes.addressof(ctypes.create_string_buffer(data, len(data) + 1)), len(data), at)
                truncate(file, size)
            self._unsynced[file].clear()

        def on_read(file: int, into: int, count: int, at: int) -> int:
            return IOERR_READ if self.fault is Fault.READ else read(file, into, count, at)

        def on_write(file: int, data: int, count: int, at: int) -> int:
            if self.breaks_at and self.breaks_at in ctypes.string_at(data, count):
                self.fault, self.breaks_at = self.breaks_with, b""
                self.has_broken.set()
            match self.fault:
                case Fault.FULL:
                    return FULL
                case Fault.WRITE | Fault.READ | Fault.READ_ONLY:
                    return IOERR_WRITE
            remember(file, at, count)
            return write(file, data, count, at)

        def on_truncate(file: int, size: int) -> int:
            is_broken = self.fault in (Fault.WRITE, Fault.READ, Fault.READ_ONLY)
            return IOERR_TRUNCATE if is_broken else truncate(file, size)

        def on_sync(file: int, flags: int) -> int:
            if self.fault is Fault.HANGS:
                self.has_broken.set()
                self.may_sync.wait()
            if self.fault in (Fault.SYNC, Fault.READ, Fault.READ_ONLY):
                drop(file)
                return IOERR_FSYNC
            self._unsynced[file].clear()
            self.syncs += 1
            return sync(file, flags)

        for name, kind, function in (
            ("read", _TRANSFER, on_read),
            ("write", _TRANSFER, on_write),
            ("truncate", _TRUNCATE, on_truncate),
            ("sync", _SYNC, on_sync),
        ):
            self._kept.append(called := kind(function))
            setattr(table, name, ctypes.cast(called, _P).value)
        self._tables[address] = table
        return table

@contextmanager
def faulty_disk() -> Iterator[Disk]:
    """Register it, and take it away again. Each database on it must be closed by then."""
    library = ctypes.CDLL(_sqlite3.__file__)  # whatever SQLite this Python uses, linked in or beside it
    library.sqlite3_vfs_find.restype = _P
    usual = library.sqlite3_vfs_find(None)
    assert usual, "this Python's SQLite has no file layer that can be found"
    vfs = _Vfs()
    ctypes.memmove(ctypes.addressof(vfs), usual, ctypes.sizeof(_Vfs))
    disk, real = Disk(), _OPEN(vfs.open)

    def on_open(_: int, name: int | None, file: int, flags: int, out: Any) -> int:
        return disk.opened(lambda *call: real(usual, *call), name, file, flags, out)

    called = _OPEN(on_open)
    vfs.next, vfs.name, vfs.open = None, b"faulty", ctypes.cast(called, _P).value
    library.sqlite3_vfs_register.argtypes = [_P, _I]
    library.sqlite3_vfs_unregister.argtypes = [_P]
    library.sqlite3_vfs_register(ctypes.addressof(vfs), 0)
    try:
        yield disk
    finally:
        disk.repair()
        library.sqlite3_vfs_unregister(ctypes.addressof(vfs))
