"""Nothing is answered with 200 before it is on the disk. SIGKILL cannot see that, since what was written survives the
process; the order of the system calls can: for each answer a sync of SQLite's log, after what it promises was written
to it and before the answer went out.

Needs strace and the right to trace a process of one's own. Skipped where they are not; on CI that is a failure.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from remediator.simulate.alertmanager import SentAlert, webhook_bodies, wire_bytes
from tests.cluster.waiting import wait_for_async
from tests.crash.board import PID, PORT, Board
from tests.crash.nursery import ROOT
from tests.crash.service_child import Spec
from tests.crash.syscalls import LONGEST, TRACED, Answered, answers
from tests.crash.theatre import settings_of
from tests.workloads import NOW

pytestmark = pytest.mark.crash

SENDERS = 4
RULES = "rules: [{name: one, match: ['alertname=\"Other\"'], severity: 1, respond: [{do: escalate}]}]\n"


@pytest.fixture(scope="module")
def strace() -> str:
    found = shutil.which("strace")
    works = found and subprocess.run([found, "-f", "true"], capture_output=True, check=False).returncode == 0
    if not works:
        why = "strace cannot trace here" if found else "strace is not installed: apt-get install strace"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    assert found
    return found


async def traced(strace: str, folder: Path, *, count: int, control: str = "") -> list[Answered]:
    """Let a service answer that many requests, one alert each, from several senders at once; what its calls say."""
    (folder / "rules.yaml").write_text(RULES, encoding="utf-8")
    board = Board(folder / "board")
    nowhere = "http://127.0.0.1:1"
    settings = settings_of(folder, nowhere, nowhere) | {"mode": "silent"}
    spec = Spec(settings, str(board.path), str(folder / "service.log"), control=control, is_stepped=False)
    command = [strace, "-f", "-y", "-s", str(LONGEST), "-e", f"trace={TRACED}", "-o", str(folder / "trace")]
    command += [sys.executable, "-m", "tests.crash.service_child", spec.text()]
    with subprocess.Popen(command, cwd=ROOT) as process:  # noqa: ASYNC220  # takes no time, and ends in here
        try:
            await wait_for_async(lambda: board[PORT], timeout_seconds=60, what="the traced service listens")
            await send(board[PORT], count)
            os.kill(board[PID], signal.SIGTERM)
            await wait_for_async(lambda: process.poll() is not None, timeout_seconds=60, what="it has stopped")
        finally:
            if board[PID]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(board[PID], signal.SIGKILL)
            process.kill()
    with (folder / "trace").open(encoding="utf-8", errors="replace") as lines:
        return list(answers(lines, suffix="r.db-wal"))


async def send(port: int, count: int) -> None:
    numbers = iter(range(count))

    async def one() -> None:
        async with aiohttp.ClientSession() as session:
            for number in numbers:
                alert = SentAlert({"alertname": "Noise", "number": f"token-{number}-end"}, NOW)
                [body] = webhook_bodies([alert])
                url = f"http://127.0.0.1:{port}/api/v1/alerts"
                headers = {"Content-Type": "application/json"}
                async with session.post(url, data=wire_bytes(body), headers=headers) as reply:
                    assert reply.status == 200

    async with asyncio.TaskGroup() as group:
        for _ in range(SENDERS):
            group.create_task(one())


async def test_every_answer_comes_after_a_sync_of_what_it_promises(
    strace: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    count = 1000 if request.config.getoption("--long") else 100
    seen = await traced(strace, tmp_path, count=count)
    assert len({one.token for one in seen}) == len(seen) == count
    assert [one for one in seen if not one.is_synced] == []


@pytest.mark.parametrize("level", ["off", "normal"])
async def test_the_trace_sees_a_store_that_does_not_sync(level: str, strace: str, tmp_path: Path) -> None:
    """The negative control. SQLite syncs now and then at `normal`, when it moves its log to the database."""
    seen = await traced(strace, tmp_path, count=40, control=f"synchronous-{level}")
    assert len(seen) == 40
    assert all(one.is_written for one in seen), "the trace sees what was written"
    assert sum(not one.is_synced for one in seen) >= 36
