"""The service as a process of its own, for clients that mean it no good: `python -m tests.hostile.serving FOLDER`.

It prints its port. At SIGUSR1 it prints, and forgets, the longest time for which its event loop answered nobody; at
SIGUSR2 it lets its worker begin. Its log goes to a file as JSON.
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from remediator.app import open_service
from remediator.cli.serve import leave_alone_what_stands
from remediator.clock import SystemClock
from remediator.log_format import configure_logging
from remediator.settings import Settings
from tests.hostile.client import answer_of, connected

PROBE_SECONDS = 0.005


class Probe:
    """How late the loop is for what it has promised, as far as this process was at work meanwhile: what a busy machine
    does not give it is no stall of ours."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._longest = 0.0
        self._again()

    def told(self) -> float:
        longest, self._longest = self._longest, 0.0
        return longest

    def _again(self) -> None:
        due = self._loop.time() + PROBE_SECONDS
        self._loop.call_at(due, self._look, due, time.process_time())

    def _look(self, due: float, worked: float) -> None:
        self._longest = max(self._longest, min(self._loop.time() - due, time.process_time() - worked))
        self._again()


async def serve(folder: Path, flags: Mapping[str, Any]) -> None:
    settings = Settings.load(
        None,
        {
            "web_listen_address": "127.0.0.1:0",
            "storage_url": f"sqlite:///{folder / 'hostile.db'}",
            "kube_server": "http://127.0.0.1:9",
            "events": False,
            "rollout_poll_seconds": 0,
            "score_poll_seconds": 0,
            "reload_poll_seconds": 0,
            "max_waiting": 10_000_000,
            **flags,
        },
    )
    loop = asyncio.get_running_loop()
    begin, end = asyncio.Event(), asyncio.Event()
    async with open_service(settings, clock=SystemClock()) as service:
        leave_alone_what_stands()
        probe = Probe()
        loop.add_signal_handler(signal.SIGUSR1, lambda: print(f"{probe.told():.6f}", flush=True))
        loop.add_signal_handler(signal.SIGUSR2, begin.set)
        loop.add_signal_handler(signal.SIGTERM, lambda: (begin.set(), end.set(), service.stop()))
        print(service.port, flush=True)
        await begin.wait()
        if not end.is_set():
            await service.run()


class Served:
    """The process, from outside."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process = process
        self._folder = folder
        self.port = int(self._line())

    def lag_seconds(self) -> float:
        """The longest stall of its event loop since this was asked last."""
        self._process.send_signal(signal.SIGUSR1)
        return float(self._line())

    def begin_deciding(self) -> None:
        self._process.send_signal(signal.SIGUSR2)

    def memory_bytes(self) -> int:
        """Its proportional set size."""
        text = Path(f"/proc/{self._process.pid}/smaps_rollup").read_text(encoding="ascii")
        return int(re.search(r"(?m)^Pss:\s+(\d+) kB", text)[1]) * 1024

    def log_text(self) -> str:
        """The log as it was written: whatever is not ASCII in it is a fault."""
        return (self._folder / "log").read_bytes().decode("ascii")

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log_text().split("\n") if line]

    def faults(self) -> list[dict[str, Any]]:
        """What nobody handled: whatever came with a traceback, or from the libraries beneath."""
        return [
            line for line in self.log() if "exception" in line or line.get("logger") in ("asyncio", "aiohttp.server")
        ]

    def metric(self, name: str) -> float:
        """The sum of a metric's series."""
        with connected(self.port) as client:
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            lines = answer_of(client).body.decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if re.match(rf"{name}(\{{|\s)", line))

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the service has ended: {(self._folder / 'log').read_text(encoding='utf-8')[-2000:]}"
        return line


class NothingThere(BaseHTTPRequestHandler):
    """An API server of an empty cluster: nothing that is asked for is there."""

    def do_GET(self) -> None:
        said = json.dumps({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound"})
        self.send_response(404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said.encode())

    def log_message(self, format: str, *args: object) -> None: ...


@contextmanager
def empty_cluster() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), NothingThere) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@contextmanager
def served(folder: Path, **flags: Any) -> Iterator[Served]:
    with (folder / "log").open("w", encoding="ascii") as log:
        command: Sequence[str] = (sys.executable, "-m", "tests.hostile.serving", str(folder), json.dumps(flags))
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            yield Served(process, folder)
            process.terminate()
            assert process.wait(timeout=60) == 0, (folder / "log").read_text(encoding="ascii")[-2000:]
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


if __name__ == "__main__":
    configure_logging("info", log_format="json")
    asyncio.run(serve(Path(sys.argv[1]), json.loads(sys.argv[2])))
