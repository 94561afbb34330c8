"""The whole service under load, killed at random again and again: what it had answered with 200 is there, and every
action was done once, on both stores.

Alerts come from four senders at once; most fit no rule, some make it restart or scale a workload. The service is killed
while it starts, receives, decides, writes and tells: after a random number of answers and of requests to the API
server, from a seed. 20 times each, `pytest --long` ten times as often, each time from another seed and from the
beginning: under hundreds of deaths in a row no action would come to its end.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from remediator.model import TERMINAL, State
from remediator.simulate.alertmanager import SentAlert, webhook_bodies, wire_bytes
from remediator.simulate.events import Event
from remediator.simulate.story import Story
from tests.crash.board import PORT
from tests.crash.nursery import Life, Nursery, ended, nursery
from tests.crash.stores import InFile, Kept
from tests.crash.theatre import STUCK_SECONDS, Theatre, opened

pytestmark = pytest.mark.crash

SEED = 20261127
RUNS = 10
"""Of `--long`."""
KILLS = 20
WORKLOADS = 8
SENDERS = 4
MOST_SIGNS = 150
"""A service dies at the latest after so many answers and requests to the API server."""

TICK_SECONDS, TICK = 0.1, timedelta(seconds=10)
"""The time runs a hundred times as fast: the lease of a dead service runs out in a third of a second."""

ROOMY: dict[str, Any] = {
    "budgets": {"action": ["99 per 1h"], "namespace": ["99 per 1h"], "cluster": ["99 per 1h"]},
    "concurrency": {"namespace": 20, "cluster": 50},
    "storm": {"targets": 1000, "share": 100},
    "shared-cause": {"share": 90, "targets": 20},
    "breaker": {"in_a_row": 5, "of_last_ten": 9},
}
PROVED = {"within": "10m", "stable_for": "5s"}
RULES = [
    {
        "name": "restart",
        "match": ['alertname="Hangs"'],
        "severity": 1,
        "mode": "active",
        "diagnose": ["containers", "rollout", "config", "node"],
        "respond": [{"do": "restart"}],
        "verify": {"expect": ["rollout-complete", "pods-ready"], **PROVED},
        "guards": ROOMY,
    },
    {
        "name": "scale",
        "match": ['alertname="Busy"'],
        "severity": 1,
        "mode": "active",
        "diagnose": ["containers", "rollout", "scheduling", "resources", "autoscaling"],
        "respond": [{"do": "scale", "with": {"max_replicas": 10, "restore_after": "none"}}],
        "verify": {"expect": ["rollout-complete", "pods-ready"], **PROVED},
        "guards": ROOMY,
    },
]
NAMES = [f"w-{number:02}" for number in range(WORKLOADS)]
STORY = {
    "name": "a busy town",
    "mode": "active",
    "room": 1000,
    "cluster": {
        "workloads": [
            {
                "of": f"town/{name}",
                "image": f"{name}:1",
                "replicas": 2,
                "resources": {"limits": {"cpu": "100m", "memory": "64Mi"}},
            }
            for name in NAMES
        ]
    },
    "metrics": [{"of": f"town/{name}", "cpu": "0.097", "memory": "20Mi", "traffic": "500"} for name in NAMES],
}


def alert_of(number: int) -> Event:
    """The alert of one workload: the even ones hang, the others are busy."""
    of = f"town/{NAMES[number]}"
    named = {"alert": "Busy", "of": of} if number % 2 else {"alert": "Hangs", "pod_of": of}
    return Event.model_validate({"fire": {**named, "lies": True}})  # to look whether it still holds would cost the most


@dataclass
class Town:
    """A theatre with senders. `answered` are the fingerprints of all alerts that were answered with 200."""

    played: Theatre
    chance: random.Random
    answered: set[str] = field(default_factory=set)
    again: deque[bytes] = field(default_factory=deque)
    sent: dict[bytes, set[str]] = field(default_factory=dict)
    count: int = 0

    @property
    def signs(self) -> int:
        """Signs of life so far: answers and requests."""
        return len(self.answered) + len(self.played.stage.cluster.requests)

    async def send(self) -> None:
        """One sender, until cancelled; what is not answered is sent again, as Alertmanager does."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
            while True:
                body = self._next()
                url = f"http://127.0.0.1:{self.played.board[PORT]}/api/v1/alerts"
                try:
                    async with session.post(url, data=body, headers={"Content-Type": "application/json"}) as reply:
                        is_answered = reply.status == 200
                except (aiohttp.ClientError, TimeoutError):
                    is_answered = False
                if is_answered:
                    self.answered |= self.sent.pop(body)
                    await asyncio.sleep(0.005)  # else there is more to drain than to kill
                else:
                    self.again.append(body)
                    await asyncio.sleep(0.01)

    async def let_time_pass(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self.played.move_to(self.played.stage.clock.now() + TICK)

    def _next(self) -> bytes:
        outbox = self.played.stage.alertmanager.outbox
        if outbox:
            return self._noted(outbox.pop(0))
        if self.again:
            return self.again.popleft()
        began = self.played.stage.clock.now()
        alerts = []
        for _ in range(self.chance.randint(1, 2)):
            self.count += 1
            alerts.append(SentAlert({"alertname": "Noise", "namespace": "town", "number": str(self.count)}, began))
        [body] = webhook_bodies(alerts)
        return self._noted(body)

    def _noted(self, body: Any) -> bytes:
        wire = wire_bytes(body)
        self.sent[wire] = {alert["fingerprint"] for alert in body["alerts"]}
        return wire

    def leave_the_rest(self) -> None:
        """What was not answered, for the theatre to deliver at the end."""
        self.played.undelivered += self.sent
        for fingerprints in self.sent.values():
            self.answered |= fingerprints


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "run" in metafunc.fixturenames:
        metafunc.parametrize("run", range(RUNS if metafunc.config.getoption("--long") else 1))


@pytest.fixture(scope="module")
def start() -> Iterator[Nursery]:
    with nursery() as started:
        yield started


@asynccontextmanager
async def town(folder: Path, start: Nursery, kept: Kept, *, seed: int = SEED) -> AsyncIterator[Town]:
    story = Story.model_validate(STORY)
    async with opened(story, RULES, folder, start, kept=kept) as played:
        yield Town(played, random.Random(seed))


async def live_and_die(one: Town, *, control: str = "") -> None:
    """One life: it ends while it starts, or after a number of signs, and a little later."""
    played, chance = one.played, one.chance
    played.board[PORT] = 0
    life = played.nursery.start(played.spec(control=control))
    signs = one.signs + chance.randint(1, MOST_SIGNS)
    dies_at_start = not chance.randrange(5) and not control
    if dies_at_start:
        await asyncio.sleep(chance.random() * 0.2)
    else:
        await until(lambda: one.signs >= signs, life, played)
        await asyncio.sleep(chance.random() * 0.01)
    life.kill()
    await ended(life, within_seconds=STUCK_SECONDS)


async def until(holds: Any, life: Life, played: Theatre) -> None:
    async with asyncio.timeout(STUCK_SECONDS):
        while not holds():
            assert not life.has_ended, f"it ended by itself: {played.log()}"
            await asyncio.sleep(0.002)


def stored(kept: Kept) -> set[str]:
    return {row[0] for row in kept.rows("SELECT fingerprint FROM alerts")}


async def test_kills_under_load_lose_nothing_and_repeat_nothing(
    kept: Kept, start: Nursery, tmp_path: Path, run: int
) -> None:
    async with town(tmp_path, start, kept, seed=SEED + run) as one:
        played = one.played
        senders = [asyncio.create_task(one.send()) for _ in range(SENDERS)]
        ticking = asyncio.create_task(one.let_time_pass())
        begun = 0
        for kill in range(KILLS):
            while begun < WORKLOADS and begun * KILLS <= kill * WORKLOADS:
                await played.happens(alert_of(begun))
                begun += 1
            await live_and_die(one)
            answered = set(one.answered)
            kept.check()
            if answered:  # the first may die before it has made a table
                assert answered - stored(kept) == set(), f"answered and lost, at kill {kill}"
        for task in (*senders, ticking):
            task.cancel()
        await asyncio.gather(*senders, ticking, return_exceptions=True)
        one.leave_the_rest()
        async with played.life() as life:
            assert await played.play(life), played.log()
            assert await played.stop(life) == 0, played.log()
        await check_end(one, kept)


async def check_end(one: Town, kept: Kept) -> None:
    """Nothing lost, nothing open, nothing done twice; the log proves itself."""
    kept.check()
    await kept.check_log(one.played.folder / "audit-anchor")
    assert one.answered - stored(kept) == set()
    [(count, alerts)] = kept.rows("SELECT count(*), count(DISTINCT alert_id) FROM remediations")
    assert count == alerts == len(one.answered), "an episode has one remediation"
    states = Counter(State(row[0]) for row in kept.rows("SELECT state FROM remediations"))
    assert set(states) <= TERMINAL
    done = Counter(attempt.path for attempt in one.played.api.attempts if attempt.is_done)
    assert [path for path, times in done.items() if times > 1] == [], "done twice"
    names = [attempt.audit_id for attempt in one.played.api.attempts]
    assert len(set(names)) == len(names), "a request was sent again under its name"
    assert states[State.VERIFIED] == len(done)
    assert len(done) >= WORKLOADS * 3 // 4, (states, len(done), one.played.log())


async def test_the_kills_see_an_answer_that_was_given_before_the_commit(start: Nursery, tmp_path: Path) -> None:
    """The negative control."""
    kept = InFile(tmp_path)
    async with town(tmp_path, start, kept) as one:
        senders = [asyncio.create_task(one.send()) for _ in range(SENDERS)]
        await live_and_die(one, control="hasty")
        for task in senders:
            task.cancel()
        await asyncio.gather(*senders, return_exceptions=True)
        assert one.answered - stored(kept)
