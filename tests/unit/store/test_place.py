"""Where a database may lie, what is said of it at the start, and that only one connection ever has it."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from remediator.clock import SystemClock
from remediator.errors import ConfigError
from remediator.store.base import StoreUnavailable
from remediator.store.opening import open_database
from remediator.store.place import (
    NETWORK,
    OutOfPlace,
    check_file_system,
    check_in_place,
    file_system,
    identities,
    path_of,
    storage_of,
)
from remediator.store.sqlite import check_url
from tests.unit.store.examples import NOW, firing

MOUNTS = """\
overlay / overlay rw,relatime,lowerdir=/l,upperdir=/u,workdir=/w 0 0
proc /proc proc rw 0 0
tmpfs /dev/shm tmpfs rw 0 0
/dev/nvme1n1 /var/lib/remediator ext4 rw,relatime 0 0
nas:/export /var/lib/remediator/nfs nfs4 rw,vers=4.2 0 0
me@host:/data /srv/with\\040space fuse.sshfs rw 0 0
/dev/fuse /srv/fuse fuse.unheard-of rw 0 0
/dev/sdb1 /mnt ext3 rw 0 0
/dev/sdc1 /mnt xfs rw 0 0
broken line
"""


@pytest.fixture
def mounts(tmp_path: Path) -> Path:
    file = tmp_path / "mounts"
    file.write_text(MOUNTS, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/etc/r.db", "overlay"),
        ("/dev/shm/r.db", "tmpfs"),
        ("/var/lib/remediator/r.db", "ext4"),
        ("/var/lib/remediator-2/r.db", "overlay"),
        ("/var/lib/remediator/nfs/deep/r.db", "nfs4"),
        ("/srv/with space/r.db", "fuse.sshfs"),
        ("/mnt/r.db", "xfs"),
    ],
)
def test_the_deepest_and_last_mount_holds_the_file(mounts: Path, path: str, kind: str) -> None:
    assert file_system(Path(path), mounts=mounts) == kind


def test_without_a_list_of_mounts_nothing_is_known(tmp_path: Path) -> None:
    assert file_system(Path("/r.db"), mounts=tmp_path / "none") == "unknown"


@pytest.mark.parametrize("kind", sorted(NETWORK))
def test_a_network_file_system_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"x / ext4 rw 0 0\nnas:/x /data {kind} rw 0 0\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"/data/r\.db is on {kind}, a network file system"):
        check_file_system(Path("/data/r.db"), mounts=mounts)
    check_file_system(Path("/r.db"), mounts=mounts)


@pytest.mark.parametrize(
    ("url", "kind", "doubt"),
    [
        ("sqlite:////var/lib/remediator/r.db", "ext4", ""),
        ("sqlite:////etc/r.db", "overlay", "gone with the pod"),
        ("sqlite:////dev/shm/r.db", "tmpfs", "gone with the pod"),
        ("sqlite:////srv/fuse/r.db", "fuse.unheard-of", "nobody knows whether a sync reaches a disk"),
        ("sqlite:///:memory:", "memory", "gone with this process"),
    ],
)
def test_what_may_not_outlive_the_pod_is_said(mounts: Path, url: str, kind: str, doubt: str) -> None:
    """And not refused: a demo has no volume."""
    stored = storage_of(check_url(url), mounts=mounts)
    assert stored.file_system == kind
    assert doubt in stored.doubt
    assert bool(doubt) is bool(stored.doubt)
    assert f"SQLite {sqlite3.sqlite_version}" in stored.engine


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:////a/b.db", Path("/a/b.db")),
        ("sqlite:///b.db", Path.cwd() / "b.db"),
        ("sqlite:///file:/a/b%20c.db?mode=rw&uri=true", Path("/a/b c.db")),
        ("sqlite:///:memory:", None),
        ("sqlite:///file:r?mode=memory&uri=true", None),
    ],
)
def test_the_path_in_a_url(url: str, path: Path | None) -> None:
    assert path_of(check_url(url)) == path


def test_a_file_that_is_another_or_gone_is_out_of_place(tmp_path: Path) -> None:
    url = check_url(f"sqlite:///{tmp_path}/r.db")
    for name in ("r.db", "r.db-wal"):
        (tmp_path / name).touch()
    files = identities(url)
    check_in_place(files)
    (tmp_path / "r.db-wal").rename(tmp_path / "kept")
    with pytest.raises(OutOfPlace, match=r"r\.db-wal is gone"):
        check_in_place(files)
    (tmp_path / "r.db-wal").touch()
    with pytest.raises(OutOfPlace, match=r"r\.db-wal is another file"):
        check_in_place(files)


async def test_no_second_connection_not_even_to_read(tmp_path: Path) -> None:
    """What keeps the WAL-reset bug of SQLite 3.7.0 to 3.51.2 away, which needs two: the lock is exclusive from the
    first statement on, also after the database was opened again, and there is no shared memory to meet in."""
    store = await open_database(f"sqlite:///{tmp_path}/r.db", clock=SystemClock())
    await store.accept([firing(1)], at=NOW)
    assert is_refused(tmp_path / "r.db")
    assert not (tmp_path / "r.db-shm").exists()

    (tmp_path / "r.db-wal").rename(tmp_path / "kept")
    with pytest.raises(StoreUnavailable, match="is gone"):
        await store.accept([firing(2)], at=NOW)
    await store.accept([firing(2)], at=NOW)  # over a new connection
    assert is_refused(tmp_path / "r.db")
    assert not (tmp_path / "r.db-shm").exists()
    await store.close()
    assert not is_refused(tmp_path / "r.db"), "the negative control"


def is_refused(path: Path) -> bool:
    """Whether another process may not even count the alerts."""
    program = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('SELECT count(*) FROM alerts').fetchone()"
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False)
    return done.returncode != 0 and "database is locked" in done.stderr


@pytest.mark.parametrize("change", ["DELETE FROM log_head", "DROP TABLE log_head", "UPDATE log_head SET size = 1"])
async def test_a_database_that_holds_less_is_not_gone_on_with(tmp_path: Path, change: str) -> None:
    """Opened again, it must have what was committed: otherwise what was done would be done again."""
    store = await open_database(f"sqlite:///{tmp_path}/r.db", clock=SystemClock())
    await store.accept([firing(1), firing(2)], at=NOW)
    (tmp_path / "r.db").rename(tmp_path / "away.db")
    (tmp_path / "r.db-wal").rename(tmp_path / "away.db-wal")
    with pytest.raises(StoreUnavailable, match="is gone"):
        await store.accept([firing(3)], at=NOW)
    with closing(sqlite3.connect(tmp_path / "away.db")) as other:
        other.execute(change)
        other.commit()
    (tmp_path / "away.db").rename(tmp_path / "r.db")

    for _ in range(2):
        with pytest.raises(StoreUnavailable, match=r"an older copy, or another one|now cannot be used: no such table"):
            await store.accept([firing(3)], at=NOW)
    await store.close()


async def test_the_same_database_from_elsewhere_is_gone_on_with(tmp_path: Path) -> None:
    """The negative control: a copy that has it all is as good, whatever its inode."""
    store = await open_database(f"sqlite:///{tmp_path}/r.db", clock=SystemClock())
    await store.accept([firing(1)], at=NOW)
    (tmp_path / "r.db").rename(tmp_path / "away.db")
    (tmp_path / "r.db-wal").rename(tmp_path / "away.db-wal")
    with pytest.raises(StoreUnavailable, match="is gone"):
        await store.accept([firing(2)], at=NOW)
    with closing(sqlite3.connect(tmp_path / "away.db")) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(tmp_path / "away.db", tmp_path / "r.db")

    assert (await store.accept([firing(3)], at=NOW)).queued == 1
    assert len(await store.records(after=0, limit=10)) >= 2
    await store.close()


async def test_a_full_disk_is_seen_by_a_write_that_changes_something(tmp_path: Path) -> None:
    """Readiness asks for it: what can be read may not be able to be written."""
    store = await open_database(f"sqlite:///{tmp_path}/r.db", clock=SystemClock())
    await store.begin_cursors(["log"])
    wal = tmp_path / "r.db-wal"
    before = wal.stat().st_size
    await store.check_writes()
    assert wal.stat().st_size > before
    await store.close()
