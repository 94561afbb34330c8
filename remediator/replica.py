"""This process as one of several on the same database: its name, the duties that it has for all, and its clock.

`app.py` makes one. Alerts are received, and remediations claimed, by every replica; what one does for all (telling the
sinks, passing escalations on, watching rollouts, judging recommendations, pruning, counting what is shared) is a duty.
One lease holds each, prolonged here for all at once, so that another replica goes on within `lease_seconds` when this
one dies. The lease saves work and keeps people from being told twice; what is changed is right without it.

What goes wrong again and again here may go well elsewhere (a network policy, a proxy, a stale credential of this one
pod), and a live replica prolongs its leases for ever: so after `MAX_FAILURES` rounds in a row that went wrong it gives
that duty back, and does not ask for it while the others look. Nobody has taken it then: it tries again.

Leases are compared by each replica's own clock, so that clocks must agree: a pass over a remediation ends after three
quarters of its lease, and a clock may be off the database's by an eighth, so that of two replicas no one takes what the
other may still be at. One whose clock is further off claims nothing, has no duty, and is not ready. Whatever clocks
say, a write is refused by the epoch (the gate), and one that is already under way by its preconditions.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta

import structlog

from remediator.clock import steady_seconds
from remediator.errors import RemediatorError, cut
from remediator.store.duties_base import Duties

MAX_SKEW_SHARE = 0.125
"""Share of a lease by which a clock may differ from the database's."""

DUTY_SHARE, POLL_SHARE = 0.75, 0.25
"""Of `lease_seconds`: how long a duty's lease is, and how often it is prolonged or taken. Together one: who dies is
replaced within that."""


MAX_FAILURES = 3
"""Rounds of a duty in a row that went wrong before it is left to another. One is a blip, two are the blip and what it
left behind; three rounds of telling with their pauses are 15 to 45 s, so that a sick replica is replaced about as soon
as a dead one is. Above all three in a row are not what a receiver that restarts causes each time."""

LOOKS_LEFT_OUT = 2
"""Looks at which it is then not asked for: in that time each other replica has looked once at the least."""


def own_name() -> str:
    """For people, and unlike any other process's, also the one before it in the same pod, whose number is the same."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


class Replica:
    """Looks until cancelled. `problem` is why it may neither claim nor have a duty, empty: it may."""

    def __init__(
        self,
        store: Duties,
        *,
        name: str,
        duties: Sequence[str],
        lease_seconds: float,
        changed: Callable[[Sequence[str]], None],
    ) -> None:
        """`changed` is told which duties are ours after each look."""
        self.name = name
        self._store = store
        self._duties = tuple(duties)
        self._lease = timedelta(seconds=lease_seconds * DUTY_SHARE)
        self._poll_seconds = lease_seconds * POLL_SHARE
        self._max_skew = timedelta(seconds=lease_seconds * MAX_SKEW_SHARE)
        self._changed = changed
        self._held: frozenset[str] = frozenset()
        self._failures: Counter[str] = Counter()
        self._left_out: dict[str, int] = {}
        self._until = 0.0
        self._log = structlog.get_logger("remediator.replica").bind(replica=name)
        self.problem = ""

    def has(self, duty: str) -> bool:
        """Whether it is ours now; also right after the process was stopped for longer than the lease."""
        return duty in self._held and steady_seconds() < self._until

    def went(self, duty: str, is_well: bool) -> None:
        """How a round of it ended, for what can end otherwise on another replica: what the store does not keep now it
        keeps for none of them."""
        if is_well or duty not in self._held:
            del self._failures[duty]
            return
        self._failures[duty] += 1
        if self._failures[duty] >= MAX_FAILURES and self._store.is_shared:
            del self._failures[duty]
            self._held -= {duty}  # from now on, whenever the store can be told
            self._left_out[duty] = LOOKS_LEFT_OUT
            self._log.warning("a duty is left to another replica", duty=duty, failures=MAX_FAILURES)

    @property
    def held(self) -> Sequence[str]:
        return sorted(duty for duty in self._held if self.has(duty))

    async def run(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(self._poll_seconds)  # real time: how often we look is not part of any decision

    async def look(self) -> None:
        """Prolong what is ours, and take what nobody has any more. A store that is away leaves all as it was: the
        leases run out."""
        asked, left_out = steady_seconds(), dict(self._left_out)
        wanted = [duty for duty in self._duties if duty not in left_out]
        try:
            if left_out:
                await self._store.leave_duties(left_out, owner=self.name)
            seen = await self._store.hold_duties(wanted, owner=self.name, lease=self._lease)
            self._judge(seen.clock_ahead)
            if self.problem:
                await self._store.leave_duties(owner=self.name)
        except RemediatorError as error:
            self._log.error("duties not prolonged", error=cut(str(error)))
            return
        for duty in left_out:
            self._left_out[duty] -= 1
        self._left_out = {duty: looks for duty, looks in self._left_out.items() if looks}
        held = frozenset() if self.problem else frozenset(seen.epochs).difference(self._left_out)
        if held != self._held:
            self._log.info("duties", taken=sorted(held - self._held), lost=sorted(self._held - held))
        self._held, self._until = held, asked + self._lease.total_seconds()
        self._changed(self.held)

    async def leave(self) -> None:
        """Let another have them at once, as a process does that stops."""
        self._held = frozenset()
        try:
            await self._store.leave_duties(owner=self.name)
        except RemediatorError as error:
            self._log.warning("duties run out by themselves", error=cut(str(error)))

    def _judge(self, ahead: timedelta) -> None:
        before, self.problem = self.problem, ""
        if abs(ahead) > self._max_skew:
            off = f"{abs(ahead.total_seconds()):.1f} s {'ahead of' if ahead > timedelta() else 'behind'} the database's"
            most = f"{self._max_skew.total_seconds():g} s"
            self.problem = f"the clock is {off}, more than {most}: nothing is claimed here"
        if self.problem and not before:
            self._log.error(self.problem)
