"""Conducts a soak: builds the town, lets it live, lets go wrong what the schedule says, and looks at what must hold."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp

from remediator.simulate.apiserver import EmbeddedCluster
from remediator.simulate.prometheus import EmbeddedPrometheus, Trouble
from tests.logkeys import KEYS, signing
from tests.soak import invariants
from tests.soak.child import Child, Sample
from tests.soak.clock import SharedClock
from tests.soak.courier import Courier
from tests.soak.faults import Fault, schedule
from tests.soak.gate import Gate
from tests.soak.invariants import Forbidden, Kept
from tests.soak.town import BROKEN_RULES, RULES, Town

SPEED = 20.0
"""Clock seconds in one real second."""

STARTING = 1.0
"""Seconds after the kill switch was answered in which a write that was under way may still arrive (`safety.md` S4)."""

SERVING_AGAIN_SECONDS = 30.0
SETTLE_SECONDS = 90.0
LANE_SECONDS = 120.0
FULL_AT_BYTES = 1
"""Nothing of a file is written beyond it: as good as a full disk, from the first page on."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do: for so many seconds, by this seed. `plant`: a fault of `service.PLANTS` that must be found."""

    seconds: float
    seed: int
    plant: str = ""
    noise_per_second: float = 8.0


@dataclass
class Soak:
    """One run. `violations` grow as they are found."""

    plan: Plan
    folder: Path
    say: Callable[[str], None]
    violations: list[str] = field(default_factory=list)
    windows: list[Forbidden] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    done: dict[str, int] = field(default_factory=dict)
    recoveries: list[float] = field(default_factory=list)
    looks: int = 0
    _is_full: bool = False

    async def run(self) -> Mapping[str, Any]:
        """The summary; `violations` is empty if all held."""
        async with self._world(), self._session():
            await self.town.build()
            await self.child.start()
            self._began = time.monotonic()
            await self._live()
            await self._settle()
            await self._stop(signal.SIGTERM)
            file = await self._look_at_file()
            self.violations += invariants.ended(file)
            self.violations += invariants.bounded(self.samples)
            self.violations += await asyncio.to_thread(self._verified)
        return self._summary(file)

    # --- the world

    @contextlib.asynccontextmanager
    async def _world(self) -> AsyncIterator[None]:
        chance, origin = random.Random(f"{self.plan.seed} town"), time.time()
        shared = {"clock": self.folder / "clock", "origin": origin, "speed": SPEED}
        self.clock = SharedClock(self.folder / "clock", origin=origin, speed=SPEED)
        pause = max(1.0, min(4.0, self.plan.seconds / 12))
        async with EmbeddedCluster(self.clock, tick_seconds=5.0, seed=self.plan.seed) as cluster:
            self.town = Town(cluster, self.clock, chance=chance, pause_seconds=pause)
            prometheus = EmbeddedPrometheus(self.clock, cluster, rules=self.town.rules(), interval_seconds=20.0)
            async with Gate(cluster, self.clock, chance=chance) as self.gate, prometheus as self.prometheus:
                self.prometheus.slow_seconds = 2.0 * SPEED
                self.child = Child(self.folder, shared, self._settings(), self.plan.plant)
                self.courier = Courier(
                    prometheus,
                    self.clock,
                    chance=chance,
                    url=lambda: f"http://127.0.0.1:{self.child.port}" if self.child.port else "",
                    noise_per_second=self.plan.noise_per_second,
                )
                self.courier.is_full = lambda: self._is_full
                try:
                    yield
                finally:
                    await self.child.end(signal.SIGKILL)

    def _settings(self) -> dict[str, Any]:
        (self.folder / "rules.yaml").write_text(RULES, encoding="utf-8")
        return {
            "web_listen_address": "127.0.0.1:0",
            "web_max_connections_per_peer": 256,  # all of a test come from one address
            "storage_url": f"sqlite:///{self.folder / 'soak.db'}",
            "rules": [self.folder / "rules.yaml"],
            "mode": "active",
            "cluster_name": "town",
            "kube_server": self.gate.url,
            "prometheus_url": self.prometheus.url,
            "poll_seconds": 0.5,
            "lease_seconds": 30 * SPEED,
            "grace_seconds": 5,
            "reload_poll_seconds": 0,
            "rollout_poll_seconds": 1,
            "score_poll_seconds": 1,
            **signing(self.folder),
        }

    @contextlib.asynccontextmanager
    async def _session(self) -> AsyncIterator[None]:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as self.session:
            yield

    async def _live(self) -> None:
        process, network = schedule(self.plan.seed, self.plan.seconds)
        self._courier = asyncio.create_task(self.courier.run())
        self._watching = asyncio.create_task(self._watch())
        lanes = [asyncio.create_task(self._lane(process)), asyncio.create_task(self._lane(network))]
        living = [asyncio.create_task(self.town.live()), asyncio.create_task(self._people())]
        try:
            await _first_failure([*lanes, *living, self._courier, self._watching], seconds=self.plan.seconds)
            await _first_failure(lanes, seconds=LANE_SECONDS)  # what had begun is brought to its end
        finally:
            for task in (*lanes, *living):
                task.cancel()

    async def _settle(self) -> None:
        """All is mended and resolved; then there is time to come to an end."""
        self.gate.trouble, self.prometheus.trouble = "", Trouble.NONE
        self.courier.end_noise()
        deadline = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < deadline:
            broken = self.town.look(patience=timedelta(0))
            if not broken and not self.courier.firing and not self.courier.waiting and not await self._open():
                break
            await asyncio.sleep(1.0)
        self._courier.cancel()
        self._watching.cancel()
        await asyncio.wait([self._courier, self._watching])

    async def _open(self) -> int:
        """How many remediations are not at their end, as the service says; 1 if it says nothing."""
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
            async with self.session.get(f"http://127.0.0.1:{self.child.port}/metrics") as answer:
                lines = [line for line in (await answer.text()).splitlines() if line.startswith("remediator_queue_dep")]
                return int(sum(float(line.rpartition(" ")[2]) for line in lines))
        return 1

    # --- looking

    async def _watch(self) -> None:
        minute = 0
        while True:
            await asyncio.sleep(1.0)
            if (sample := self.child.look()) is not None:
                self.samples.append(sample)
            if (past := int((time.monotonic() - self._began) / 60)) > minute:
                minute = past
                self._check_writes()
                self.say(self._progress(minute))

    def _check_writes(self) -> None:
        found = [*invariants.forbidden(self.gate.writes, self.windows)]
        self.violations += [one for one in found if one not in self.violations]

    def _progress(self, minute: int) -> str:
        last = self.samples[-1] if self.samples else Sample(0, 0, 0, 0, 0)
        return (
            f"{minute:>3} min  {self.courier.ledger.answers[200]} bodies kept, {sum(self.done.values())} faults, "
            f"{self.child.lives} lives, {len(self.gate.writes)} writes, {last.memory:.0f} MiB, {last.files} files, "
            f"{last.tasks} tasks, {len(self.violations)} violations"
        )

    async def _look_at_file(self) -> Kept:
        """After an end of the process: the file against what was answered and what was written."""
        file = await asyncio.to_thread(lambda: invariants.kept(invariants.copied(self._database, self.folder)))
        found = [f"file: {problem}" for problem in file.problems]
        found += [*invariants.lost(self.courier.ledger, file), *invariants.written(self.gate.writes, file)]
        self._check_writes()
        self.violations += [one for one in found if one not in self.violations]
        self.looks += 1
        return file

    def _verified(self) -> Sequence[str]:
        copy = invariants.copied(self._database, self.folder)
        return [*invariants.verified(copy, f"{KEYS.known[0]}\n", self.folder / "audit-anchor")]

    @property
    def _database(self) -> Path:
        return self.folder / "soak.db"

    # --- faults

    async def _lane(self, faults: Sequence[Fault]) -> None:
        for fault in faults:
            await asyncio.sleep(max(0.0, self._began + fault.begins - time.monotonic()))
            if time.monotonic() - self._began > self.plan.seconds:
                return
            self.done[fault.name] = self.done.get(fault.name, 0) + 1
            kind, _, what = fault.name.partition("-")
            if kind == "api":
                await self._api(what, fault)
            elif kind == "prometheus":
                await self._prometheus(what, fault)
            else:
                await self._of_process[fault.name](self, fault)

    async def _api(self, what: str, fault: Fault) -> None:
        self.gate.trouble = what
        await asyncio.sleep(fault.lasts)
        self.gate.trouble = ""

    async def _prometheus(self, what: str, fault: Fault) -> None:
        self.prometheus.trouble = Trouble(what)
        await asyncio.sleep(fault.lasts)
        self.prometheus.trouble = Trouble.NONE

    async def _kill(self, fault: Fault) -> None:
        await self._again(signal.SIGKILL)

    async def _restart(self, fault: Fault) -> None:
        await self._again(signal.SIGTERM)

    async def _again(self, number: signal.Signals) -> None:
        await self._stop(number)
        await self._look_at_file()
        await self.child.start()

    async def _stop(self, number: signal.Signals) -> None:
        self.child.port = 0
        await self.child.end(number)

    async def _freeze(self, fault: Fault) -> None:
        self.child.send(signal.SIGSTOP)
        await asyncio.sleep(fault.lasts)
        self.child.send(signal.SIGCONT)

    async def _fill_disk(self, fault: Fault) -> None:
        """Nothing is answered 200, and nothing new is begun, while nothing can be kept."""
        self.child.starve(FULL_AT_BYTES)
        self._is_full, began = True, time.monotonic()
        await asyncio.sleep(fault.lasts)
        self._is_full, ended = False, time.monotonic()
        self.child.starve(None)
        self.windows.append(Forbidden(began + STARTING, ended, "written with the disk full"))
        while self.courier.latest_ack < ended:
            if time.monotonic() - ended > SERVING_AGAIN_SECONDS:
                self.violations.append(f"not serving {SERVING_AGAIN_SECONDS:g} s after the disk had room again")
                return
            await asyncio.sleep(0.05)
        self.recoveries.append(self.courier.latest_ack - ended)

    async def _be_silent(self, fault: Fault) -> None:
        """A life in silent mode: nothing is written while it lasts."""
        await self._stop(signal.SIGTERM)
        began = time.monotonic()
        self.child.settings["mode"] = "silent"
        await self.child.start()
        await asyncio.sleep(fault.lasts)
        await self._stop(signal.SIGKILL)
        self.windows.append(Forbidden(began, time.monotonic(), "written in silent mode"))
        self.child.settings["mode"] = "active"
        await self._look_at_file()
        await self.child.start()

    async def _switch_off(self, fault: Fault) -> None:
        if not await self._ask("/api/v1/pause", {"engaged": True, "by": "soak", "comment": "a look"}):
            return
        engaged = time.monotonic()
        await asyncio.sleep(fault.lasts)
        self.windows.append(Forbidden(engaged + STARTING, time.monotonic(), "written while the kill switch is engaged"))
        while True:
            if await self._ask("/api/v1/pause", {"engaged": False, "by": "soak", "comment": "on"}):
                return
            await asyncio.sleep(0.5)

    async def _reload(self, fault: Fault) -> None:
        """Rules that cannot be read leave the old ones in force; then good ones come."""
        rules = self.folder / "rules.yaml"
        rules.write_text(BROKEN_RULES, encoding="utf-8")
        self.child.send(signal.SIGHUP)
        await asyncio.sleep(1.0)
        rules.write_text(f"{RULES}# {fault.draw}\n", encoding="utf-8")
        self.child.send(signal.SIGHUP)

    async def _jump(self, fault: Fault) -> None:
        self.clock.jump(60 + 840 * fault.draw)

    _of_process: Mapping[str, Callable[[Soak, Fault], Awaitable[None]]] = field(
        init=False,
        default_factory=lambda: {
            "kill": Soak._kill,
            "restart": Soak._restart,
            "stop": Soak._freeze,
            "disk-full": Soak._fill_disk,
            "silent": Soak._be_silent,
            "kill-switch": Soak._switch_off,
            "reload": Soak._reload,
            "clock-jump": Soak._jump,
        },
    )

    async def _people(self) -> None:
        """They let begin anew what did not help often enough to be stopped: else nothing would be done for long."""
        while True:
            await asyncio.sleep(20.0)
            for rule in ("crash", "stuck", "sick"):
                await self._ask("/api/v1/reset", {"what": "rule", "subject": rule, "by": "soak", "comment": "seen"})
            await self._ask("/api/v1/reset", {"what": "cluster", "subject": "town", "by": "soak", "comment": "seen"})

    async def _ask(self, path: str, body: Mapping[str, Any]) -> bool:
        if not self.child.port:
            return False
        try:
            async with self.session.post(f"http://127.0.0.1:{self.child.port}{path}", json=body) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    # --- what is said at the end

    def _summary(self, file: Kept) -> Mapping[str, Any]:
        ledger, memory = self.courier.ledger, [one.memory for one in self.samples]
        if ledger.acked_while_full:
            self.violations.append(f"{ledger.acked_while_full} bodies were answered 200 with the disk full")
        return {
            "seconds": round(time.monotonic() - self._began),
            "clock_hours": round((time.monotonic() - self._began) * SPEED / 3600, 1),
            "seed": self.plan.seed,
            "plant": self.plan.plant,
            "violations": self.violations,
            "faults": dict(sorted(self.done.items())),
            "requests_that_met_trouble": dict(sorted(self.gate.met.items())),
            "lives": self.child.lives,
            "looks_at_the_file": self.looks,
            "slowest_start_seconds": round(max(self.child.starts), 2),
            "slowest_recovery_of_the_disk_seconds": round(max(self.recoveries, default=0.0), 2),
            "troubles": dict(sorted(self.town.troubles.items())),
            "mended_by_people": self.town.mended_by_people,
            "answers": {str(status or "none"): count for status, count in sorted(ledger.answers.items())},
            "episodes": len(ledger.told),
            "records": file.records,
            "writes": len(self.gate.writes),
            "dry_runs": self.gate.dry_runs,
            "states": file.states,
            "outcomes": file.outcomes,
            "reasons": file.reasons,
            "memory_mib": {"least": round(min(memory), 1), "most": round(max(memory), 1)},
            "memory_slope_mib_per_minute": None if (s := invariants.slope(self.samples)) is None else round(s, 2),
            "most_files": max(one.files for one in self.samples),
            "most_tasks": max(one.tasks for one in self.samples),
        }


async def _first_failure(tasks: Sequence[asyncio.Task[None]], *, seconds: float) -> None:
    """Until all have ended, or the time has; raises what one of them raised."""
    done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    for task in done:
        task.result()
