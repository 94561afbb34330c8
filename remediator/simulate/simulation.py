"""What the service would decide of alerts, without it: the same pipeline, store, guards and client, on a dump.

What comes in goes through the receiver's own parser, what is decided through the worker's own passes; only the clock is
one that jumps. An answer "not yet" is followed for an hour: while nothing changes, what comes then? Nothing outside of
this process is written to. Called by `cli/simulate.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from remediator.access.base import ANYONE
from remediator.access.credentials import Credentials
from remediator.alertmanager.base import Alertmanager
from remediator.export.attempts import Attempt, attempt_of
from remediator.export.content import Contents
from remediator.guards.faults import CountedCluster, Faults
from remediator.model import Alert, AlertStatus, Json, Mode
from remediator.parts import Parts
from remediator.pipeline import admit
from remediator.prometheus.base import Metrics
from remediator.receive.base import Quarantined
from remediator.receive.payload import read
from remediator.redact import Remembering
from remediator.rules.ruleset import RuleSet
from remediator.settings import Settings
from remediator.simulate.assumed import AssumedFiring
from remediator.simulate.dump import Dump
from remediator.simulate.dumped import DumpedCluster
from remediator.simulate.jumping import JumpClock
from remediator.store.base import CommittedRecord
from remediator.store.database import Database
from remediator.store.opening import open_in_memory
from remediator.store.reading import IncidentReader, IncidentView
from remediator.target.spec import PROTECTED_BY_DEFAULT
from remediator.watchdog import watchdog_of
from remediator.worker import Pace, Worker

CLUSTER = "dump"
LEASE = timedelta(minutes=10)
FOLLOW = timedelta(hours=1)
"""So long a "not yet" is followed; a decision that takes longer expires (`Parts.decide_within`)."""

NEVER = timedelta(days=365)
MAX_INCIDENTS = 1_000_000
METRICS, ALERTMANAGER = "metrics", "silences"

DECIDES = ("decision.", "action.intent")
"""Kinds of records that say what was decided."""


UNDECIDED = "not decided yet: its resolution is not confirmed, or something that it needs did not answer"


@dataclass(frozen=True, slots=True)
class Setting:
    """What is simulated on. `metrics` and `alertmanager` None: there is none to ask. `assumes_firing`: without metrics,
    take the alerts for firing as they say. `follow` is how long a "not yet" is followed; what is asked of a server that
    runs is asked of its present, so that there nothing is."""

    dump: Dump
    table: RuleSet
    mode: Mode
    at: datetime
    metrics: Metrics | None = None
    alertmanager: Alertmanager | None = None
    assumes_firing: bool = False
    follow: timedelta = FOLLOW


@dataclass(frozen=True, slots=True)
class Decided:
    """One decision. Those after the first came while nothing changed, for a "not yet" before them."""

    at: datetime
    kind: str
    reason: str
    detail: str
    advice: str
    guard: str
    until: str


@dataclass(frozen=True, slots=True)
class Simulated:
    """What became of one alert. `why_not`: why nothing was decided of it at all; then the rest is empty. `rows` are all
    of the rule's, as they were weighed; `unknown` is what could not be known and was asked for."""

    alert: Alert
    why_not: str = ""
    rule: str = ""
    place: str = ""
    severity: int | None = None
    target: str = ""
    chain: tuple[str, ...] = ()
    contact: str = ""
    decisions: tuple[Decided, ...] = ()
    attempt: Attempt | None = None


@dataclass(frozen=True, slots=True)
class Simulation:
    """All alerts of one delivery in their order, what of it could not be used, and what was not known."""

    alerts: Sequence[Simulated]
    quarantined: Sequence[Quarantined]
    unknown: Sequence[str]


async def simulate(bodies: Sequence[bytes], setting: Setting) -> Simulation:
    """What becomes of these webhook bodies, delivered together. Raises BadBody."""
    clock = JumpClock(setting.at)
    database = await open_in_memory(clock=clock)
    cluster = DumpedCluster(setting.dump, clock, name=CLUSTER)
    try:
        payloads = [read(body, Remembering(), sender=ANYONE.credential) for body in bodies]
        alerts = [alert for payload in payloads for alert in payload.alerts]
        metrics = AssumedFiring(alerts, clock.now) if setting.assumes_firing else setting.metrics
        parts = replace(_parts(setting, database, cluster, clock), metrics=metrics)
        repeated = [await _admitted(alert, parts) for alert in alerts]
        await _decide(parts, database, clock, until=setting.at + setting.follow)
        told = await by_episode(database)
        return Simulation(
            alerts=[
                Simulated(alert, why) if why else decided_of(alert, told, setting.table)
                for alert, why in zip(alerts, repeated, strict=True)
            ],
            quarantined=[one for payload in payloads for one in payload.quarantined],
            unknown=_unknown(setting, cluster),
        )
    finally:
        await cluster.close()
        await database.close()


async def _admitted(alert: Alert, parts: Parts) -> str:
    """Why nothing is to be decided of this alert; empty: something is."""
    watchdog, authority = parts.watchdog, ANYONE.credential.authority
    accepted = await admit(
        [alert], store=parts.store, clock=parts.clock, authority=authority, rules=parts.rules(), watchdog=watchdog
    )
    if watchdog is not None and watchdog.is_it(alert):
        return "it is the watchdog, which always fires: nothing is decided of it"
    if accepted.queued:
        return ""
    if alert.status is AlertStatus.RESOLVED:
        return "it is resolved: nothing is decided, what waits for it is cancelled"
    return "the same episode as before: it is repeated, and decided once"


def _parts(setting: Setting, database: Database, cluster: DumpedCluster, clock: JumpClock) -> Parts:
    faults = Faults("the API server", clock)
    return Parts(
        store=database,
        cluster=CountedCluster(cluster, faults),
        metrics=None,
        clock=clock,
        faults=(faults,),
        alertmanager=setting.alertmanager,
        watchdog=watchdog_of(Settings.model_construct(), database.watchdog),  # as a service without settings has it
        rules=lambda: setting.table,
        mode=setting.mode,
        authority_of=Credentials().authority_of,
        rollouts=database.rollouts,
        protected_namespaces=PROTECTED_BY_DEFAULT,
        look_every=NEVER,  # what comes after an action, a dump cannot show
    )


async def _decide(parts: Parts, database: Database, clock: JumpClock, *, until: datetime) -> None:
    pace = Pace("simulate", workers=20, lease=LEASE, poll_seconds=1, grace_seconds=1, pass_seconds=60)
    worker = Worker(parts, pace, around=lambda _, work: work)
    while True:
        while await worker.once():
            pass
        due = await database.next_due()
        if due is None or due > until:
            return
        clock.move_to(max(due, clock.now() + timedelta(seconds=1)))


Episode = tuple[str, datetime]


async def by_episode(database: IncidentReader) -> dict[Episode, tuple[int, IncidentView]]:
    """(fingerprint, start) -> the remediation of that alert, and the incident that it is part of."""
    found: dict[Episode, tuple[int, IncidentView]] = {}
    for row in await database.incidents(limit=MAX_INCIDENTS, open_only=False):
        view = await database.incident(row.id)
        if view is not None:
            for one in view.remediations:
                found[one.fingerprint, one.alert.starts_at] = (one.id, view)
    return found


def decided_of(alert: Alert, told: Mapping[Episode, tuple[int, IncidentView]], table: RuleSet) -> Simulated:
    """What the records say of one alert: of a simulation, or of a service."""
    if (alert.fingerprint, alert.starts_at) not in told:
        return Simulated(alert, UNDECIDED)
    number, view = told[alert.fingerprint, alert.starts_at]
    records = [record for record in view.records if record.remediation_id == number]
    remediation = next(one for one in view.remediations if one.id == number)
    attempt = attempt_of(remediation, records, Contents())
    return Simulated(
        alert,
        rule=attempt.rule,
        place=table.place(attempt.rule) if attempt.rule else "",
        severity=attempt.severity,
        target=_last(records, "target") or "",
        chain=tuple(_last(records, "target_chain") or ()),
        contact=_last(records, "contact") or "",
        decisions=tuple(_decisions(records)),
        attempt=attempt,
    )


def _decisions(records: Sequence[CommittedRecord]) -> list[Decided]:
    """As far as the intent of an action; the same "not yet" again is said once."""
    found: list[Decided] = []
    for record in records:
        if not record.kind.startswith(DECIDES):
            continue
        body = record.body
        text = {name: str(body.get(name) or "") for name in ("reason", "detail", "advice", "guard", "until")}
        one = Decided(record.at, record.kind, **text)
        if not found or (found[-1].kind, found[-1].reason) != (one.kind, one.reason):
            found.append(one)
        if record.kind == "action.intent":
            break
    return found


def _last(records: Sequence[CommittedRecord], name: str) -> Json:
    return next((record.body[name] for record in reversed(records) if record.body.get(name)), None)


def _unknown(setting: Setting, cluster: DumpedCluster) -> Sequence[str]:
    found = list(cluster.missing)
    found += [METRICS] if setting.metrics is None else []
    found += [ALERTMANAGER] if setting.alertmanager is None else []
    return found
