"""The rule table in force: loaded at start, again when asked to or when its files change. `app.py` makes the one."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from remediator.clock import Clock
from remediator.errors import ConfigError
from remediator.rules.commit import commit_of
from remediator.rules.load import load_rules
from remediator.rules.report import RulesError
from remediator.rules.schema import RuleSet
from remediator.telemetry import Telemetry


class RuleTable:
    """The rules in force. `reload` loads all files first and swaps then, so a fault leaves the old table standing."""

    def __init__(self, paths: Sequence[Path], *, telemetry: Telemetry, clock: Clock) -> None:
        """Raises ConfigError with every problem of the files."""
        self._paths = tuple(paths)
        self._telemetry = telemetry
        self._clock = clock
        self.problem = ""
        self.current: RuleSet = self._load()
        self._calendars = self.current.calendars
        self._seen = self._fingerprint()
        telemetry.reloaded(at_seconds=clock.now().timestamp(), successful=True)

    def reload(self) -> None:
        """Raises ConfigError; then the table from before stays in force and `problem` says why."""
        self._seen = self._fingerprint()
        try:
            fresh = self._load()
        except ConfigError as error:
            self.problem = str(error)
            self._telemetry.reloaded(at_seconds=self._clock.now().timestamp(), successful=False)
            if isinstance(error, RulesError):
                self._look_at(error.calendars)
            raise
        self.current, self.problem = fresh, ""
        self._telemetry.reloaded(at_seconds=self._clock.now().timestamp(), successful=True)
        self._look_at(fresh.calendars)

    def _load(self) -> RuleSet:
        return replace(load_rules(*self._paths), commit=commit_of(self._paths[0]))

    def is_changed(self) -> bool:
        """Whether the files differ from what was last loaded or tried, the calendars that they name included."""
        return self._fingerprint() != self._seen

    def _look_at(self, calendars: tuple[Path, ...]) -> None:
        """From now on at these. What is looked at already keeps its look, or a change while loading would be missed."""
        if calendars != self._calendars:
            self._calendars = calendars
            self._seen = self._fingerprint()

    def _fingerprint(self) -> str:
        files = [f for p in self._paths for f in (sorted(p.glob("*.yaml")) if p.is_dir() else [p])]
        digest = hashlib.sha256()
        for file in (*files, *self._calendars):
            with contextlib.suppress(OSError):
                digest.update(str(file).encode() + b"\0" + file.read_bytes())
        return digest.hexdigest()
