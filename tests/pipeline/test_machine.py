"""The engine against a small model of its rules, through whatever order of events: no write that the rules forbid.

The real pipeline, journal, guards and store act on a town of six Deployments under a clock that the machine moves. The
model knows nothing of them: it keeps what was sent, what became of it, and what people and servers said, and looks at
each write in the moment in which it is sent. `--long` runs it 2,000 times.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

import remediator.course
import remediator.pipeline
from remediator.alertmanager.base import Listed
from remediator.course import CALLS_PEOPLE
from remediator.errors import TransientError
from remediator.kube.base import Conflict, ReplyLost, Unreachable
from remediator.kube.ownership import LAST_ACTION
from remediator.model import TERMINAL, Alert, AlertStatus, Json, Mode, Remediation, Request
from remediator.pipeline import pass_on
from remediator.rules.ruleset import rule_set
from remediator.store.base import CommittedRecord, KillSwitch, Record
from remediator.store.budgets_base import Forgiven, Reset
from remediator.store.database import Database
from remediator.store.escalations_base import Acknowledgement, NotOpen
from remediator.store.opening import open_in_memory
from remediator.store.pauses_base import Pause, PauseOf
from tests.clocks import FakeClock
from tests.pipeline.test_crashes import Countdown, Crash
from tests.pipeline.town import PLACES, Place, Town, TownMetrics
from tests.pipeline.world import LEASE, World
from tests.pipeline.world import rule as table_rule
from tests.workloads import alert

T = TypeVar("T")
ROOMY = {"budgets": {"action": ["4 per 1h"], "namespace": ["2 per 1h"], "cluster": ["5 per 1h"]}}
"""The defaults leave one rollback an hour, in which there is little to go wrong."""

RULES = rule_set([table_rule(guards=ROOMY, limits=["2 per 10m", "5 per 1d"])])
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
places = st.sampled_from(PLACES)
EVENTS = ("kill_switch", "other_mode", "prometheus", "nodes", "reset", "pause", "silence")


@dataclass
class Done:
    """One action as the model saw it: the first write of it, whether it took effect, and what it led to."""

    place: Place
    action_id: str
    at: datetime
    took_effect: bool
    outcome: str | None = None
    reverts: int = 0


class Model:
    """What the page of rules says of a write, in as few words as possible."""

    def __init__(self) -> None:
        self.done: list[Done] = []
        self.killed = False
        self.paused: set[str] = set()
        self.silenced: set[Place] = set()
        self.firing: dict[Place, datetime] = {}
        self.decided: dict[Place, datetime] = {}
        self.mode = Mode.ACTIVE
        self.metrics_down = False
        self.nodes_down = 0
        self.reset_at: datetime | None = None
        self.broken: list[str] = []

    def forward(self, place: Place, action_id: str, now: datetime) -> None:
        counted = [one for one in self.done if one.took_effect and one.action_id != action_id]
        here = [one for one in counted if one.place == place]
        near = [one for one in counted if one.place[0] == place[0]]
        self._always(place)
        self._must(self.mode is Mode.ACTIVE, "acts in active mode only")
        self._must(place in self.firing, "the alert was not resolved")
        self._must(place not in self.silenced, "nobody silenced it")
        self._must(not self.metrics_down, "Prometheus said that it is true")
        self._must(self.nodes_down < 2, "the cluster is healthy")
        self._must(not any(one.took_effect and one.action_id == action_id for one in self.done), "once only")
        self._must(not any(now - one.at < 15 * MINUTE for one in here), "cooldown")
        for what, actions, most, window in (
            ("rule", counted, 2, 10 * MINUTE),
            ("rule", counted, 5, DAY),
            ("action", counted, 4, HOUR),
            ("namespace", near, 2, HOUR),
            ("cluster", counted, 5, HOUR),
        ):
            self._must(sum(now - one.at < window for one in actions) < most, f"budget of the {what}")
        self._must(not any(one.outcome is None for one in near), "one at once in a namespace")
        self._must(sum(one.outcome is None for one in counted) < 3, "three at once in the cluster")
        failed = [one for one in here if now - one.at < DAY and one.outcome != "verified"]
        self._must(len(failed) < 2, "two attempts on a target")
        known = [one.outcome for one in counted if one.outcome and (self.reset_at is None or one.at > self.reset_at)]
        self._must(len(known) < 2 or "verified" in known[-2:], "breaker: two in a row")
        self._must(sum(outcome != "verified" for outcome in known[-10:]) < 3, "breaker: three of ten")
        storm = [at for at in self.decided.values() if now - at < 5 * MINUTE]
        self._must(len(storm) < 5, "no storm")

    def inverse(self, place: Place, action_id: str) -> None:
        self._always(place)
        self._must(self.mode is Mode.ACTIVE, "reverts in active mode only")
        [own] = [one for one in self.done if one.action_id == action_id]
        self._must(own.outcome == "failed", "only what failed is reverted")
        self._must(own.reverts == 0, "reverted once")

    def _always(self, place: Place) -> None:
        self._must(not self.killed, "kill switch")
        self._must(place[0] not in self.paused, "pause")

    def _must(self, holds: bool, what: str) -> None:
        if not holds:
            self.broken.append(what)


    def ended(self, record: Record) -> None:
        """An outcome was committed; the first one is the action's."""
        word = record.kind.partition("outcome.")[2]
        for one in self.done:
            if word and one.action_id == record.body["action_id"] and one.outcome is None:
                one.outcome = word


class Observed:
    """The store; the model sees every outcome when it is committed."""

    def __init__(self, database: Database, model: Model) -> None:
        self._database = database
        self._model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    async def advance(self, remediation: Remediation, *, record: Record, **step: Any) -> Remediation:
        moved = await self._database.advance(remediation, record=record, **step)
        self._model.ended(record)
        return moved


class Muting:
    """An Alertmanager that lists what fires and mutes what is silenced."""

    def __init__(self, model: Model) -> None:
        self._model = model

    async def look_up(self, one: Alert) -> Listed | None:
        place = place_of(one)
        if place not in self._model.firing:
            return None
        return Listed(("silence",) if place in self._model.silenced else ())

    async def close(self) -> None: ...


class FaultyTown(Town):
    """The next real write goes wrong in the way that `fault` says."""

    fault: str | None = None
    on_done: Callable[[], None]

    async def send(self, request: Request, *, dry_run: bool) -> Json:
        fault = None if dry_run else self.fault
        if not dry_run:
            self.fault = None
        match fault:
            case "refused":
                raise Unreachable("connection refused")
            case "conflict":
                raise Conflict("someone was faster")
            case "lost before":
                raise ReplyLost("no answer")
        reply = await super().send(request, dry_run=dry_run)
        if not dry_run:
            self.on_done()
        if fault == "lost after":
            raise ReplyLost("no answer")
        return reply


def place_of(one: Alert) -> Place:
    return one.labels["namespace"], one.labels["pod"].partition("-")[0]


class Engine(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.model, self.clock = Model(), FakeClock()
        self.town = FaultyTown(self.clock, self.on_write)
        self.metrics = TownMetrics(self.town, self.clock)
        self.database: Database = self.do(open_in_memory(clock=self.clock))
        self.town.on_done = self.on_done
        self.observed: Any = Observed(self.database, self.model)
        self.world = World(
            self.clock,
            None,  # type: ignore[arg-type]  # the town has many
            self.metrics,  # type: ignore[arg-type]
            self.database,
            rules=RULES,
            cluster=self.town,
            store=self.observed,
            alertmanager=Muting(self.model),
        )
        self.seen = 0

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def on_write(self, place: Place, request: Request) -> None:
        """Called before it is done."""
        marks = [step["value"] for step in request.body if step["path"].endswith(LAST_ACTION.replace("/", "~1"))]
        action_id, _, suffix = str(marks[-1]).partition(".")
        if suffix:
            self.model.inverse(place, action_id)
            own = next(one for one in self.model.done if one.action_id == action_id)
            own.reverts += 1
            return
        self.model.forward(place, action_id, self.clock.now())
        self.model.done.append(Done(place, action_id, self.clock.now(), took_effect=False))

    def on_done(self) -> None:
        """The write that was sent last took effect. (An inverse is of one that did.)"""
        if self.model.done[-1].outcome is None:
            self.model.done[-1].took_effect = True

    # -- alerts

    @rule(place=places)
    def fires(self, place: Place) -> None:
        if place in self.model.firing:
            return
        self.model.firing[place] = self.clock.now()
        self.do(self.world.receive(self.alert_of(place)))

    @rule(place=places)
    def repeats(self, place: Place) -> None:
        if place in self.model.firing:
            self.do(self.world.receive(self.alert_of(place)))

    @rule(place=places)
    def resolves(self, place: Place) -> None:
        if place in self.model.firing:
            ended = replace(self.alert_of(place), status=AlertStatus.RESOLVED, ends_at=self.clock.now())
            self.do(self.world.receive(ended))
            del self.model.firing[place]

    def alert_of(self, place: Place) -> Alert:
        namespace, name = place
        labels = {"alertname": "KubePodCrashLooping", "namespace": namespace, "pod": f"{name}-3-a"}
        fingerprint = f"{PLACES.index(place):016x}"
        return alert(fingerprint=fingerprint, labels=labels, starts_at=self.model.firing[place])

    # -- time and work

    @rule(seconds=st.sampled_from([1, 5, 20, 60, 130, 300, 600, 900, 1900, 3600, 90000]))
    def time_passes(self, seconds: int) -> None:
        self.clock.jump(seconds=seconds)

    @rule()
    def the_clock_is_set_back(self) -> None:
        self.clock.jump(seconds=-2)

    @rule()
    def works(self) -> None:
        before = dict(self.model.firing)
        with suppress(TransientError):
            self.do(self.world.one_pass())
            self.model.decided.update(before)
        self.look()

    @rule()
    def works_for_minutes(self) -> None:
        for _ in range(8):
            self.works()
            self.clock.jump(seconds=45)

    @rule(place=places, heals=st.booleans())
    def an_incident(self, place: Place, heals: bool) -> None:
        """From a new release that crashes to what became of it, when nothing comes between."""
        if place not in self.model.firing:
            self.recreate(place, heals)
            self.fires(place)
        self.works_for_minutes()
        self.clock.jump(seconds=1000)
        self.works()
        if place in self.model.firing and heals:
            self.resolves(place)

    @rule(at=st.integers(1, 60), after=st.booleans())
    def dies(self, at: int, after: bool) -> None:
        countdown = Countdown(at, after=after)
        self.world.store, self.world.cluster = countdown.wrap(self.observed), countdown.wrap(self.town)
        try:
            self.do(self.world.one_pass())
        except BaseExceptionGroup as group:
            if group.split((Crash, TransientError))[1] is not None:
                raise
        except (Crash, TransientError):
            pass
        finally:
            self.world.store, self.world.cluster = self.observed, self.town
        self.clock.at += LEASE
        self.look()

    @rule()
    def nobody_answers(self) -> None:
        self.do(pass_on(self.world.parts))

    @rule(closes=st.booleans())
    def somebody_answers(self, closes: bool) -> None:
        said = Acknowledgement("me", "x", self.clock.now(), closes)
        for one in self.do(self.database.escalations())[:1]:
            with suppress(NotOpen):
                self.do(self.database.acknowledge(one.id, said))

    def look(self) -> None:
        """Every "no" has a name, and what needs people has called them."""
        records = self.do(self.database.records(after=self.seen, limit=10000))
        called = {r.remediation_id for r in records if r.kind in ("escalation.opened", "escalation.joined")}
        for record in records:
            self.seen = record.seq
            if record.kind.startswith("decision."):
                assert record.body["reason"] or record.kind == "decision.recommended", record.body
            if record.body.get("to") in CALLS_PEOPLE and record.remediation_id not in called:
                assert self.is_over_and_untouched(record), record.body
        self.what_is_open_is_somebody_s()

    def is_over_and_untouched(self, record: CommittedRecord) -> bool:
        """The only one that needs nobody: resolved in the moment in which it was handed over, and nothing was done."""
        view = self.do(self.database.incident(record.incident_id))
        [own] = [one for one in view.remediations if one.id == record.remediation_id]
        resolved = self.do(self.database.is_resolved(own.fingerprint, own.alert.starts_at))
        return resolved and own.acted_at is None

    def what_is_open_is_somebody_s(self) -> None:
        """An incident is open while something of it is under way or people have to see to it, and only then."""
        asked = {one.incident_id for one in self.do(self.database.escalations()) if one.incident_id is not None}
        rows = self.do(self.database.incidents(limit=1000, open_only=True))
        assert asked <= {row.id for row in rows}
        for row in rows:
            view = self.do(self.database.incident(row.id))
            assert row.id in asked or any(one.state not in TERMINAL for one in view.remediations), row

    # -- people and servers

    @rule(what=st.sampled_from(EVENTS), place=places)
    def something_happens(self, what: str, place: Place) -> None:
        if what in ("pause", "silence"):
            getattr(self, what)(place)
        else:
            getattr(self, what)()

    @rule()
    def all_is_well_again(self) -> None:
        model = self.model
        for is_wrong, mend in (
            (model.killed, self.kill_switch),
            (model.mode is not Mode.ACTIVE, self.other_mode),
            (model.metrics_down, self.prometheus),
            (model.nodes_down > 0, self.nodes),
        ):
            if is_wrong:
                mend()
        for namespace in tuple(model.paused):
            self.pause((namespace, ""))
        model.silenced.clear()

    def kill_switch(self) -> None:
        self.model.killed = not self.model.killed
        switch = KillSwitch(self.model.killed, "a test", "me", self.clock.now(), None)
        self.do(self.database.set_kill_switch(switch))

    def pause(self, place: Place) -> None:
        namespace, now = place[0], self.clock.now()
        if namespace in self.model.paused:
            self.model.paused.remove(namespace)
            self.do(self.database.lift_pause(PauseOf.NAMESPACE, namespace, by="me", comment="x", at=now))
        else:
            self.model.paused.add(namespace)
            self.do(self.database.set_pause(Pause(PauseOf.NAMESPACE, namespace, "me", "x", now, None)))

    def silence(self, place: Place) -> None:
        self.model.silenced ^= {place}

    def other_mode(self) -> None:
        self.model.mode = Mode.SILENT if self.model.mode is Mode.ACTIVE else Mode.ACTIVE
        self.world.mode = self.model.mode

    def reset(self) -> None:
        self.model.reset_at = now = self.clock.now()
        for what, subject in ((Forgiven.RULE, "crash-loop"), (Forgiven.CLUSTER, "test")):
            self.do(self.database.reset(Reset(what, subject, "me", "x", now)))

    @rule(place=places, heals=st.booleans())
    def recreate(self, place: Place, heals: bool) -> None:
        self.look()
        self.town.recreate(place)
        self.town.lots[place].shop.heals = heals

    @rule(place=places)
    def does_not_help(self, place: Place) -> None:
        self.town.lots[place].shop.heals = False

    @rule(fault=st.sampled_from(["refused", "conflict", "lost before", "lost after"]))
    def next_write_fails(self, fault: str) -> None:
        self.town.fault = fault

    def prometheus(self) -> None:
        self.model.metrics_down = self.metrics.down = not self.metrics.down

    def nodes(self) -> None:
        """Two of four, as when a zone is lost."""
        for number in (0, 1):
            self.town.node_ready(number, ready=self.model.nodes_down > 0)
        states = [self.do(self.town.get(f"/api/v1/nodes/node-{n}"))["status"]["conditions"][0] for n in range(4)]
        self.model.nodes_down = sum(one["status"] != "True" for one in states)

    @invariant()
    def no_rule_was_broken(self) -> None:
        if hasattr(self, "model"):
            assert self.model.broken == []

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.do(self.database.close())
            self.loop.close()


def profile(runs: int, *, shrinks: bool = True) -> settings:
    quiet = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
    return settings(
        max_examples=runs,
        stateful_step_count=50,
        deadline=None,
        suppress_health_check=quiet,
        derandomize=True,
        phases=[Phase.generate, Phase.shrink] if shrinks else [Phase.generate],
    )


def test_no_order_of_events_leads_to_a_forbidden_write(request: pytest.FixtureRequest) -> None:
    run_state_machine_as_test(Engine, settings=profile(2000 if request.config.getoption("--long") else 120))


def test_without_guards_the_machine_finds_a_forbidden_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: the events do lead there, and the model does see it."""
    monkeypatch.setattr(remediator.pipeline, "GUARDS", remediator.pipeline.GUARDS[:1])
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Engine, settings=profile(200, shrinks=False))


def test_without_calls_the_machine_finds_what_people_should_have_heard_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control of `look`."""
    monkeypatch.setattr(remediator.course, "CALLS_PEOPLE", frozenset())
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Engine, settings=profile(200, shrinks=False))
