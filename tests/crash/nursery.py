"""Starts services that are to be killed, by way of one zygote, and waits for their end."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.crash.service_child import Spec

ROOT = Path(__file__).parents[2]


class Life:
    """One process. `has_ended` is true as soon as it has."""

    def __init__(self, pid: int, nursery: Nursery) -> None:
        self.pid = pid
        self._nursery = nursery
        self._handle = os.pidfd_open(pid)
        self._status: int | None = None

    @property
    def has_ended(self) -> bool:
        return self._status is not None or bool(select.select([self._handle], [], [], 0)[0])

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def ask_to_stop(self) -> None:
        self._signal(signal.SIGTERM)

    def exit_code(self) -> int:
        """As `subprocess` has it: negative for a signal. The process must have ended, or end soon."""
        if self._status is None:
            self._status = self._nursery.wait(self.pid)
            os.close(self._handle)
        return os.waitstatus_to_exitcode(self._status)

    def _signal(self, number: int) -> None:
        if not self.has_ended:
            signal.pidfd_send_signal(self._handle, number)


class Nursery:
    def __init__(self, zygote: subprocess.Popen[str]) -> None:
        self._zygote = zygote

    def start(self, spec: Spec) -> Life:
        return Life(self._ask(f"start {spec.text()}"), self)

    def wait(self, pid: int) -> int:
        return self._ask(f"wait {pid}")

    def _ask(self, line: str) -> int:
        assert self._zygote.stdin is not None
        assert self._zygote.stdout is not None
        self._zygote.stdin.write(f"{line}\n")
        self._zygote.stdin.flush()
        return int(self._zygote.stdout.readline())


@contextmanager
def nursery() -> Iterator[Nursery]:
    """What it started ends with it."""
    command = [sys.executable, "-m", "tests.crash.zygote"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as zygote:
        try:
            yield Nursery(zygote)
        finally:
            assert zygote.stdin is not None
            zygote.stdin.close()
            zygote.wait(timeout=30)


async def ended(life: Life, *, within_seconds: float) -> int:
    """Its exit code, once it has ended."""
    async with asyncio.timeout(within_seconds):
        while not life.has_ended:  # noqa: ASYNC110  # another process sets no Event
            await asyncio.sleep(0.005)
    return life.exit_code()
