"""Steps 2 to 7 for one claimed remediation of the past: which row, what the guards say, and whether it would act.

The order is that of `pipeline.remediate`, and each step is the service's own call. What history does not tell ends the
decision as untold, or stands among its needs. `run.py` calls it whenever the remediation is due.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from remediator.authority import UNLIMITED
from remediator.backtest.asked import Asked
from remediator.backtest.cluster import PastCluster
from remediator.backtest.decided import Decided, Would
from remediator.backtest.episodes import Episode
from remediator.backtest.facts import Facts, NotTold
from remediator.backtest.past_store import PastStore
from remediator.backtest.rows import Possible, possible_rows
from remediator.backtest.scene import Picture, picture
from remediator.diagnose.affected import affected_pods
from remediator.errors import cut
from remediator.guards.base import TargetView
from remediator.guards.check import Ruling, check
from remediator.model import Alert, Mode, Plan, Proof, Remediation, State, Target
from remediator.parts import NO_PROOF, Parts, severity_of, view_of
from remediator.reasons import Reason
from remediator.rules.match import NoMatch, match
from remediator.rules.schema import Rule
from remediator.store.base import Change, Record
from remediator.target.labels import NoTarget
from remediator.target.resolve import resolve
from remediator.verdicts import Decision, Gate

NOTE = Record("backtest", {})
"""Nobody reads the log of a backtest."""

TICK = timedelta(seconds=15)
"""How often the service asks again for a place among those under way (`store.budgets_base.LOOK_AGAIN`)."""

BY_SPENDING = frozenset({"concurrency", "cooldown", "limits", "budgets"})
"""Guards whose "no" is the doing of earlier actions."""


@dataclass(frozen=True, slots=True)
class UnderWay:
    """An action that began: until when it is taken to go on."""

    remediation: Remediation
    until: datetime


@dataclass(frozen=True, slots=True)
class Found:
    """The rule and the target of an alert, and what is to be said of it so far."""

    rule: Rule
    target: Target
    word: Decided


@dataclass(slots=True)
class Decider:
    """`parts` are the service's, on the past; `modes` is rule -> its mode as written. `said` is the word on each
    remediation so far, `under_way` what began by the target's key, `doubtful` the remediations of which it is not told
    whether they would have acted; `newest` is the last answer of `find`, `had_affected` the targets with pods that were
    not ready."""

    parts: Parts
    store: PastStore
    cluster: PastCluster
    facts: Facts
    asked: Asked
    modes: dict[str, Mode]
    said: dict[int, Decided] = field(default_factory=dict)
    under_way: dict[str, UnderWay] = field(default_factory=dict)
    last_on: dict[str, int] = field(default_factory=dict)
    doubtful: set[int] = field(default_factory=set)
    newest: tuple[tuple[str, datetime, datetime], Found | Decided] | None = None
    had_affected: set[str] = field(default_factory=set)

    async def find(self, alert: Alert, episode: Episode) -> Found | Decided:
        """Steps 2 and 3: its rule and target, or why that is the last word on it: then nothing else counts it. Asked
        twice at one moment, before the store hears of the alert and after; the answer is the same.
        """
        now = self.parts.clock.now()
        if self.newest is None or self.newest[0] != (alert.fingerprint, alert.starts_at, now):
            self.newest = (alert.fingerprint, alert.starts_at, now), await self._find(alert, episode, now)
        return self.newest[1]

    async def _find(self, alert: Alert, episode: Episode, now: datetime) -> Found | Decided:
        word = _word(alert, episode, now)
        rule = match(alert, self.parts.rules())
        if isinstance(rule, NoMatch):
            nearest = f"; nearest rule {rule.nearest}: {rule.why}" if rule.nearest else ""
            return replace(word, reason=Reason.NO_RULE.value, detail=f"no rule matches{nearest}")
        word = replace(word, rule=rule.name, mode=self.modes[rule.name].value)
        try:
            found = await resolve(
                alert,
                rule.target.spec(),
                cluster=self.cluster,
                protected_namespaces=self.parts.protected_namespaces,
                authority=UNLIMITED,
            )
        except NotTold as error:
            return _untold(word, error)
        if isinstance(found, NoTarget):
            return replace(word, reason=found.reason.value, detail=found.detail)
        return Found(rule, found.target, replace(word, target=str(found.target)))

    async def decide(self, mine: Remediation, episode: Episode) -> datetime | None:
        """Decide, or decide again. Returns when it is to be asked next, None: this was the last word."""
        now = self.parts.clock.now()
        if episode.ends_at is not None and episode.ends_at <= now:
            await self._over(mine, State.CANCELLED, "resolved before anything was done")
            return None
        if now - mine.created_at > self.parts.decide_within:
            await self._over(mine, State.EXPIRED, "no decision to act within its time")
            return None
        found = await self.find(mine.alert, episode)
        if isinstance(found, Decided):
            self.said[mine.id] = found
            await self._close(mine, to=State.CANCELLED)
            return None
        rule, word = found.rule, found.word
        try:
            looked = await picture(rule, mine, found.target, self.cluster, self.facts, now)
            word = replace(word, seen=looked.seen)
            severity = severity_of(self.parts.rules(), rule, mine.alert, looked.scene.workload)
            self.store.unseen -= mine.state is State.QUEUED
            mine = await self._look(mine, rule, severity, looked)
            return await self._answer(mine, rule, severity, looked, word)
        except NotTold as error:
            self.said[mine.id] = _untold(word, error)
            await self._close(mine, to=State.CANCELLED if mine.state is not State.DIAGNOSING else State.RECOMMENDED)
            return None

    # --- steps

    async def _look(self, mine: Remediation, rule: Rule, severity: int, looked: Picture) -> Remediation:
        """The target is known to the others from here on: it counts in storms and shared causes."""
        target = looked.scene.target
        affected = affected_pods(looked.scene, looked.findings)
        is_news = bool(affected) or target.key in self.had_affected
        if affected:
            self.had_affected.add(target.key)
        change = Change(rule=rule.name, severity=severity, target=target, affected=affected if is_news else None)
        return await self.store.advance(mine, to=State.DIAGNOSING, record=NOTE, at=looked.scene.now, change=change)

    async def _answer(
        self, mine: Remediation, rule: Rule, severity: int, looked: Picture, word: Decided
    ) -> datetime | None:
        possible = possible_rows(rule, looked.evidence, looked.unsure)
        acting = next((one for one in possible if rule.respond[one.position].acts), None)
        if not possible:
            self.said[mine.id] = replace(word, reason=Reason.NO_ROW.value, detail="no row of the rule holds")
            await self._close(mine)
            return None
        if acting is None:
            return await self._speak(mine, rule, looked, _spoken(word, possible))
        before = possible[: possible.index(acting) + 1]
        others = dict.fromkeys(one.do for one in possible if one.do != acting.do)
        word = replace(
            word,
            action=acting.do,
            others=tuple(others),
            needs=(*dict.fromkeys(need for one in before for need in one.needs), *looked.doubts),
        )
        return await self._act(mine, rule, severity, looked, word)

    async def _speak(self, mine: Remediation, rule: Rule, looked: Picture, word: Decided) -> datetime | None:
        """Rows that only speak; people are called once for what many share."""
        if "escalate" not in word.action:
            self.said[mine.id] = word
            await self._close(mine)
            return None
        now, target = looked.scene.now, looked.scene.target
        view = TargetView(target, now, self.cluster, self.store)
        ruling = await check(view, self.asked.gates_for(target), rule.guard_parameters)
        verdict = ruling.deciding
        if verdict.decision is not Decision.ALLOW:
            word = replace(word, reason=verdict.reason.value, guard=verdict.guard, detail=verdict.detail)
        self.said[mine.id] = word
        if verdict.decision is Decision.HOLD and verdict.until is not None:
            return await self._hold(mine, verdict.until, ruling.gates)
        await self._close(mine, ruling.gates)
        return None

    async def _act(
        self, mine: Remediation, rule: Rule, severity: int, looked: Picture, word: Decided
    ) -> datetime | None:
        """Ask the guards for what the row would do, and take it for done where they allow it."""
        plan = _plan(rule, word.action, mine, looked.scene.target)
        view = view_of(plan, rule, severity, looked.scene, self.parts, None)
        self.store.uses.clear()
        ruling = await check(view, self.asked.guards, rule.guard_parameters)
        verdict = ruling.deciding
        if verdict.decision is Decision.ALLOW:
            return await self._begin(mine, rule, plan, ruling, word)
        is_held = verdict.decision is Decision.HOLD
        blamed = self._blamed(verdict.guard, plan.target)
        self.said[mine.id] = replace(
            word,
            would=Would.HELD if is_held else Would.REFUSED,
            reason=verdict.reason.value,
            guard=verdict.guard,
            detail=verdict.detail,
            needs=blamed,
        )
        if is_held:
            until = verdict.until or view.now + timedelta(minutes=1)
            return await self._hold(mine, self._worth_asking(verdict.reason, until), ruling.gates)
        await self._close(mine, ruling.gates)
        return None

    async def _begin(self, mine: Remediation, rule: Rule, plan: Plan, ruling: Ruling, word: Decided) -> datetime | None:
        now, target = self.parts.clock.now(), plan.target
        if (other := self.under_way.get(target.key)) is not None:  # the unique index: one at a time on a workload
            detail = f"R-{other.remediation.id} is under way on it"
            blamed = self._doubts([other.remediation.id])
            self.said[mine.id] = replace(
                word, would=Would.HELD, reason=Reason.TOO_MANY_AT_ONCE.value, detail=detail, needs=blamed
            )
            return await self._hold(mine, other.until, ())
        mine = await self.store.advance(mine, to=State.PLANNED, record=NOTE, at=now, change=Change(plan=plan))
        change = Change(mode=Mode.ACTIVE, acted_at=now, budgets=ruling.budgets, rule_digest=rule.digest)
        mine = await self.store.advance(mine, to=State.ACTING, record=NOTE, at=now, change=change)
        mine = await self.store.advance(mine, to=State.VERIFYING, record=NOTE, at=now)
        self.under_way[target.key] = UnderWay(mine, _until(rule, word, now))
        self.last_on[target.key] = mine.id
        if word.needs:
            self.doubtful.add(mine.id)
        self.said[mine.id] = replace(word, would=Would.COULD if word.needs else Would.ACT, detail=plan.summary)
        return None

    async def finish(self, one: UnderWay) -> None:
        """What was under way is over; that it helped is taken for granted."""
        assert one.remediation.target is not None
        del self.under_way[one.remediation.target.key]
        await self.store.advance(one.remediation, to=State.VERIFIED, record=NOTE, at=one.until)

    # --- ends

    async def _over(self, mine: Remediation, to: State, why: str) -> None:
        """It was held, and will not be asked again."""
        said = self.said[mine.id]
        self.said[mine.id] = replace(said, at=self.parts.clock.now(), detail=f"{said.detail}; {why}")
        await self._close(mine, to=to)

    async def _hold(self, mine: Remediation, until: datetime, gates: Sequence[Gate]) -> datetime:
        change = Change(due_at=until, gates=tuple(gates))
        await self.store.advance(mine, to=State.HELD, record=NOTE, at=self.parts.clock.now(), change=change)
        return until

    async def _close(self, mine: Remediation, gates: Sequence[Gate] = (), *, to: State = State.RECOMMENDED) -> None:
        """At its end, which the store has to know: what is open is looked through at every claim."""
        now = self.parts.clock.now()
        await self.store.advance(mine, to=to, record=NOTE, at=now, change=Change(gates=tuple(gates)))

    # --- whose doing it is

    def _blamed(self, guard: str, target: Target) -> tuple[str, ...]:
        """Whether the "no" is the doing of actions of which it is not told whether they would have been done."""
        if guard not in BY_SPENDING:
            return ()
        if guard == "cooldown":
            return self._doubts([self.last_on[target.key]] if target.key in self.last_on else [])
        return self._doubts([debit.remediation for use in self.store.uses if use.is_full for debit in use.debits])

    def _doubts(self, others: Sequence[int]) -> tuple[str, ...]:
        is_doubtful = any(number in self.doubtful for number in others)
        return ("whether earlier actions would have been done",) if is_doubtful else ()

    def _worth_asking(self, reason: Reason, until: datetime) -> datetime:
        """The service asks again after a pause where nobody can tell; here it is known before when nothing can have
        changed: until an action that is under way ends, or kube-state-metrics is sampled again."""
        if reason is Reason.TOO_MANY_AT_ONCE and self.under_way:
            first = min(one.until for one in self.under_way.values())
            return until + TICK * max(0, -((until - first) // TICK))
        if reason is Reason.CLUSTER_UNHEALTHY:
            return max(until, self.facts.next_sample(self.parts.clock.now()))
        return until


def _untold(word: Decided, error: NotTold) -> Decided:
    need = cut(str(error))
    return replace(word, would=Would.UNTOLD, needs=(need,), detail=f"needs {need}")


def _word(alert: Alert, episode: Episode, now: datetime) -> Decided:
    return Decided(
        fingerprint=alert.fingerprint,
        labels=episode.labels,
        began_at=episode.begins_at,
        ended_at=episode.ends_at,
        at=now,
        would=Would.NOTHING,
    )


def _spoken(word: Decided, possible: Sequence[Possible]) -> Decided:
    """Rows that only speak. What they need decides between words, and is said only where these differ."""
    words = dict.fromkeys(one.do for one in possible)
    needs = dict.fromkeys(need for one in possible for need in one.needs) if len(words) > 1 else {}
    return replace(word, would=Would.SPEAK, action=" or ".join(words), needs=tuple(needs))


def _plan(rule: Rule, action: str, mine: Remediation, target: Target) -> Plan:
    """In place of the exact requests, which would need the objects: what guards count by."""
    asked = rule.verify
    proof = Proof(asked.expect, asked.within, asked.stable_for, asked.otherwise) if asked else NO_PROOF
    return Plan(
        action=action,
        action_id=mine.action_id,
        target=target,
        steps=(),
        proof=proof,
        generation=1,
        template_hash="",
        summary=f"{action} {target}",
        before=None,
        after=None,
    )


def _until(rule: Rule, word: Decided, now: datetime) -> datetime:
    """How long an action is taken to be under way: until the alert ended and was quiet for `stable_for`, `within` at
    most."""
    within = rule.verify.within if rule.verify else timedelta(minutes=10)
    stable = rule.verify.stable_for if rule.verify else timedelta()
    ended = word.ended_at or now + within
    return min(max(ended, now) + stable, now + within)
