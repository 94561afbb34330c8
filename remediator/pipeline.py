"""The whole way of one alert, in order: `admit` ends step 1, `remediate` is steps 2 to 9, `publish` and `pass_on` are
step 10.

`receive/` calls `admit` inside the request; `worker.py` runs the others in loops. Every step is one call; every way
a step can end is one call of the journal, which commits the new state with its record. Whoever claims the remediation
next, after a wait or a crash, goes on from the committed state: what was only read is read again, what was to be
written is looked for on the object before anything is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial

from remediator.actions.write import Gate, Written, act, read_back, read_back_undo, undo
from remediator.authority import Authority
from remediator.checks.verify import Verification, verify
from remediator.clock import Clock
from remediator.diagnose.affected import affected_pods
from remediator.diagnose.diagnose import diagnose
from remediator.errors import PermanentError
from remediator.guards import GUARDS, gates_for
from remediator.guards.base import TargetView
from remediator.guards.check import check
from remediator.guards.stop import Stop, stop_of
from remediator.journal import Journal
from remediator.kube.workload import read_workload
from remediator.last_look import no_longer_wanted, vetoed
from remediator.model import Alert, Answer, Mode, Outcome, Plan, State, most_cautious
from remediator.parts import Parts, as_watched, case_of, dependents_of, reach_of, scene_of, severity_of, view_of
from remediator.proof import prove
from remediator.reasons import Reason
from remediator.rules.match import NoMatch, match
from remediator.rules.plan import make_plan
from remediator.rules.ruleset import RuleSet
from remediator.sinks.base import Sink
from remediator.store.base import Accepted, Store
from remediator.store.reading import IncidentReader
from remediator.target.labels import NoTarget
from remediator.target.resolve import resolve
from remediator.watchdog import Watchdog

UNDECIDED = (State.QUEUED, State.DIAGNOSING, State.PLANNED, State.HELD, State.AWAITING_APPROVAL)

RESTORE_PAUSE = timedelta(minutes=1)
"""Pause between two looks at whether what was changed for a time can be given back."""

RESTORE_WITHIN = timedelta(hours=24)
"""How long to look for a time at which it can be given back, before people are asked."""

CONFIRM_PAUSE = timedelta(minutes=1)
"""Pause between two looks at whether a resolution was confirmed: the watchdog comes about as often."""


async def admit(
    alerts: Sequence[Alert],
    *,
    store: Store,
    clock: Clock,
    authority: Authority,
    rules: RuleSet | None = None,
    max_open: int | None = None,
    watchdog: Watchdog | None = None,
) -> Accepted:
    """Step 1, receive: keep every alert durably and queue the new ones. After this returns, 200 is true.

    `authority` is the sender's: nothing outside of it is repeated or resolved. By `rules` the severe ones are decided
    first; None: in the order in which they come. The `watchdog` is heard, and begins nothing. Raises TooManyOpen where
    more than `max_open` remediations would be open.
    """
    heard: Sequence[Alert] = ()
    if watchdog is not None:
        alerts, heard = watchdog.split(alerts, authority)
        await watchdog.heard(heard, at=clock.now())
    severity = (lambda _: None) if rules is None else partial(urgency_of, rules)
    kept = await store.accept(alerts, at=clock.now(), authority=authority, severity=severity, max_open=max_open)
    return replace(kept, heard=len(heard))


def urgency_of(rules: RuleSet, alert: Alert) -> int | None:
    """The severity of the rule that the alert matches now; what is decided, and by which rule, is decided later."""
    rule = match(alert, rules)
    return None if isinstance(rule, NoMatch) else severity_of(rules, rule, alert)


async def remediate(journal: Journal, parts: Parts) -> None:
    """Steps 2 to 9 for the journal's claimed remediation, as far as they go now.

    Raises TransientError when something could not be read (the worker tries again later), LostClaim when someone else
    has the remediation.
    """
    alert, cluster, clock = journal.remediation.alert, parts.cluster, parts.clock

    if journal.state in UNDECIDED:
        if await is_over(journal, parts):
            return None
        await journal.begin(decide_by=journal.remediation.created_at + parts.decide_within)

        # 2 match
        rule = match(alert, parts.rules())
        if isinstance(rule, NoMatch):
            return await journal.no_rule(rule)
        journal.matched(rule, severity_of(parts.rules(), rule, alert))

        # 3 target
        found = await resolve(
            alert,
            rule.target.spec(),
            cluster=cluster,
            protected_namespaces=parts.protected_namespaces,
            authority=reach_of(alert, parts),
        )
        if isinstance(found, NoTarget):
            return await journal.no_target(rule, found)
        journal.found(found)
        workload = await read_workload(found.target, cluster, clock, known=found.object)
        if workload is None:
            return await journal.target_gone(rule, found.target)
        workload = await as_watched(found.target, workload, parts)
        severity = severity_of(parts.rules(), rule, alert, workload)
        journal.matched(rule, severity)

        # 4 diagnose
        scene = scene_of(found.target, workload, rule, alert, parts)
        diagnosis = await diagnose(rule.collectors, scene, patterns=parts.rules().log_patterns)

        # 5 plan
        ledger = await parts.store.template_events(found.target)
        planned = make_plan(rule, case_of(journal.remediation, rule, scene, diagnosis, ledger))
        await journal.planned(rule, found.target, diagnosis, affected_pods(scene, diagnosis.findings), planned)
        if not isinstance(planned.answer, Plan):
            if planned.answer.is_escalation:
                # 6 guard: of what many share people are called once, not for each of them
                many = TargetView(found.target, clock.now(), cluster, parts.store)
                ruling = await check(many, gates_for(found.target), rule.guard_parameters)
                await journal.call_people(planned.answer, ruling)
            return None

        # 6 guard
        view = view_of(planned.answer, rule, severity, scene, parts, await parts.store.approval(journal.remediation.id))
        ruling = await check(view, GUARDS, rule.guard_parameters)
        if not ruling.is_allowed:
            proven = await prove(planned.answer, ruling, cluster, mode=parts.mode)
            return await journal.not_allowed(ruling, view.mode, proven)

        # 7 act: the intent is durable, and debited, before a request goes out; what forbids it is looked at once more
        if not await journal.intend(ruling, view, clock_offset_seconds=parts.clock_offset_seconds()):
            return None
        late = replace(view, now=clock.now())
        if (stop := await no_longer_wanted(late, diagnosis.cause) or await stopped(journal, parts)) is not None:
            return await journal.stopped(stop)
        await act_on(journal, parts, await send(journal, parts))

    elif journal.state is State.ACTING:
        # Someone died, or lost the reply, after the intent: look whether it was done, and never send it again blindly.
        await act_on(journal, parts, await read_back(journal.plan, journal.step, cluster=cluster))

    if journal.state is State.VERIFYING:
        # 8 verify
        seen = await look(journal, parts)
        if seen.outcome is None:
            return await journal.look_again(seen, at=clock.now() + parts.look_every)
        await journal.concluded(seen)

    if journal.state is State.FAILED:
        # 9 settle: the inverse once, or people
        if not journal.plan.is_reversible or journal.plan.proof.otherwise != "revert":
            return await journal.escalate_failure("the action did not help; the rule asks for people")
        if (stop := await forbidden(journal, parts)) is not None:
            return await journal.escalate_failure(f"the action did not help and may not be reverted: {stop.detail}")
        await journal.intend_revert()
        await undo_on(journal, parts, await send_inverse(journal, parts))

    elif journal.state is State.TEMPORARY and clock.now() >= journal.remediation.due_at:
        # 9 settle: it helped, and is to be given back while all is still well
        if clock.now() - journal.acted_at > RESTORE_WITHIN:
            return await journal.escalate_failure("it helped, but could not be given back: all has not been well since")
        seen = await look(journal, parts)
        stop = await forbidden(journal, parts)
        if seen.outcome is not Outcome.VERIFIED or stop is not None:
            return await journal.look_again(seen, at=clock.now() + RESTORE_PAUSE)
        await journal.intend_restore()
        await undo_on(journal, parts, await send_inverse(journal, parts))

    elif journal.state in (State.REVERTING, State.RESTORING):
        await undo_on(journal, parts, await read_back_undo(journal.plan, journal.step, cluster=cluster))
    return None


async def act_on(journal: Journal, parts: Parts, written: Written) -> None:
    """Commit what became of a request; while the plan has a further one, send that, after its own intent."""
    while await journal.acted(written):
        stop = await forbidden(journal, parts)
        if stop is None:
            written = await send(journal, parts)
        else:
            written = Written(Answer.NOT_APPLIED, stop.reason, stop.detail)


async def undo_on(journal: Journal, parts: Parts, written: Written) -> None:
    """As `act_on`, for the inverses: of the last step first."""
    while await journal.undone(written):
        stop = await forbidden(journal, parts)
        if stop is None:
            written = await send_inverse(journal, parts)
        else:
            written = Written(Answer.NOT_APPLIED, stop.reason, stop.detail)


async def send(journal: Journal, parts: Parts) -> Written:
    """The request whose intent is committed, once, through the gate."""
    gate, cluster, clock = gate_of(journal, parts), parts.cluster, parts.clock
    with journal.noting_unsent():
        return await act(journal.plan, journal.step, audit_id=journal.audit_id, gate=gate, cluster=cluster, clock=clock)


async def send_inverse(journal: Journal, parts: Parts) -> Written:
    gate, cluster = gate_of(journal, parts), parts.cluster
    with journal.noting_unsent():
        return await undo(journal.plan, journal.step, audit_id=journal.audit_id, gate=gate, cluster=cluster)


def gate_of(journal: Journal, parts: Parts) -> Gate:
    """The write gate: the store says in that moment that the claim is ours and lives, and prolongs it."""
    return lambda: journal.hold(parts.lease)


async def look(journal: Journal, parts: Parts) -> Verification:
    """One look at what is to prove success."""
    remediation, target = journal.remediation, journal.plan.target
    new_alerts = await parts.store.alerts_since(
        target,
        since=journal.acted_at,
        dependents=dependents_of(target, parts.rules()),
        besides=remediation.alert.name,
    )
    return await verify(
        journal.plan,
        remediation.alert,
        acted_at=journal.acted_at,
        now=parts.clock.now(),
        cluster=parts.cluster,
        metrics=parts.metrics,
        memory=remediation.progress,
        gives_back=journal.state is State.TEMPORARY,
        new_alerts=new_alerts,
        absence=None if parts.watchdog is None else await parts.watchdog.absence(parts.clock.now()),
    )


async def publish(
    sink: Sink, *, reader: IncidentReader, is_ours: Callable[[], bool] = lambda: True, limit: int = 100
) -> int:
    """Step 10, tell: hand committed records to one sink, in order, at least once. Returns how many there were, also of
    those that it has nothing to say of.

    A record that the sink refuses for good is passed over: it stands in the log, and the next one must not wait for it.
    How far it came is kept once for all of them: after a crash a sink may be told up to `limit` records again.
    `is_ours` is asked before each: a replica that was stopped meanwhile leaves the rest to whoever took the duty.
    """
    page = await reader.untold(sink.name, but=sink.silent_on, limit=limit)
    told = page.after
    try:
        for record in page.records:
            if not is_ours():
                break
            with suppress(PermanentError):
                await sink.tell(record)
            told = record.seq
        else:
            told = page.upto
    finally:
        if told > page.after:
            await reader.move_cursor(sink.name, after=page.after, to=told)
    return told - page.after


async def pass_on(parts: Parts, *, limit: int = 100) -> int:
    """Step 10, tell: what nobody acknowledged in time goes to the next contact, also while writes are stopped; what a
    gate caused ends when it is left. Returns how many were due."""
    now, matrix = parts.clock.now(), parts.rules().escalation
    await parts.store.end_left_gates(at=now)
    due = await parts.store.due_escalations(at=now, limit=limit)
    for one in due:
        await parts.store.pass_on(one, matrix.following(one), at=now)
    return len(due)


async def is_over(journal: Journal, parts: Parts) -> bool:
    """Whether there is nothing left to decide: resolved meanwhile, denied, or no decision within its time."""
    remediation = journal.remediation
    doubt = None
    if await parts.store.is_resolved(remediation.fingerprint, remediation.alert.starts_at):
        if parts.watchdog is not None:
            doubt = await parts.watchdog.unconfirmed(remediation.fingerprint, remediation.alert.starts_at)
        if doubt is None:
            await journal.resolved_before_acting()
            return True
    if remediation.state is State.AWAITING_APPROVAL:
        said = await parts.store.approval(remediation.id)
        if said is not None and not said.is_granted:
            await journal.denied(said)
            return True
        if said is None and doubt is None:
            await journal.approval_expired()
            return True
        if doubt is None:
            return False
    if parts.clock.now() - remediation.created_at >= parts.decide_within:
        # Where something could not be read all the time, no pass came to commit its rule: that says whom to call.
        if remediation.rule is None and not isinstance(rule := match(remediation.alert, parts.rules()), NoMatch):
            journal.matched(rule, severity_of(parts.rules(), rule, remediation.alert))
        await journal.expired(parts.decide_within, doubt=doubt)
        return True
    if doubt is not None:
        await journal.resolved_unconfirmed(doubt, at=parts.clock.now() + CONFIRM_PAUSE)
    return doubt is not None


async def stopped(journal: Journal, parts: Parts) -> Stop | None:
    """Why nothing may be written now, None: it may. A store that cannot say raises, and then nothing is written.

    A process in silent mode writes nothing, also not the inverse of what an active one before it did.
    """
    if most_cautious(parts.mode, Mode.SILENT) is parts.mode:
        return Stop(Reason.MODE_SILENT, f"the mode is {parts.mode}")
    rule, target = journal.rule, journal.plan.target
    return await stop_of(parts.store, parts.switch, parts.log, rule=rule, target=target, now=parts.clock.now())


async def forbidden(journal: Journal, parts: Parts) -> Stop | None:
    """As `stopped`, and what the owners say now: for a further request, or an inverse, that no guard has looked at."""
    veto = await vetoed(journal.plan, parts.cluster, now=parts.clock.now())
    return veto or await stopped(journal, parts)
