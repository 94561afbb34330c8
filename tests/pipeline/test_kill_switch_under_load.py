"""The kill switch is turned on and off 200 times while workers are busy: what it forbids is not begun.

The real worker with eight passes at once, on thirty Deployments that crash. Every call takes its time, in seconds of a
loop that jumps: from the guards' first look at the switch to the write it is several of them.
"""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from remediator.access.credentials import Credentials
from remediator.authority import UNLIMITED
from remediator.guards.base import View
from remediator.guards.canary import CanaryGuard
from remediator.guards.stop import SwitchInCluster
from remediator.kube.base import path_of
from remediator.model import Json, Mode, Remediation, Request
from remediator.parts import Parts
from remediator.pipeline import admit
from remediator.reasons import Reason
from remediator.rules.ruleset import rule_set
from remediator.store.base import KillSwitch
from remediator.store.database import Database
from remediator.store.opening import open_in_memory
from remediator.verdicts import Decision, Verdict
from remediator.worker import Pace, Worker
from tests.jumping import run_jumping
from tests.pipeline.town import Place, Town, TownMetrics
from tests.pipeline.world import rule
from tests.workloads import NOW, alert

FLIPS, TARGETS, WORKERS = 200, 30, 8
AT_MOST_SECONDS = 1.0
PLACES = [(f"team{number % 8}x", f"app{number:02}x") for number in range(TARGETS)]
ROOMY = {
    "budgets": {"action": ["999 per 1h"], "namespace": ["99 per 1h"], "cluster": ["999 per 1h"]},
    "concurrency": {"namespace": 20, "cluster": 50},
    "cooldown": {"period": "1m"},
    "storm": {"targets": 1000, "share": 100},
    "shared-cause": {"targets": 20, "share": 90},
}
SWITCH = ("ops", "remediator-kill-switch")
SWITCH_PATH = path_of("ConfigMap", namespace=SWITCH[0], name=SWITCH[1])


PASS: ContextVar[object] = ContextVar("pass")
"""The pass that asks: the tasks that it starts have it too."""


class LoopClock:
    """The loop's own time, from `NOW` on."""

    def __init__(self) -> None:
        self._began = asyncio.get_running_loop().time()

    def now(self) -> datetime:
        return NOW + timedelta(seconds=asyncio.get_running_loop().time() - self._began)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass
class Watch:
    """What each pass last read of the switch, and what was written. `engaged_at` None: it is released."""

    clock: LoopClock
    engaged_at: datetime | None = None
    flips: int = 0
    read: dict[Any, bool] = field(default_factory=dict)
    forbidden: list[Place] = field(default_factory=list)
    late_by: list[float] = field(default_factory=list)
    written_at: list[datetime] = field(default_factory=list)
    intents: int = 0

    def looked(self, *, engaged: bool) -> None:
        self.read[PASS.get()] = engaged

    def begins(self, place: Place, request: Request) -> None:
        """A write goes out now."""
        self.written_at.append(self.clock.now())
        if self.read.get(PASS.get(), True):
            self.forbidden.append(place)
        if self.engaged_at is not None:
            self.late_by.append((self.clock.now() - self.engaged_at).total_seconds())


class Slow:
    """A server whose answers are on their way for up to so many seconds; a write reaches it at once."""

    def __init__(self, inner: Any, seconds: float, source: random.Random) -> None:
        self._inner = inner
        self._seconds = seconds
        self._random = source

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        return self._slow(found) if inspect.iscoroutinefunction(found) else found

    def _slow(self, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def call(*args: Any, **options: Any) -> Any:
            if options.get("dry_run", True):
                await self._wait()
            said = await method(*args, **options)
            await self._wait()
            return said

        return call

    async def _wait(self) -> None:
        await asyncio.sleep(self._random.uniform(0, self._seconds / 2))


class Watched:
    """A store or a cluster; every look at the switch is noted. `is_stale`: at all its looks a pass sees what it saw at
    the first."""

    def __init__(self, inner: Any, watch: Watch, *, is_stale: bool) -> None:
        self._inner, self._watch, self._is_stale = inner, watch, is_stale
        self._first: dict[Any, Any] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def kill_switch(self) -> KillSwitch:
        said: KillSwitch = await self._seen(self._inner.kill_switch())
        self._watch.looked(engaged=said.engaged)
        return said

    async def get(self, path: str) -> Json:
        if path != SWITCH_PATH:
            return await self._inner.get(path)
        said = await self._seen(self._inner.get(path))
        self._watch.looked(engaged=said["data"]["engaged"] == "true")
        return said

    async def _seen(self, asked: Awaitable[Any]) -> Any:
        said = await asked
        return self._first.setdefault(PASS.get(), said) if self._is_stale else said


class Load:
    """Everything of one run. `place` is where the switch is: the store or a ConfigMap."""

    def __init__(self, place: str, database: Database, clock: LoopClock, *, flips: int, is_stale: bool) -> None:
        self._random, self._flips = random.Random(7), flips
        self._place, self._database, self._clock = place, database, clock
        self.watch = Watch(clock)
        self._town = Town(clock, self.watch.begins, places=PLACES)
        store, cluster = (
            Watched(Slow(inner, seconds, self._random), self.watch, is_stale=is_stale)
            for inner, seconds in ((database, 0.02), (self._town, 0.5))
        )
        table = rule_set([rule(guards=ROOMY)])
        parts = Parts(
            store=store,  # type: ignore[arg-type]  # they forward what they do not watch
            cluster=cluster,  # type: ignore[arg-type]
            metrics=Slow(TownMetrics(self._town, clock), 0.5, self._random),  # type: ignore[arg-type]
            clock=clock,
            rules=lambda: table,
            mode=Mode.ACTIVE,
            authority_of=Credentials().authority_of,
            switch=SwitchInCluster(*SWITCH, cluster) if place == "ConfigMap" else None,  # type: ignore[arg-type]
            protected_namespaces=frozenset({"kube-system"}),
            look_every=timedelta(minutes=1),
        )
        pace = Pace("test", WORKERS, timedelta(minutes=2), poll_seconds=1, grace_seconds=60, pass_seconds=90)
        self._worker = Worker(parts, pace, around=_plainly)

    async def run(self) -> Watch:
        await self._turn(engaged=False)
        seconds = self._flips * 4.2 / TARGETS
        async with asyncio.TaskGroup() as group:
            group.create_task(self._worker.run())
            alerts = group.create_task(self._alerts(every=seconds))
            for _ in range(self._flips):
                for engaged in (True, False):
                    await asyncio.sleep(self._random.uniform(0.2, 4))
                    await self._turn(engaged=engaged)
            await alerts
            await self._turn(engaged=True)
            await asyncio.sleep(60)
            self._worker.stop()
        records = await self._database.records(after=0, limit=100_000)
        self.watch.intents = sum(record.kind == "action.intent" for record in records)
        return self.watch

    async def _turn(self, *, engaged: bool) -> None:
        if self._place == "ConfigMap":
            meta = {"namespace": SWITCH[0], "name": SWITCH[1]}
            self._town.add({"kind": "ConfigMap", "metadata": meta, "data": {"engaged": str(engaged).lower()}})
        else:
            await self._database.set_kill_switch(KillSwitch(engaged, "a test", "me", self._clock.now(), None))
        self.watch.engaged_at = self._clock.now() if engaged else None
        self.watch.flips += engaged

    async def _alerts(self, *, every: float) -> None:
        for number, (namespace, name) in enumerate(PLACES):
            labels = {"alertname": "KubePodCrashLooping", "namespace": namespace, "pod": f"{name}-3-a"}
            one = alert(fingerprint=f"{number:016x}", labels=labels, starts_at=self._clock.now())
            await admit([one], store=self._database, clock=self._clock, authority=UNLIMITED)
            self._worker.wake()
            await asyncio.sleep(self._random.uniform(0, 2 * every))


async def _plainly(remediation: Remediation, work: Awaitable[None]) -> None:
    PASS.set(object())
    await work


async def _under_load(place: str, *, flips: int = FLIPS, is_stale: bool = False) -> Watch:
    clock = LoopClock()
    database = await open_in_memory(clock=clock)
    try:
        return await Load(place, database, clock, flips=flips, is_stale=is_stale).run()
    finally:
        await database.close()


@pytest.fixture(autouse=True)
def _helped_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rule as it is has helped before: it may act on many."""

    async def check(guard: CanaryGuard, view: View, parameters: BaseModel) -> Verdict:
        return Verdict(guard.name, Decision.ALLOW, Reason.NONE, "the rule as it is has helped before")

    monkeypatch.setattr(CanaryGuard, "check", check)


@pytest.mark.parametrize("place", ["store", "ConfigMap"])
def test_nothing_is_written_once_the_switch_was_read(place: str) -> None:
    watch, seconds = run_jumping(_under_load(place))

    print(f"{watch.intents} intents, {len(watch.written_at)} writes in {seconds:.0f} s, late by {watch.late_by}")
    assert watch.flips == FLIPS + 1
    assert watch.forbidden == []
    assert max(watch.late_by, default=0.0) <= AT_MOST_SECONDS
    # It was a race: many wrote, and many were stopped after their intent.
    assert len(watch.written_at) > TARGETS / 2
    assert watch.intents - len(watch.written_at) > TARGETS / 4


@pytest.mark.parametrize("place", ["store", "ConfigMap"])
def test_without_the_last_look_it_writes_too_late(place: str) -> None:
    """The negative control: the guard's look alone is seconds old when the write goes out."""
    watch, _ = run_jumping(_under_load(place, flips=FLIPS // 4, is_stale=True))

    assert max(watch.late_by, default=0.0) > AT_MOST_SECONDS
