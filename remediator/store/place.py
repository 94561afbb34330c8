"""Where the file of an SQLite database lies: on what kind of file system, and whether it is still where it was opened.

`sqlite.py` looks before it opens, `writer.py` after each commit. A deleted file takes writes for as long as somebody
holds it open: without that look everything would be answered with success, and be gone with the process.
"""

from __future__ import annotations

import os
import re
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import sqlalchemy as sa

from remediator.errors import ConfigError

MOUNTS = Path("/proc/self/mounts")
UNKNOWN = "unknown"

NETWORK = frozenset(
    {
        "9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "fuse.blobfuse2", "fuse.ceph-fuse",
        "fuse.davfs", "fuse.gcsfuse", "fuse.glusterfs", "fuse.goofys", "fuse.juicefs", "fuse.mount-s3",
        "fuse.nfs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs",
        "nfs", "nfs4", "ocfs2", "orangefs", "smb2", "smb3", "smbfs", "virtiofs",
    }
)
"""Shared with other machines, which neither the lock on the file nor its shared memory can see (sqlite.org/wal.html,
sqlite.org/howtocorrupt.html 2.1)."""

PASSING = frozenset({"aufs", "fuse.fuse-overlayfs", "overlay", "ramfs", "tmpfs"})
"""The writable layer of a container, or memory: gone with the pod, or with the machine's power."""

_ESCAPED = re.compile(r"\\([0-7]{3})")

Identity = tuple[int, int]
"""Device and inode."""


@dataclass(frozen=True, slots=True)
class Storage:
    """What the start says of the store. `at` is the file or the server, without a user or a password; `doubt`: why what
    it holds may not outlive the pod; empty: nothing says so."""

    engine: str
    at: str
    file_system: str
    doubt: str = ""


class OutOfPlace(sa.exc.SQLAlchemyError):
    """The file that is written is not the one that a restart would find."""


def storage_of(url: sa.URL, *, mounts: Path = MOUNTS) -> Storage:
    """The engine, its journal, and where it writes to."""
    if url.get_backend_name() != "sqlite":
        return Storage("PostgreSQL", f"{url.host or 'a socket'}/{url.database or ''}", "the server's own")
    engine = f"SQLite {sqlite3.sqlite_version}, WAL, synchronous=FULL, held by this process alone"
    path = path_of(url)
    if path is None:
        return Storage(engine, "memory", "memory", "the database is in memory: it is gone with this process")
    place, kind = str(path), file_system(path, mounts=mounts)
    if kind in PASSING:
        return Storage(engine, place, kind, f"{path} is on {kind}, which is gone with the pod: mount a volume there")
    if kind.startswith("fuse."):
        doubt = f"{path} is on {kind}, of which nobody knows whether a sync reaches a disk"
        return Storage(engine, place, kind, doubt)
    return Storage(engine, place, kind)


def path_of(url: sa.URL) -> Path | None:
    """The file, absolute; None: there is none (in memory)."""
    name = url.database or ""
    if name.startswith("file:"):
        name = unquote(name.removeprefix("file:").partition("?")[0])
        if url.query.get("mode") == "memory":
            return None
    return None if name in ("", ":memory:") else Path(name).absolute()


def check_file_system(path: Path, *, mounts: Path = MOUNTS) -> None:
    """Raises ConfigError for a folder that other machines may write to as well."""
    kind = file_system(path, mounts=mounts)
    if kind in NETWORK:
        raise ConfigError(
            f"storage {path} is on {kind}, a network file system: its locks and syncs cannot be relied on; put it on "
            "a disk of this machine (in Kubernetes a ReadWriteOncePod volume)"
        )


def file_system(path: Path, *, mounts: Path = MOUNTS) -> str:
    """The type of the mount that holds the path, as /proc/mounts names it; UNKNOWN where there is no such file."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return UNKNOWN
    folder = path.resolve()
    found, deepest = UNKNOWN, -1
    for fields in (line.split(" ") for line in lines):
        if len(fields) < 3:
            continue
        at = Path(_ESCAPED.sub(lambda match: chr(int(match[1], 8)), fields[1]))
        # The last of those at one place lies over the others.
        if folder.is_relative_to(at) and len(at.parts) >= deepest:
            found, deepest = fields[2], len(at.parts)
    return found


def check_there(url: sa.URL) -> None:
    """Raises ConfigError where opening the database again would begin an empty one."""
    path = path_of(url)
    if path is not None and not (path.is_file() and path.stat().st_size):
        raise ConfigError(f"storage {path} is gone: bring it back, or start again without it")


def identities(url: sa.URL) -> dict[str, Identity]:
    """The files that hold the database now: itself and its log, by their paths."""
    path = path_of(url)
    if path is None:
        return {}
    return {name: _identity(name) for name in (str(path), f"{path}-wal")}


def check_in_place(files: dict[str, Identity]) -> None:
    """Raises OutOfPlace."""
    for name, identity in files.items():
        try:
            found = _identity(name)
        except OSError as error:
            raise OutOfPlace(f"{name} is gone: {error.strerror}") from error
        if found != identity:
            raise OutOfPlace(f"{name} is another file now")


def _identity(name: str) -> Identity:
    found = os.stat(name)
    return found.st_dev, found.st_ino
