"""The loop of the scorecard: look at each recommendation whose end is awaited, remember, judge, keep the judgement.

`app.py` runs one for the cluster. All that it remembers stands in the store, so that the next process goes on where
this one ended; a time in which nobody looked is told as a gap. It reads only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from pydantic import TypeAdapter, ValidationError

from remediator.clock import Clock
from remediator.errors import RemediatorError, cut
from remediator.kube.base import Cluster
from remediator.model import Json, RemediationId
from remediator.score.follow import Memory, begun, follow
from remediator.score.judge import judge
from remediator.score.reading import look_at
from remediator.score.sight import Sight
from remediator.store.base import StoreUnavailable
from remediator.store.scores_base import Case, ScoreStore

MAX_CASES = 50
"""Cases looked at in one round, the longest due first; what is beyond waits, and may get a gap."""

MAX_MISSED_LOOKS = 4
"""A pause of more than this many polls is a gap in which nobody knows what happened."""

LEAST_GAP = timedelta(minutes=2)
"""A shorter pause is no gap, however often is polled."""

_MEMORY: TypeAdapter[Memory] = TypeAdapter(Memory)


@dataclass(frozen=True, slots=True)
class Pace:
    """`poll_seconds` is the pause between two looks at one case, by the clock; `window` how long it is followed."""

    poll_seconds: float
    window: timedelta

    @property
    def poll(self) -> timedelta:
        return timedelta(seconds=self.poll_seconds)

    @property
    def max_gap(self) -> timedelta:
        return max(LEAST_GAP, self.poll * MAX_MISSED_LOOKS)


class Observer:
    """Looks until cancelled."""

    def __init__(
        self,
        store: ScoreStore,
        *,
        cluster: Cluster,
        clock: Clock,
        pace: Pace,
        is_ours: Callable[[], bool] = lambda: True,
        went: Callable[[bool], None] = lambda _: None,
    ) -> None:
        """`is_ours`: it is this replica's duty now to look. `went` hears whether anything could be seen in a round."""
        self._is_ours = is_ours
        self._went = went
        self._sights = 0
        self._store = store
        self._cluster = cluster
        self._clock = clock
        self._pace = pace
        self._log = structlog.get_logger("remediator.score")
        self._problem = ""
        self._odd: set[RemediationId] = set()
        """Whose objects could not be understood when they were last looked at."""

    async def run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(max(10.0, self._pace.poll_seconds)):
                    if self._is_ours():
                        await self.look()
            except StoreUnavailable as error:
                self._failed(cut(str(error)))
            except (RemediatorError, TimeoutError) as error:
                self._failed(cut(str(error)) or "not all could be looked at in time")
                self._went(False)
            else:
                self._problem = ""
            await self._clock.sleep(self._pace.poll_seconds)

    def _failed(self, problem: str) -> None:
        if not self._problem:
            self._log.warning("what became of recommendations is not seen now, trying again", problem=problem)
        self._problem = problem

    async def look(self) -> int:
        """One round; how many cases were looked at. Raises StoreUnavailable."""
        cases = await self._store.open_cases(at=self._clock.now(), limit=MAX_CASES)
        before = self._sights
        for case in cases:
            await self._one(case)
        if cases:
            self._went(self._sights > before)
        return len(cases)

    async def _one(self, case: Case) -> None:
        """What cannot be read now is looked at again; at the end of its time it is judged by what was seen before."""
        known = _remembered(case)
        sight = await self._sight(case)
        seen = known if sight is None else self._followed(case, known, sight)
        around = await self._store.circumstances(case)
        now = self._clock.now()
        found = judge(case, seen, around, now=now, window=self._pace.window, max_gap=self._pace.max_gap)
        if found is not None:
            self._odd.discard(case.remediation)
            await self._store.judged(case, found, at=now)
        else:
            await self._keep(case, seen, now)

    async def _sight(self, case: Case) -> Sight | None:
        try:
            sight = await look_at(case.would, self._cluster, at=self._clock.now())
        except StoreUnavailable:
            raise
        except RemediatorError as error:
            self._log.info("could not look", remediation=case.remediation, problem=cut(str(error)))
            return None
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            # Not as the API has it: the others are looked at all the same, and this one is judged in its time.
            if case.remediation not in self._odd:
                problem = type(error).__name__
                self._log.warning("an object is not understood", object=str(case.would.target), problem=problem)
            self._odd.add(case.remediation)
            return None
        self._odd.discard(case.remediation)
        self._sights += 1
        return sight

    def _followed(self, case: Case, known: Memory | None, sight: Sight) -> Memory:
        if known is None:
            return begun(case.would, sight, decided_at=case.decided_at, max_gap=self._pace.max_gap)
        return follow(known, case.would, sight, max_gap=self._pace.max_gap)

    async def _keep(self, case: Case, seen: Memory | None, now: datetime) -> None:
        body: Json = None if seen is None else _MEMORY.dump_python(seen, mode="json")
        due_at = now + self._pace.poll
        await self._store.keep_look(case.remediation, seen=body, after=case.looked_at, at=now, due_at=due_at)


def _remembered(case: Case) -> Memory | None:
    """None too where another version remembered it in another form: then it is looked at anew, with a gap before."""
    try:
        return None if case.seen is None else _MEMORY.validate_python(case.seen)
    except ValidationError:
        return None
