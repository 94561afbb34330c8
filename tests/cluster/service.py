"""The real service as a process, the way users start it, against the rig."""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any, ClassVar, Self

import yaml

from tests.cluster.controlplane import ControlPlane
from tests.cluster.credentials import SILENT
from tests.cluster.waiting import wait_for
from tests.logkeys import signing

ONE_ADDRESS = {"REMEDIATOR_WEB_MAX_CONNECTIONS_PER_PEER": "256"}
"""Alertmanager, with a connection for each group that it flushes, and whoever asks the service come from one."""

RULES = Path(__file__).parent.parent.parent / "rules"


class RunningService:
    """`remediator serve` in a folder of its own. Use as a context manager."""

    name = "remediator"
    silently: ClassVar[bool] = False
    """All of them with the silent account and in silent mode, whatever is asked: the option --silent."""

    def __init__(
        self, control_plane: ControlPlane, folder: Path, *, user: str, flags: tuple[str, ...], rules: Path | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        if self.silently:
            user, flags = SILENT, (*(flag for flag in flags if not flag.startswith("--mode")), "--mode=silent")
        self._folder = folder
        self._log = folder / "remediator.log"
        self._command = [
            sys.executable,
            "-m",
            "remediator",
            "serve",
            f"--kubeconfig={control_plane.kubeconfig(user)}",
            f"--storage.url=sqlite:///{folder / 'remediator.db'}",
            "--web.listen-address=127.0.0.1:0",
            *(f"--audit.{name[6:].replace('_', '-')}={file}" for name, file in signing(folder).items()),
            *([f"--rules={rules}"] if rules else []),
            *flags,
        ]
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, again on the same database if it ran before, and wait until it listens."""
        seen = len(self.log)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, env={**os.environ, **ONE_ADDRESS})

        def port() -> int:
            assert self._process is not None
            if self._process.poll() is not None:
                raise RuntimeError(f"remediator ended with {self._process.returncode}:\n{self.log[-4000:]}")
            line = next((line for line in self.log[seen:].splitlines() if "event=listening" in line), "")
            return int(line.split("address=")[1].split()[0].rpartition(":")[2]) if line else 0

        self._port = wait_for(port, timeout_seconds=30, what="remediator listens")

    def stop(self) -> None:
        """SIGTERM, as Kubernetes does."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL: a crash."""
        self._end(signal.SIGKILL)

    def suspend(self) -> None:
        """SIGSTOP: a machine that stands still."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=10) as reply:
            return json.loads(reply.read())

    def incidents(self) -> list[dict[str, Any]]:
        return list(self.get("/api/v1/incidents")["incidents"])

    def cli(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command against this service."""
        command = [sys.executable, "-m", "remediator", *words, "--url", self.url]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    def log_tails(self) -> str:
        return f"{self._log}\n{self.log[-6000:]}"

    def _signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _end(self, number: int) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
            self._process.wait(timeout=40)


def rules_with(folder: Path, **verify: Any) -> Path:
    """The shipped table with another `verify` in every rule that can act, and mode active: to not wait for minutes."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in sorted(RULES.glob("*.yaml")):
        table = yaml.safe_load(file.read_text(encoding="utf-8"))
        for rule in table.get("rules", ()):
            rule["mode"] = "active"
            if "verify" in rule:
                # A copy each: shared lists would become YAML aliases, which the loader refuses.
                rule["verify"] |= copy.deepcopy(verify)
        (folder / file.name).write_text(yaml.safe_dump(table, sort_keys=False), encoding="utf-8")
    return folder


def active_table(folder: Path, **verify: Any) -> Path:
    """As `rules_with`, and no severity watches first: the waits are tested apart, on a clock of their own."""
    rules_with(folder, **verify)
    for file in folder.glob("*.yaml"):
        table = yaml.safe_load(file.read_text(encoding="utf-8"))
        for row in table.get("severities", {}).values():
            row["wait"] = "0s"
        for rule in table.get("rules", ()):
            # All scenarios at once are a storm with much in common, and more than may be done in an hour.
            rule.pop("limits", None)
            rule["guards"] = rule.get("guards", {}) | {
                "budgets": {"action": ["99 per 1h"], "cluster": ["99 per 1h"]},
                "concurrency": {"cluster": 50},
                "storm": {"targets": 1000, "share": 100},
                "shared-cause": {"share": 90, "targets": 20},
                "breaker": {"in_a_row": 5, "of_last_ten": 9},
            }
        file.write_text(yaml.safe_dump(table, sort_keys=False), encoding="utf-8")
    return folder
