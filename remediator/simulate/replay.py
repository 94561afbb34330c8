"""Plays a story: the real pipeline, store, guards and client on the embedded cluster, by a clock that jumps.

What comes in goes through the receiver's own parser, what is decided through the worker's own passes. Nothing waits:
the clock goes from one moment at which something happens to the next, so that hours take a fraction of a second.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from remediator.access.base import ANYONE
from remediator.access.credentials import Credentials
from remediator.errors import ConfigError, RemediatorError
from remediator.guards.faults import CountedCluster, CountedMetrics, Faults
from remediator.guards.stop import SwitchInCluster
from remediator.model import Json, Mode
from remediator.parts import Parts
from remediator.pipeline import admit
from remediator.receive.payload import read
from remediator.redact import Remembering
from remediator.rules.ruleset import RuleSet
from remediator.simulate.alertmanager import wire_bytes
from remediator.simulate.apiserver import Call
from remediator.simulate.happenings import Happening, happen, occurrences
from remediator.simulate.inprocess import client_of
from remediator.simulate.observers import Firing
from remediator.simulate.past import remember
from remediator.simulate.routes import route_of
from remediator.simulate.stage import OWN_NAMESPACE, SEED, Stage
from remediator.simulate.story import Story
from remediator.store.base import CommittedRecord
from remediator.store.database import Database
from remediator.store.opening import open_in_memory
from remediator.target.spec import PROTECTED_BY_DEFAULT
from remediator.watch.watcher import Pace as WatchPace
from remediator.watch.watcher import Watcher
from remediator.worker import Pace, Worker

CLUSTER = "story"
KILL_SWITCH = "remediator-kill-switch"
LEASE = timedelta(minutes=10)
LONGEST = timedelta(hours=30)
"""A story whose end nobody wrote ends here at the latest: longer than whatever the service waits for."""

LOOK_EVERY = timedelta(seconds=150)
"""Pause between two looks of the deployment watch; three of its polls, so that it is no gap to it."""

POLL_SECONDS = 60.0

SETTLED_AFTER = timedelta(minutes=13)
"""What is deployed at a story's beginning is proven good within this time."""

VERIFY_EVERY = timedelta(seconds=15)
"""Pause between two looks of a verification: of what is looked for, nothing is shorter."""

LEAD = timedelta(minutes=2)
"""Before the first event the deployment watch looks for so long, so that it knows what was before."""


@dataclass(frozen=True, slots=True)
class Wrote:
    """One write of the service: `patch deployments shop/checkout`, at a time of the story."""

    at: timedelta
    text: str


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a story. `records` are all of it; `gates` are the common causes that people were told of."""

    zero: datetime
    ended_at: timedelta
    records: Sequence[CommittedRecord]
    writes: Sequence[Wrote]
    gates: Sequence[str]


async def play(story: Story, table: RuleSet) -> Played:
    """Raises ConfigError when something in the story cannot happen."""
    stage = Stage.build(story)
    database = await open_in_memory(clock=stage.clock)
    # The pauses between repeats of a call are random: with the same seed a story comes out the same each time.
    before = random.getstate()
    random.seed(SEED)
    try:
        return await _Replay(story, stage, database, table).run()
    finally:
        random.setstate(before)
        await database.close()


class _Replay:
    def __init__(self, story: Story, stage: Stage, database: Database, table: RuleSet) -> None:
        self._story = story
        self._stage = stage
        self._database = database
        self._table = table
        self._clock = stage.clock
        self._redaction = Remembering()
        self._happening = Happening(stage, database)
        self._events = occurrences(story.events)
        self._repeats: list[tuple[datetime, Firing]] = []
        cluster = client_of(stage.cluster, stage.clock, name=CLUSTER)
        api_server, prometheus = Faults("the API server", stage.clock), Faults("Prometheus", stage.clock)
        self._parts = Parts(
            store=database,
            cluster=CountedCluster(cluster, api_server),
            metrics=CountedMetrics(stage.prometheus, prometheus),
            clock=stage.clock,
            faults=(api_server, prometheus),
            alertmanager=stage.alertmanager,
            switch=SwitchInCluster(OWN_NAMESPACE, KILL_SWITCH, cluster),
            rules=lambda: table,
            mode=story.mode or Mode.SILENT,
            authority_of=Credentials().authority_of,
            rollouts=database.rollouts,
            protected_namespaces=PROTECTED_BY_DEFAULT | {OWN_NAMESPACE},
            look_every=VERIFY_EVERY,
        )
        pace = Pace("story", workers=20, lease=LEASE, poll_seconds=1, grace_seconds=1, pass_seconds=60)
        self._worker = Worker(self._parts, pace, around=lambda _, work: work)
        self._watcher = Watcher(
            database.rollouts,
            cluster=cluster,
            metrics=stage.prometheus,
            clock=stage.clock,
            protected_namespaces=self._parts.protected_namespaces,
            pace=WatchPace(POLL_SECONDS),
            count=lambda _: None,
        )
        self._looks_at = stage.clock.now()

    async def run(self) -> Played:
        begins = self._stage.zero + min([timedelta(), *(at for at, _ in self._events)])
        await remember(self._story.history, self._table, self._happening, cluster=CLUSTER)
        await self._settle_down(begins - LEAD)
        end = None if self._story.until is None else self._stage.zero + self._story.until
        latest = end or begins + LONGEST
        while True:
            await self._now()
            due = await self._database.next_due()
            if self._clock.now() >= latest or (end is None and due is None and not self._events and not self._repeats):
                return await self._played()
            stops = [self._looks_at, latest]
            stops += [due] if due is not None else []
            stops += [self._stage.zero + self._events[0][0]] if self._events else []
            stops += [min(at for at, _ in self._repeats)] if self._repeats else []
            at = self._clock.next_after(stops)
            assert at is not None
            self._clock.move_to(min(at, latest))

    async def _settle_down(self, until: datetime) -> None:
        """All has run since long before: the watch saw it come up, and looks again from shortly before the story."""
        settled = min(until, self._clock.now() + SETTLED_AFTER)
        while self._clock.now() < settled:
            await self._look()
            self._clock.move_to(min(settled, self._clock.now() + LOOK_EVERY))
        self._clock.move_to(until)

    async def _now(self) -> None:
        """Everything that is to happen now, and what the service makes of it."""
        while self._events and self._stage.zero + self._events[0][0] <= self._clock.now():
            _, event = self._events.pop(0)
            try:
                await happen(event, self._happening)
            except (RemediatorError, LookupError) as error:
                raise ConfigError(f"at {event.at}: {error}") from error
            if event.fire is not None and event.fire.repeats:
                firing, every = self._stage.prometheus.firing[-1], event.fire.every
                self._repeats += [(self._clock.now() + n * every, firing) for n in range(1, event.fire.repeats + 1)]
        self._repeat()
        if self._clock.now() >= self._looks_at:
            await self._look()
        await self._deliver()
        while await self._worker.once():
            await self._deliver()

    def _repeat(self) -> None:
        now = self._clock.now()
        for at, firing in list(self._repeats):
            if at <= now or firing.ended_at is not None:
                self._repeats.remove((at, firing))
                if firing.ended_at is None:
                    self._stage.alertmanager.tell(firing)

    async def _deliver(self) -> None:
        """What Alertmanager has to say, through the receiver's own parser."""
        outbox = self._stage.alertmanager.outbox
        while outbox:
            sender = ANYONE.credential
            alerts = read(wire_bytes(outbox.pop(0)), self._redaction, sender=sender).alerts
            store, authority = self._database, sender.authority
            await admit(alerts, store=store, clock=self._clock, authority=authority, rules=self._table)

    async def _look(self) -> None:
        """One look of the deployment watch; where it cannot look, it goes on without, as the service does."""
        with contextlib.suppress(RemediatorError):
            await self._watcher.look()
        self._looks_at = self._clock.now() + LOOK_EVERY

    async def _played(self) -> Played:
        records: list[CommittedRecord] = []
        while page := await self._database.records(after=records[-1].seq if records else 0, limit=10_000):
            records += page
        writes = [
            Wrote(call.at - self._stage.zero, told)
            for call in self._stage.cluster.requests
            if call.is_write and (told := _told(call)) is not None
        ]
        gates = [str(record.body["gate"]) for record in records if record.kind == "gate.entered"]
        return Played(self._stage.zero, self._clock.now() - self._stage.zero, records, writes, gates)


def _told(call: Call) -> str | None:
    """The write in a line; None for Events, which change nothing."""
    route = route_of(call.path)
    if route is None or route.resource == "events":
        return None
    return f"{route.verb(call.method)} {route.resource} {route.namespace or '-'}/{route.name or _named(call.body)}"


def _named(body: Json) -> str:
    return str(((body or {}).get("metadata") or {}).get("name", ""))
