"""The service as a process that is killed, stopped, starved and started again, and what it looks like from outside."""

from __future__ import annotations

import asyncio
import json
import resource
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

START_SECONDS = 90.0
STOP_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the process: `age` in seconds since its start, memory in MiB."""

    life: int
    age: float
    memory: float
    files: int
    tasks: int


@dataclass
class Child:
    """At most one process at a time. `settings` are those of the next start; `lives` counts the starts."""

    folder: Path
    clock: Mapping[str, Any]
    settings: dict[str, Any]
    plant: str = ""
    lives: int = 0
    port: int = 0
    tasks: int = 0
    latest_pulse: float = 0.0
    starts: list[float] = field(default_factory=list)
    log: deque[str] = field(default_factory=lambda: deque(maxlen=2000))
    _process: Process | None = None
    _readers: list[asyncio.Task[None]] = field(default_factory=list)
    _began: float = 0.0

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_up(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Until it listens. Raises TimeoutError, RuntimeError."""
        file = self.folder / "settings.json"
        given = {**self.clock, "settings": self.settings, "plant": self.plant}
        file.write_text(json.dumps(given, default=str), encoding="utf-8")
        self._began, self.port = time.monotonic(), 0
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.soak.service", str(file), stdin=PIPE, stdout=PIPE, stderr=PIPE
        )
        self.lives += 1
        self._readers = [
            asyncio.create_task(self._read_pulses(self._process)),
            asyncio.create_task(self._read_log(self._process)),
        ]
        async with asyncio.timeout(START_SECONDS):
            while not self.port:
                if not self.is_up:
                    raise RuntimeError("the service ended at its start:\n" + "\n".join(list(self.log)[-30:]))
                await asyncio.sleep(0.05)
        self.starts.append(time.monotonic() - self._began)

    async def end(self, number: signal.Signals) -> None:
        """Send the signal and wait for the end; who does not end in time is killed, which is an error."""
        if self._process is None:
            return
        process, self._process = self._process, None
        if process.returncode is None:
            process.send_signal(number)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise RuntimeError(f"the service did not end within {STOP_SECONDS:g} s of {number.name}") from None
        finally:
            await asyncio.wait(self._readers)

    def send(self, number: signal.Signals) -> None:
        if self._process is not None and self.is_up:
            self._process.send_signal(number)

    def starve(self, size: int | None) -> None:
        """No file may grow beyond `size` bytes, as on a full disk; None: any size again."""
        if self.is_up:
            _, hard = resource.prlimit(self.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (hard if size is None else size, hard))

    def look(self) -> Sample | None:
        if not self.is_up or not self.port:
            return None
        place = Path("/proc") / str(self.pid)
        try:
            pages = int((place / "statm").read_text().split()[1])
            files = sum(1 for _ in (place / "fd").iterdir())
        except OSError:  # it ended just now
            return None
        memory = pages * resource.getpagesize() / 2**20
        return Sample(self.lives, time.monotonic() - self._began, memory, files, self.tasks)

    async def _read_pulses(self, process: Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            try:
                said = json.loads(line)
            except ValueError:  # the process died in the middle of a line
                continue
            if "port" in said:
                self.port, self.tasks, self.latest_pulse = said["port"], said["tasks"], time.monotonic()

    async def _read_log(self, process: Process) -> None:
        assert process.stderr is not None
        while True:
            try:
                line = await process.stderr.readline()
            except ValueError:  # longer than the reader's limit
                continue
            if not line:
                return
            self.log.append(line.decode(errors="replace").rstrip())
