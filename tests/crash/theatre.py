"""One alert's whole way, in two lives: the service is killed at a point, started again, and what came of it is told.

The cluster, its Prometheus and the time are the test's and outlive the service. The time goes from one moment at which
something happens to the next, and only once the service has done all that there was to do: hours take a second, and
what comes out does not depend on how fast the machine is.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from remediator.simulate.alertmanager import wire_bytes
from remediator.simulate.events import Event
from remediator.simulate.happenings import Happening, happen, occurrences
from remediator.simulate.stage import Stage
from remediator.simulate.story import Story
from tests.crash.board import DUE, EPOCH, IDLE, NOW, PORT, ROUND, Board, micros
from tests.crash.nursery import Life, Nursery, ended
from tests.crash.points import Point
from tests.crash.servers import ApiServer, Attempt, prometheus, serving
from tests.crash.service_child import Spec
from tests.crash.stores import InFile, Kept
from tests.logkeys import signing

SCENES = yaml.safe_load(Path(__file__).with_name("scenes.yaml").read_text(encoding="utf-8"))
ACTIONS: tuple[str, ...] = tuple(SCENES["scenes"])
LEASE = timedelta(seconds=30)
LONGEST_STEP = timedelta(minutes=5)
LONGEST = timedelta(hours=2)
STUCK_SECONDS = 30.0
TERMINAL_WITHIN_SECONDS = 60.0
"""After the restart, of real time; every wait is skipped but those for the process itself."""


@dataclass(frozen=True, slots=True)
class Ending:
    """What there is when nothing is open any more. `states` are those of all remediations, `kinds` the records of ours
    in order, `attempts` the real writes that arrived, done or refused, `intents` what they may be called in the API
    server's audit log, `calls` how often people were called, `told` which Events there are."""

    states: tuple[str, ...]
    incidents: int
    kinds: tuple[str, ...]
    attempts: tuple[Attempt, ...]
    intents: tuple[str, ...]
    calls: int
    told: frozenset[str]

    @property
    def writes(self) -> tuple[str, ...]:
        """The real writes that were done."""
        return tuple(f"{one.method} {one.path}" for one in self.attempts if one.is_done)

    @property
    def sent(self) -> tuple[tuple[str, str, int], ...]:
        """The attempts without what they are called, which is another each time."""
        return tuple((one.method, one.path, one.status) for one in self.attempts)

    @property
    def outcomes(self) -> tuple[str, ...]:
        """What became of what was done. Deciding may have begun anew, and may have been intended twice."""
        return tuple(kind for kind in self.kinds if kind.startswith(("action.applied", "outcome.")))


@dataclass
class Theatre:
    """A scene that has come to its alert. `settings` are the service's, `kept` is its store."""

    stage: Stage
    api: ApiServer
    board: Board
    folder: Path
    settings: dict[str, Any]
    nursery: Nursery
    kept: Kept
    undelivered: list[bytes] = field(default_factory=list)
    delivered: list[bytes] = field(default_factory=list)

    # --- the service's lives

    def spec(self, *, point: str = "", control: str = "") -> Spec:
        return Spec(self.settings, str(self.board.path), str(self.folder / "service.log"), point, control)

    @asynccontextmanager
    async def life(self, *, point: Point | None = None, control: str = "") -> AsyncIterator[Life]:
        """A service, from its start to its end: whatever still lives at the end of it is killed."""
        self.board[PORT] = 0
        at_server = point is not None and point.wire is not None
        life = self.nursery.start(self.spec(point=point.name if point and not at_server else "", control=control))
        if point is not None and point.wire is not None:
            self.api.trap, self.api.nth, self.api.kill = point.wire, point.nth, life.kill
        else:
            self.api.trap = None
            self.api.release.set()
        try:
            await self._until(lambda: bool(self.board[PORT]) or life.has_ended, "the service listens")
            yield life
        finally:
            life.kill()
            await ended(life, within_seconds=STUCK_SECONDS)

    async def play(self, life: Life) -> bool:
        """Until the service dies, or nothing is open any more; whether it lives."""
        latest = self.stage.clock.now() + LONGEST
        self.board[ROUND] += 1
        while not life.has_ended:
            await self._deliver(life)
            await self._until(lambda: self.board[IDLE] == self.board[ROUND] or life.has_ended, "it is idle")
            if life.has_ended:
                return False
            due = self.board[DUE]
            if not due and not self.undelivered and not self.stage.alertmanager.outbox:
                return True
            now = self.stage.clock.now()
            assert now < latest, f"no end after {LONGEST}: {self.log()}"
            at = EPOCH + timedelta(microseconds=due)
            stop = at if due and at > now else now + timedelta(seconds=5)
            self.move_to(min(stop, now + LONGEST_STEP))
        return False

    async def stop(self, life: Life) -> int:
        """As Kubernetes does. What is committed is told before it ends."""
        life.ask_to_stop()
        return await ended(life, within_seconds=STUCK_SECONDS)

    def log(self) -> str:
        return (self.folder / "service.log").read_text(encoding="utf-8", errors="replace")[-6000:]

    def repeat(self) -> None:
        """Alertmanager delivers all of it once more, as after its own restart."""
        self.undelivered += self.delivered
        self.delivered.clear()

    def move_to(self, at: datetime) -> None:
        """Let the time pass, for the world and for the service."""
        self.stage.clock.move_to(at)
        self.board[NOW] = micros(self.stage.clock.now())
        self.board[ROUND] += 1

    async def happens(self, event: Event) -> None:
        await happen(event, Happening(self.stage, None))  # type: ignore[arg-type]  # nobody speaks to the service

    async def _deliver(self, life: Life) -> None:
        """Everything that Alertmanager has to say; what is not answered with 200 it will say again."""
        outbox = self.stage.alertmanager.outbox
        self.undelivered += [wire_bytes(body) for body in outbox]
        outbox.clear()
        while self.undelivered and not life.has_ended:
            with suppress(aiohttp.ClientError, TimeoutError):
                async with (
                    aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=STUCK_SECONDS)) as session,
                    session.post(
                        f"http://127.0.0.1:{self.board[PORT]}/api/v1/alerts",
                        data=self.undelivered[0],
                        headers={"Content-Type": "application/json"},
                    ) as reply,
                ):
                    if reply.status == 200:
                        self.delivered.append(self.undelivered.pop(0))
                        self.board[ROUND] += 1
                        continue
            await asyncio.sleep(0.01)

    async def _until(self, holds: Any, what: str) -> None:
        """Raises AssertionError when it does not come about, and the service says nothing, for `STUCK_SECONDS`."""
        end, said = time.monotonic() + STUCK_SECONDS, 0
        while not holds():
            if time.monotonic() > end:
                now = (self.folder / "service.log").stat().st_size
                assert now > said, f"waited {STUCK_SECONDS:g} s in vain until {what}:\n{self.log()}"
                end, said = time.monotonic() + STUCK_SECONDS, now
            await asyncio.sleep(0.002)

    # --- what came of it

    async def ending(self) -> Ending:
        """From the store of the service that has stopped; whole, and with a log that proves itself."""
        await self.kept.check_log(self.folder / "audit-anchor")
        self.kept.check()
        states = [row[0] for row in self.kept.rows("SELECT state FROM remediations ORDER BY id")]
        [(incidents,)] = self.kept.rows("SELECT count(*) FROM incidents")
        [(calls,)] = self.kept.rows("SELECT count(*) FROM escalations")
        rows = self.kept.rows("SELECT kind, canonical FROM records ORDER BY seq")
        kinds = [kind for kind, _ in rows if not kind.startswith(("alert.", "audit.", "escalation."))]
        intents = [json.loads(text)["body"]["audit_id"] for kind, text in rows if kind.endswith(".intent")]
        events = self.stage.cluster.list("CoreEvent")
        told = {item["reason"] for item in events if item.get("reportingComponent") == "remediator.io/controller"}
        return Ending(
            tuple(states), incidents, tuple(kinds), tuple(self.api.attempts), tuple(intents), calls, frozenset(told)
        )


@asynccontextmanager
async def theatre(scene: str, folder: Path, nursery: Nursery, *, kept: Kept | None = None) -> AsyncIterator[Theatre]:
    """The scene, played up to its alert."""
    story = Story.model_validate({"name": scene, "mode": "active", **SCENES["scenes"][scene]})
    async with opened(story, SCENES["rules"], folder, nursery, kept=kept) as played:
        for at, event in occurrences(story.events):
            played.move_to(played.stage.zero + at)
            await played.happens(event)
        yield played


@asynccontextmanager
async def opened(
    story: Story, rules: Sequence[Any], folder: Path, nursery: Nursery, *, kept: Kept | None = None
) -> AsyncIterator[Theatre]:
    """What the story begins with. `rules` as in a file; `kept` None: in a file in the folder."""
    kept = kept or InFile(folder)
    stage = Stage.build(story)
    (folder / "rules.yaml").write_text(json.dumps({"rules": rules}), encoding="utf-8")  # JSON is YAML without aliases
    board = Board(folder / "board")
    board[NOW] = micros(stage.clock.now())
    api = ApiServer(stage.cluster)
    async with serving(api.handle) as server, serving(prometheus(stage.prometheus)) as metrics:
        settings = settings_of(folder, server, metrics) | {"storage_url": kept.url}
        yield Theatre(stage, api, board, folder, settings, nursery, kept)


def settings_of(folder: Path, server: str, metrics: str) -> dict[str, Any]:
    """Of a service with its files in this folder."""
    return {
        "web_listen_address": "127.0.0.1:0",
        "web_max_connections_per_peer": 256,  # all of a test come from one address
        "storage_url": InFile(folder).url,
        "rules": [str(folder / "rules.yaml")],
        "mode": "active",
        "cluster_name": "story",
        "kube_server": server,
        "prometheus_url": metrics,
        "poll_seconds": 1,
        "lease_seconds": LEASE.total_seconds(),
        "grace_seconds": 10,
        "reload_poll_seconds": 0,
        "rollout_poll_seconds": 0,
        "score_poll_seconds": 0,
        **{name: str(file) for name, file in signing(folder).items()},
    }


async def undisturbed(scene: str, folder: Path, nursery: Nursery) -> Ending:
    """The same scene with a service that lives."""
    async with theatre(scene, folder, nursery) as played:
        async with played.life() as life:
            assert await played.play(life), played.log()
            assert await played.stop(life) == 0, played.log()
        return await played.ending()
