"""Loading files again while the service runs: all of them, when somebody asks or they change, one load at a time.

Beside the way of an alert, each step of which reads what is in force then. `app.py` makes it of the files that it has
loaded, and runs it; SIGHUP and `/-/reload` ask.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import structlog

from remediator.access.loading import Access
from remediator.access.tls import Tls
from remediator.clock import Clock
from remediator.errors import ConfigError, cut
from remediator.loaded import Loaded
from remediator.rules.ruleset import RuleSet
from remediator.telemetry import Telemetry


class Reloader:
    """Of the rule table, of who may come in, and of `others`; `renew` is told how to serve connections from then on."""

    def __init__(
        self,
        table: Loaded[RuleSet],
        access: Loaded[Access],
        *,
        others: Sequence[Loaded[Any]],
        renew: Callable[[Tls | None], None],
        clock: Clock,
        telemetry: Telemetry,
        poll_seconds: float,
    ) -> None:
        """`poll_seconds`: how often to look whether files changed; 0: never."""
        self._table = table
        self._access = access
        self._files: Sequence[Loaded[Any]] = (access, table, *others)
        self._renew = renew
        self._clock = clock
        self._telemetry = telemetry
        self._poll_seconds = poll_seconds
        self._asked = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._log = structlog.get_logger("remediator.reload")

    async def reload(self) -> None:
        """Load all files again. Raises ConfigError; what is wrong stays as it was, the others are in force: a token
        that was taken away must not stay valid because of a mistake in a rule."""
        problems = []
        async with self._reloading:  # two at once could leave the older files in force
            for loaded in self._files:
                try:
                    await asyncio.to_thread(loaded.reload)  # a large table takes a second of CPU
                except ConfigError as error:
                    problems.append(str(error))
            self._renew(self._access.current.web.tls)
        self.tell(successful=not problems)
        if problems:
            raise ConfigError("\n".join(problems))
        self._log.info("reloaded", rules=len(self._table.current.rules), digest=self._table.current.digest[:12])

    def ask(self) -> None:
        """Reload soon; a failure is in the log and in `/-/ready`."""
        self._asked.set()

    def tell(self, *, successful: bool) -> None:
        self._telemetry.reloaded(at_seconds=self._clock.now().timestamp(), successful=successful)

    async def watch_files(self) -> None:
        """Reload when asked to, or when the files change."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._poll_seconds or None):
                    await self._asked.wait()
            if self._asked.is_set() or await asyncio.to_thread(self._is_changed):
                self._asked.clear()
                try:
                    await self.reload()
                except ConfigError as error:
                    self._log.error("reload failed, what was in force stays", problem=cut(str(error)))

    def _is_changed(self) -> bool:
        return any(loaded.is_changed() for loaded in self._files)
