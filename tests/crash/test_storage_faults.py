"""The whole service while its storage is broken: 503 to every alert, nothing done to the cluster that is not committed
before, and served again within ten seconds of the repair, without a restart.

In CI each fault is there once; `--long` breaks it at each record of a remediation, with each fault.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.waiting import wait_for_async
from tests.crash.disk import Disk, Fault, faulty_disk
from tests.crash.shop import BAD, GOOD, shop

pytestmark = pytest.mark.crash

STEPS = ["step.diagnosing", "step.planned", "action.intent", "action.applied", "outcome.verified"]
BROKEN = [Fault.FULL, Fault.WRITE, Fault.SYNC, Fault.READ, Fault.READ_ONLY]


@pytest.fixture
def disk() -> Iterator[Disk]:
    with faulty_disk() as registered:
        yield registered


@dataclass
class Ground:
    """A database in a folder of its own, on a disk that can be broken."""

    folder: Path
    disk: Disk

    @property
    def file(self) -> Path:
        return self.folder / "data" / "remediator.db"

    @property
    def url(self) -> str:
        self.file.parent.mkdir(exist_ok=True)
        return self.disk.url(self.file)

    def is_whole(self) -> bool:
        with closing(sqlite3.connect(self.file)) as connection:
            return bool(connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)])


@pytest.fixture
def ground(tmp_path: Path, disk: Disk) -> Ground:
    return Ground(tmp_path, disk)


def moved(name: str) -> tuple[Callable[[Ground], None], Callable[[Ground], None]]:
    """Something of it is called otherwise for a while."""

    def there(ground: Ground) -> Path:
        return ground.file.parent if name == "folder" else Path(f"{ground.file}{name}")

    def away(ground: Ground) -> None:
        there(ground).rename(ground.folder / "away")

    def back(ground: Ground) -> None:
        (ground.folder / "away").rename(there(ground))

    return away, back


def failing(fault: Fault) -> tuple[Callable[[Ground], None], Callable[[Ground], None]]:
    def begin(ground: Ground) -> None:
        ground.disk.fault = fault

    return begin, lambda ground: ground.disk.repair()


FAULTS = {fault.name: failing(fault) for fault in BROKEN} | {"FILE_GONE": moved(""), "FOLDER_GONE": moved("folder")}


@pytest.mark.parametrize("name", FAULTS)
async def test_alerts_are_answered_with_503_until_they_can_be_kept(ground: Ground, name: str) -> None:
    begin, repair = FAULTS[name]
    async with shop(ground.folder, ground.url) as one:
        assert await one.ready() == 200
        begin(ground)

        answers = [await one.post(alertname=f"Other{number}") for number in range(10)]
        answers.append(await one.post())

        assert set(answers) == {503}
        await one.until_not_ready()
        assert one.writes == []
        repair(ground)
        await one.until_served()
        await one.until("outcome.verified")
        assert (len(one.writes), one.image) == (1, GOOD)
    assert ground.is_whole()


def breaking_points(request: pytest.FixtureRequest) -> list[tuple[str, Fault]]:
    if request.config.getoption("--long"):
        return [(kind, fault) for kind in STEPS for fault in BROKEN]
    return [("action.intent", Fault.FULL), ("action.intent", Fault.SYNC), ("action.applied", Fault.SYNC)]


async def test_what_cannot_be_recorded_is_not_done(ground: Ground, request: pytest.FixtureRequest) -> None:
    """The disk breaks with the first byte of a record, and stays broken until the service noticed it. Before the intent
    is committed nothing goes out; after it the one write that it announced, once, whatever became of its record."""
    for number, (kind, fault) in enumerate(breaking_points(request)):
        place = Ground(ground.folder / str(number), ground.disk)
        place.folder.mkdir()
        await broken_at(place, kind, fault)


async def broken_at(place: Ground, kind: str, fault: Fault) -> None:
    disk = place.disk
    disk.has_broken.clear()
    async with shop(place.folder, place.url) as one:
        disk.breaks_with, disk.breaks_at = fault, kind.encode()
        assert await one.post() == 200
        await wait_for_async(disk.has_broken.is_set, timeout_seconds=30, what=f"the disk breaks at {kind}")
        assert {await one.post(alertname=f"Other{number}") for number in range(3)} == {503}
        may_be_done = STEPS.index(kind) > STEPS.index("action.intent")
        assert len(one.writes) == int(may_be_done), (kind, fault)
        assert one.image == (GOOD if may_be_done else BAD)

        disk.repair()
        await one.until_served()
        await one.until("outcome.verified")

        assert (len(one.writes), one.image) == (1, GOOD), (kind, fault)
        kinds = await one.kinds()
        assert (kinds.count("action.applied"), kinds.count("outcome.verified")) == (1, 1), kinds
    assert place.is_whole()


async def test_a_log_that_was_deleted_costs_nothing(ground: Ground) -> None:
    """Somebody tidied up the -wal file: what it held is still in our hands, and moves into the database."""
    async with shop(ground.folder, ground.url) as one:
        assert await one.post() == 200
        os.remove(f"{ground.file}-wal")

        await one.until_served()
        await one.until("outcome.verified")
        assert len(one.writes) == 1
    assert ground.is_whole()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes, where this user may mount one."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(place)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here; the disk of these tests stands for it")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def filled(place: Path) -> Path:
    """To the last byte."""
    filler = place / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 512)
    return filler


async def test_a_file_system_without_room(small_disk: Path, tmp_path: Path) -> None:
    """ENOSPC, as it comes in production."""
    file = small_disk / "remediator.db"
    async with shop(tmp_path, f"sqlite:///{file}") as one:
        assert "gone with the pod" in one.service.storage.doubt
        filler = filled(small_disk)
        answers = [await one.post(alertname=f"Other{number}") for number in range(100)]
        first = answers.index(503)
        assert set(answers[first:]) == {503}, "what was left of a page at most"
        await one.until_not_ready()
        assert one.writes == []
        filler.unlink()
        await one.until_served()
        await one.until("outcome.verified")
        assert len(one.writes) == 1


def copied_by_another_process(folder: Path, to: Path) -> None:
    """One that closes the file here would drop our locks on it."""
    subprocess.run(["cp", "-r", folder, to], check=True)


async def test_an_older_copy_in_its_place_is_refused(ground: Ground) -> None:
    """It knows nothing of the last actions: to go on with it would be to do them again."""
    async with shop(ground.folder, ground.url) as one:
        copied_by_another_process(ground.file.parent, ground.folder / "older")
        assert await one.post() == 200
        await one.until("outcome.verified")
        away, back = moved("folder")
        away(ground)
        (ground.folder / "older").rename(ground.file.parent)

        assert {await one.post() for _ in range(3)} == {503}
        await one.until_not_ready()
        # In one step: the service, which tries again and again, has files of its own there that come and go.
        ground.file.parent.rename(ground.folder / "refused")
        back(ground)
        await one.until_served()
        assert len(one.writes) == 1


async def test_a_disk_that_hangs_is_answered_in_time(ground: Ground) -> None:
    """A commit that does not come back is no reason to hold Alertmanager; what was done in the end is a repeat."""
    async with shop(ground.folder, ground.url) as one:
        ground.disk.fault = Fault.HANGS
        assert await one.post() == 503
        assert one.writes == []
        ground.disk.repair()
        await one.until_served()
        await one.until("outcome.verified")
        assert len(one.writes) == 1


async def test_the_disk_itself_does_no_harm(ground: Ground) -> None:
    """The negative control: the same story, and nothing breaks."""
    async with shop(ground.folder, ground.url) as one:
        assert await one.post() == 200
        await one.until("outcome.verified")
        assert (len(one.writes), one.image) == (1, GOOD)
        assert [kind for kind in await one.kinds() if kind in STEPS[2:]] == STEPS[2:]
    assert ground.disk.syncs > len(STEPS)


