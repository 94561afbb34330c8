"""Plays a history by a rule table: every episode comes and goes at its time, what is due is decided, nothing waits.

Called by `cli/backtest.py`. The clock goes from one moment at which something happens to the next.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from remediator.authority import UNLIMITED
from remediator.backtest.asked import asked_of
from remediator.backtest.cluster import PastCluster
from remediator.backtest.decide import Decider
from remediator.backtest.decided import Decided, Result
from remediator.backtest.episodes import Episode, episodes
from remediator.backtest.facts import Facts
from remediator.backtest.history import History
from remediator.backtest.known import FACTS
from remediator.backtest.past_store import PastStore
from remediator.model import Alert, AlertStatus, Mode, Remediation
from remediator.parts import Parts
from remediator.pipeline import admit
from remediator.receive.payload import fingerprint
from remediator.rules.ruleset import RuleSet
from remediator.rules.schema import Rule
from remediator.store.opening import direct_in_memory
from remediator.target.spec import PROTECTED_BY_DEFAULT

CLUSTER = "past"
LEASE = timedelta(days=3650)
AT_ONCE = 500
"""Remediations claimed at a time."""


class PastClock:
    """Stands still until it is moved."""

    def __init__(self, at: datetime) -> None:
        self._at = at

    def now(self) -> datetime:
        return self._at

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing waits in a backtest")

    def move_to(self, at: datetime) -> None:
        self._at = max(self._at, at)


async def backtest(
    history: History, table: RuleSet, *, name: str, told: Callable[[int, int], None] = lambda done, of: None
) -> Result:
    """What the table would have made of that time. `name` is what people call the table; `told` hears how many episodes
    of how many are done. Raises the errors of the store, which here are faults of ours."""
    facts, clock = Facts(history), PastClock(history.begins)
    store = PastStore(direct_in_memory(clock=clock), clock=clock, facts=facts)
    every, asked = episodes(history), asked_of(facts)
    try:
        decided = await play(
            [one for one in every if not one.is_cut], table, store, clock, until=history.ends, told=told
        )
    finally:
        await store.close()
    return Result(
        begins=history.begins,
        ends=history.ends,
        step=history.step,
        fact_step=history.fact_step,
        table=name,
        rules=[rule.name for rule in table.rules],
        digest=table.digest,
        decided=decided,
        cut=sum(one.is_cut for one in every),
        asked=[guard.name for guard in asked.guards],
        not_asked=asked.not_asked,
        not_told=[name for name in FACTS if not facts.is_told(name)],
    )


async def play(
    every: Sequence[Episode],
    table: RuleSet,
    store: PastStore,
    clock: PastClock,
    *,
    until: datetime,
    told: Callable[[int, int], None] = lambda done, of: None,
) -> list[Decided]:
    """The last word on each episode, in their order. The store has not heard of anything yet."""
    return await _Run(every, table, store, clock).play(until, told)


def as_active(table: RuleSet) -> RuleSet:
    """The same table with every rule that is not off in mode active: what it would do once it is promoted."""
    copies = {
        rule.name: rule if rule.mode is Mode.OFF else rule.model_copy(update={"mode": Mode.ACTIVE})
        for rule in table.rules
    }

    def some(rules: Sequence[Rule]) -> tuple[Rule, ...]:
        return tuple(copies[rule.name] for rule in rules)

    return replace(
        table,
        rules=some(table.rules),
        by_alertname={name: some(rules) for name, rules in table.by_alertname.items()},
        by_any_alertname=some(table.by_any_alertname),
    )


class _Run:
    def __init__(self, every: Sequence[Episode], table: RuleSet, store: PastStore, clock: PastClock) -> None:
        self._clock = clock
        self._store = store
        self._table = as_active(table)
        self._episodes: dict[tuple[str, datetime], Episode] = {}
        self._order: list[tuple[str, datetime]] = []
        happenings: list[tuple[datetime, int, int, Alert]] = []
        for number, episode in enumerate(every):
            alert = _alert(episode)
            self._episodes[alert.fingerprint, alert.starts_at] = episode
            self._order.append((alert.fingerprint, alert.starts_at))
            happenings.append((episode.begins_at, 1, number, alert))
            if (ends := episode.ends_at) is not None:
                happenings.append((ends, 0, number, replace(alert, status=AlertStatus.RESOLVED, ends_at=ends)))
        happenings.sort(key=lambda one: one[:3])
        self._happenings = [(at, alert) for at, _, _, alert in happenings]
        facts = store.facts
        cluster = PastCluster(CLUSTER, facts, clock)
        parts = Parts(
            store=store,
            cluster=cluster,
            metrics=None,
            clock=clock,
            rules=lambda: self._table,
            mode=Mode.ACTIVE,
            protected_namespaces=PROTECTED_BY_DEFAULT,
            authority_of=lambda _: UNLIMITED,
        )
        modes = {rule.name: rule.mode for rule in table.rules}
        self._decider = Decider(parts, store, cluster, facts, asked_of(facts), modes)
        self._due: list[datetime] = []
        self._held: set[tuple[str, datetime]] = set()
        self._said: dict[tuple[str, datetime], Decided] = {}
        self._often = Counter(fingerprint for fingerprint, _ in self._order)

    async def play(self, until: datetime, told: Callable[[int, int], None]) -> list[Decided]:
        """Every episode's last word, in their order."""
        done, happenings = 0, self._happenings
        while (at := self._next(done)) is not None and at <= until:
            self._clock.move_to(at)
            await self._finish()
            batch = [alert for when, alert in _from(happenings, done) if when <= at]
            done += len(batch)
            wanted = [alert for alert in batch if await self._counts(alert)]
            await admit(wanted, store=self._store, clock=self._clock, authority=UNLIMITED, rules=self._table)
            self._store.unseen = sum(one.status is AlertStatus.FIRING for one in wanted)
            is_due = bool(self._due) and self._due[0] <= at
            while self._due and self._due[0] <= at:
                heapq.heappop(self._due)
            if wanted or is_due:
                await self._decide()
            told(done, len(happenings))
        said = self._said | {word.key: word for word in self._decider.said.values()}
        return [said[key] for key in self._order if key in said]

    async def _counts(self, alert: Alert) -> bool:
        """Whether the store has to hear of it. Not of what has no rule or no target: it waits for nothing, and no guard
        asks for it. Nor of an end that nobody waits for, of what never comes again."""
        key = alert.fingerprint, alert.starts_at
        if alert.status is AlertStatus.RESOLVED:
            return key not in self._said and (key in self._held or self._often[alert.fingerprint] > 1)
        found = await self._decider.find(alert, self._episodes[key])
        if isinstance(found, Decided):
            self._said[key] = found
        return not isinstance(found, Decided)

    def _next(self, done: int) -> datetime | None:
        stops = [one.until for one in self._decider.under_way.values()]
        stops += self._due[:1]
        if done < len(self._happenings):
            stops.append(self._happenings[done][0])
        return min(stops, default=None)

    async def _finish(self) -> None:
        now = self._clock.now()
        for one in [one for one in self._decider.under_way.values() if one.until <= now]:
            await self._decider.finish(one)

    async def _decide(self) -> None:
        now = self._clock.now()
        claimed: Sequence[Remediation] = ()
        while len(claimed) in (0, AT_ONCE):
            claimed = await self._store.claim(owner="backtest", at=now, lease=LEASE, limit=AT_ONCE)
            if not claimed:
                return
            for mine in claimed:
                key = mine.fingerprint, mine.alert.starts_at
                due = await self._decider.decide(mine, self._episodes[key])
                if due is None:
                    self._held.discard(key)
                else:
                    self._held.add(key)
                    heapq.heappush(self._due, due)


def _from(happenings: Sequence[tuple[datetime, Alert]], done: int) -> Iterator[tuple[datetime, Alert]]:
    """Those of one moment, from that place on."""
    first = happenings[done][0] if done < len(happenings) else None
    for place in range(done, len(happenings)):
        if happenings[place][0] != first:
            return
        yield happenings[place]


def _alert(episode: Episode) -> Alert:
    return Alert(
        fingerprint=fingerprint(episode.labels),
        status=AlertStatus.FIRING,
        labels=episode.labels,
        annotations={},
        starts_at=episode.begins_at,
        ends_at=None,
        generator_url="",
        receiver="backtest",
        group_key="{}",
    )
