"""Duties that outlast a fault of ours: it is logged with its trace, counted and shown, and the loop begins again.

What a duty reads is others': the objects of a cluster, what Alertmanager lists. One odd object must not end the process
that receives the alerts; and of several replicas the next one, which has the duty then, as well. `duties.py` and
`app.py` run the loops of duties through it. What all else stands on (the leases, the audit log, the claims, reloading)
they do not: a fault there ends the process, which says so by its exit.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from remediator.clock import Clock, rfc3339

PAUSE_SECONDS = 60.0
"""Between a fault and the next round: what does not go away by itself is in the log each minute, and no more often."""

SHOWN_FOR = timedelta(seconds=3 * PAUSE_SECONDS)
"""A loop begins with a round, so that a fault that stays is never older."""


@dataclass(frozen=True, slots=True)
class Fault:
    """The last one of a duty, by the kind of the exception: its text may quote what was read."""

    at: datetime
    kind: str


class Lasting:
    """`count` is told the duty of each fault, `went` that its round did not go well (`replica.py`)."""

    def __init__(self, clock: Clock, *, count: Callable[[str], None], went: Callable[[str, bool], None]) -> None:
        self._clock = clock
        self._count = count
        self._went = went
        self._faults: dict[str, Fault] = {}
        self._log = structlog.get_logger("remediator.duties")

    async def run(self, duty: str, loop: Callable[[], Awaitable[None]]) -> None:
        """Until the loop ends by itself, or is cancelled."""
        while True:
            try:
                return await loop()
            except Exception as error:
                self._log.exception("a fault of ours in a duty: its next round comes", duty=duty, seconds=PAUSE_SECONDS)
                self._faults[duty] = Fault(self._clock.now(), type(error).__name__)
                self._count(duty)
                self._went(duty, False)
            await self._clock.sleep(PAUSE_SECONDS)

    def problem_of(self, duty: str) -> str:
        """Its fault of the last rounds; empty: there was none."""
        fault = self._faults.get(duty)
        if fault is None or self._clock.now() - fault.at >= SHOWN_FOR:
            return ""
        return f"a fault of ours, {fault.kind} at {rfc3339(fault.at)}; the log has its trace"

    def problems(self) -> str:
        """All duties that have one, each with it; empty: none has."""
        return "; ".join(f"{duty}: {problem}" for duty in sorted(self._faults) if (problem := self.problem_of(duty)))
