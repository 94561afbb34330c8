"""The report `handoff`: what the next person on call has to know, from the store as it stands. Reads, then pure.

*Needs you* is what ended since in a way that only people can go on from: handed over, outcome unknown, reverted,
nobody decided in time. *Held* is what would be done, or asked for, and waits: with its reason and until when. Both come
before what was done well, since a shift begins with them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from remediator.clock import rfc3339
from remediator.export.as_json import plain
from remediator.export.content import Contents
from remediator.export.events import Event, event_of
from remediator.export.ledger import BudgetStanding, budgets_now
from remediator.export.report import Cell, Own, Report, Section
from remediator.export.times import utc
from remediator.model import State
from remediator.rules.ruleset import RuleSet
from remediator.store.base import CommittedRecord, KillSwitch, Store
from remediator.store.escalations_base import Escalation
from remediator.store.gates_base import SeenGate
from remediator.store.pauses_base import Pause
from remediator.store.reading import IncidentReader, IncidentRow
from remediator.store.reports_base import Debited, ReportReader, Waiting
from remediator.store.rollouts_base import Rollout, RolloutStore

MAX_ROWS = 200
NEEDS_PEOPLE = (
    "decision.escalated",
    "decision.expired",
    "outcome.unknown",
    "outcome.reverted",
    "escalation.unanswered",
)
BY_PEOPLE = (
    "approval.granted",
    "approval.denied",
    "escalation.acknowledged",
    "switch.engaged",
    "switch.released",
    "pause.set",
    "pause.lifted",
    "ledger.reset",
    "score.said",
    "audit.confirmed",
    "audit.redacted",
)
_COUNTED = {
    "alert.received": "alerts",
    "decision.recommended": "recommended",
    "action.applied": "actions",
    "outcome.verified": "verified",
    "outcome.failed": "did not help",
}


@dataclass(frozen=True, slots=True)
class Handoff:
    """What the report is made of. `freezes` are the windows that are open, with their ends; `is_cut` names the lists of
    which only the first ones are here."""

    since: datetime
    now: datetime
    counted: Mapping[str, int]
    escalations: Sequence[Escalation]
    open: Sequence[IncidentRow]
    needs_people: Sequence[Event]
    held: Sequence[Waiting]
    done: Sequence[Debited]
    by_people: Sequence[Event]
    budgets: Sequence[BudgetStanding]
    freezes: Sequence[tuple[str, datetime]]
    switch: KillSwitch
    pauses: Sequence[Pause]
    gates: Sequence[SeenGate]
    watched: Sequence[Rollout]
    is_cut: Sequence[str]


class Sources(Protocol):
    """Where it is read from."""

    @property
    def store(self) -> Store: ...

    @property
    def incidents(self) -> IncidentReader: ...

    @property
    def reports(self) -> ReportReader: ...

    @property
    def rollouts(self) -> RolloutStore: ...

    @property
    def rules(self) -> Callable[[], RuleSet]: ...

    @property
    def cluster(self) -> str: ...


async def read_handoff(sources: Sources, *, since: datetime, now: datetime) -> Handoff:
    """Every list is bounded. Raises StoreUnavailable."""
    store, reports, rules = sources.store, sources.reports, sources.rules()
    limit, behind = MAX_ROWS + 1, now + timedelta(microseconds=1)  # what is of this moment is part of it
    opened = await sources.incidents.incidents(limit=limit, open_only=True)
    calls = await store.escalations()
    needs = await reports.told(since, behind, NEEDS_PEOPLE, limit=limit)
    people = await reports.told(since, behind, BY_PEOPLE, limit=limit)
    waiting = [one for one in await reports.waiting(limit=limit) if one.state != State.QUEUED]
    done = [one for one in await reports.debited(since, behind) if not one.is_shadow]
    watched = await sources.rollouts.present(limit=limit, watched_at=now)
    lists: Mapping[str, Sequence[object]] = {
        "escalations": calls,
        "open": opened,
        "needs_people": needs,
        "held": waiting,
        "done": done,
        "watched": watched,
    }
    budgets = await budgets_now(store, rules, cluster=sources.cluster, now=now)
    return Handoff(
        since=since,
        now=now,
        counted=await reports.counted(since, behind),
        escalations=calls[:MAX_ROWS],
        open=opened[:MAX_ROWS],
        needs_people=_events(needs),
        held=waiting[:MAX_ROWS],
        done=done[-MAX_ROWS:],
        by_people=_events(people),
        budgets=[one for one in budgets if one.use.debits],
        freezes=[(one.name, until) for one in rules.freezes if (until := one.until(now)) is not None],
        switch=await store.kill_switch(),
        pauses=[one for one in await store.pauses() if one.until is None or one.until > now],
        gates=await store.gates(at=now),
        watched=watched[:MAX_ROWS],
        is_cut=[name for name, found in lists.items() if len(found) > MAX_ROWS],
    )


def _events(records: Sequence[CommittedRecord]) -> Sequence[Event]:
    """Oldest first."""
    contents = Contents()
    return [event_of(record, contents) for record in reversed(records[:MAX_ROWS])]


def handoff_report(found: Handoff, *, version: str) -> Report:
    return Report(
        title="Handoff",
        lead=f"From {utc(found.since)} until {utc(found.now)}. {_stopped(found)}",
        numbers=[
            ("open escalations", len(found.escalations)),
            ("open incidents", len(found.open)),
            ("need you", len(found.needs_people)),
            ("held", len(found.held)),
            *((name, found.counted.get(kind, 0)) for kind, name in _COUNTED.items()),
        ],
        sections=[*_first(found), *_then(found)],
        as_json={"format": "remediator.io/handoff/v1", **_json(found)},
        made_at=found.now,
        version=version,
    )


def _stopped(found: Handoff) -> str:
    switch = found.switch
    is_engaged = switch.engaged and (switch.until is None or switch.until > found.now)
    if not is_engaged:
        return "Writes are allowed."
    return "The kill switch is engaged: nothing is written." + ("" if switch.until is None else _until(switch.until))


def _until(at: datetime) -> str:
    return f" Until {utc(at)}."


def _first(found: Handoff) -> Sequence[Section]:
    """What a shift begins with."""
    return [
        Section(
            "Open escalations",
            ("escalation", "since", "severity", "about", "who has it", "next", "why"),
            [_call(one) for one in found.escalations],
            "Nobody is called.",
            _cut(found, "escalations"),
        ),
        Section(
            "Needs you",
            ("when", "what", "incident", "why"),
            [(one.at, Own(one.title), _incident(one.incident), one.detail) for one in found.needs_people],
            "Nothing ended in a way that only people can go on from.",
            _cut(found, "needs_people"),
        ),
        Section(
            "Open incidents",
            ("incident", "since", "severity", "target", "alert", "state"),
            [
                (_incident(one.id), one.opened_at, one.severity, one.target, one.title, Own(_state(one)))
                for one in found.open
            ],
            "No incident is open.",
            _cut(found, "open"),
        ),
        Section(
            "Held, and why",
            ("remediation", "target", "rule", "reason", "detail", "asked again"),
            [
                (Own(f"R-{one.remediation}"), one.target, one.rule, Own(one.reason or one.state), one.detail, one.until)
                for one in found.held
            ],
            "Nothing is held.",
            _cut(found, "held"),
        ),
    ]


def _then(found: Handoff) -> Sequence[Section]:
    """What was done, and what limits what will be."""
    return [
        Section(
            "Done",
            ("when", "action", "target", "rule", "outcome", "incident"),
            [
                (one.at, Own(one.action), one.target, one.rule, Own(one.outcome or "open"), _incident(one.incident))
                for one in found.done
            ],
            "Nothing was done to the cluster.",
            _cut(found, "done"),
        ),
        Section(
            "What people said",
            ("when", "what", "who", "about"),
            [(one.at, Own(one.title), one.by, one.detail) for one in found.by_people],
            "Nobody approved, paused, reset or acknowledged anything.",
        ),
        Section("What is stopped", ("what", "subject", "until", "who", "why"), _stops(found), "Nothing is paused."),
        Section(
            "Budgets in use",
            ("scope", "subject", "used", "limit", "next slot", "by"),
            [_budget(one) for one in found.budgets],
            "No budget is in use.",
        ),
        Section(
            "Deployments under watch",
            ("deployment", "revision", "state", "since", "watched until", "images"),
            [_rollout(one) for one in found.watched],
            "No rollout is younger than its two hours.",
            _cut(found, "watched"),
        ),
    ]


def _call(one: Escalation) -> Sequence[Cell]:
    who = f"{one.told} was told" if one.acked_by is None else one.acked_by
    return (Own(f"E-{one.id}"), one.opened_at, one.severity, one.title, who, one.next_at or Own("-"), one.detail)


def _stops(found: Handoff) -> Sequence[Sequence[Cell]]:
    switch = found.switch
    rows: list[Sequence[Cell]] = []
    if switch.engaged and (switch.until is None or switch.until > found.now):
        rows.append((Own("kill switch"), Own("everything"), switch.until, switch.by, switch.comment))
    rows += [(Own(f"pause of a {one.what}"), one.subject, one.until, one.by, one.comment) for one in found.pauses]
    rows += [(Own("freeze window"), name, until, Own("-"), Own("-")) for name, until in found.freezes]
    rows += [(Own("common cause"), one.key, one.until, Own("-"), one.detail) for one in found.gates]
    return rows


def _budget(one: BudgetStanding) -> Sequence[Cell]:
    by = ", ".join(f"R-{debit.remediation}" for debit in one.use.debits[-10:])
    slot = one.use.next_slot or Own("now")
    return (Own(one.scope), one.subject, len(one.use.debits), Own(one.limit), slot, Own(by))


def _rollout(one: Rollout) -> Sequence[Cell]:
    images = ", ".join(one.images.values())
    place = f"{one.target.namespace}/{one.target.name}"
    return (place, one.revision, Own(one.state), one.started_at, one.watched_until, images)


def _incident(number: int | None) -> Own:
    return Own("-" if number is None else f"inc-{number}")


def _state(row: IncidentRow) -> str:
    return f"{row.outcome} ({row.reason})" if row.reason else row.outcome


def _cut(found: Handoff, name: str) -> str:
    return f"The first {MAX_ROWS} of more." if name in found.is_cut else ""


def _json(found: Handoff) -> dict[str, object]:
    value: dict[str, object] = plain(found)
    value["freezes"] = [{"name": name, "until": rfc3339(until)} for name, until in found.freezes]
    value["budgets"] = [
        {
            "scope": one.scope.value,
            "subject": one.subject,
            "limit": one.limit,
            "used": len(one.use.debits),
            "by": [debit.remediation for debit in one.use.debits],
            "next_slot": None if one.use.next_slot is None else rfc3339(one.use.next_slot),
        }
        for one in found.budgets
    ]
    return value
