"""Programs of the rig as child processes: free ports, log files, and an end that leaves nothing behind."""

import atexit
import contextlib
import ctypes
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from tests.cluster.waiting import wait_for

PR_SET_PDEATHSIG = 1
TERM_GRACE_SECONDS = 3.0

# Below the ranges from which Linux (32768 on) and others (49152 on) take the ports of outgoing connections.
PORT_RANGE = range(20000, 32000)


class ProcessDied(AssertionError):
    """A program of the rig ended by itself."""


class Process:
    """One program in its own process group, its output in one log file; ended by pid, never by name."""

    def __init__(self, name: str, argv: Sequence[str | Path], log_file: Path, environment: Mapping[str, str]):
        if threading.current_thread() is not threading.main_thread():
            # The kernel sends the parent-death signal when the *thread* that forked ends.
            raise RuntimeError("programs of the rig are started from the main thread")
        self.name = name
        self.log_file = log_file
        with log_file.open("ab") as output:
            self._popen = subprocess.Popen(
                [str(part) for part in argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                cwd=log_file.parent,
                start_new_session=True,
                preexec_fn=_dies_with_parent(os.getpid()),
            )
        atexit.register(self.stop)

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def is_running(self) -> bool:
        return self._popen.poll() is None

    def check(self) -> None:
        """Raise with the end of the log if the program has ended."""
        if not self.is_running:
            raise ProcessDied(
                f"{self.name} ended with status {self._popen.returncode}; end of its log:\n{self.tail()}"
            )

    def tail(self, lines: int = 15) -> str:
        """The last lines of the log, each cut to a readable length."""
        if not self.log_file.exists():
            return ""
        text = self.log_file.read_text(errors="replace").splitlines()
        return "\n".join(line[:400] for line in text[-lines:])

    def terminate(self) -> None:
        """Ask the whole group to end, without waiting."""
        self._signal(signal.SIGTERM)

    def stop(self, grace_seconds: float = TERM_GRACE_SECONDS) -> None:
        """End the group: SIGTERM, then SIGKILL after the grace period. Safe to repeat."""
        atexit.unregister(self.stop)
        if self.is_running:
            self.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(grace_seconds)
        if self.is_running:
            self._signal(signal.SIGKILL)
            self._popen.wait()

    def _signal(self, number: int) -> None:
        # Until it is reaped the pid cannot be another's, and poll() is the only place where we reap.
        if self.is_running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._popen.pid, number)


def stop_all(processes: Iterable[Process]) -> None:
    """End several programs within one common grace period."""
    remaining = list(processes)
    for process in remaining:
        process.terminate()
    deadline = time.monotonic() + TERM_GRACE_SECONDS
    for process in remaining:
        process.stop(max(0.0, deadline - time.monotonic()))


def wait_until_up(process: Process, probe: Callable[[], object], *, timeout_seconds: float = 60) -> None:
    """Wait until `probe` is true, and fail at once if the program ends before."""
    deadline = time.monotonic() + timeout_seconds

    def is_up() -> object:
        if not process.is_running:
            return True
        return probe()

    try:
        wait_for(is_up, timeout_seconds=deadline - time.monotonic(), what=f"{process.name} to be up")
    except AssertionError as late:
        raise AssertionError(f"{late}\nend of its log:\n{process.tail()}") from late
    process.check()


def free_ports(count: int) -> list[int]:
    """Loopback ports that were free a moment ago.

    Not those that bind(0) gives: outgoing connections draw from the same range, and the API server opens a
    hundred of them to etcd before the last program takes its port.
    """
    found: list[int] = []
    for port in random.sample(PORT_RANGE, len(PORT_RANGE)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise OSError("no free ports on loopback")


def plain_environment(home: Path) -> dict[str, str]:
    """What the programs see: no proxies, no KUBECONFIG, no dot files of the person who runs the tests."""
    return {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(home), "TMPDIR": str(home)}


def _dies_with_parent(parent: int) -> Callable[[], None] | None:
    """Let the kernel kill the child when pytest is killed; atexit does not run then."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl

    def before_exec() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return before_exec
