"""The store: the protocols `base.Store` and `reading.IncidentReader`, and by `rollouts` the one of the deployment
watch, on one SQLAlchemy Core database.

`opening.py` makes it; `app.py` hands it to the receiver, the worker and the readers. Each method prepares its values,
which may raise ValueError before anything is queued, and makes one call to the writer; the SQL is in the files beside
this one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

import sqlalchemy as sa

from remediator.authority import UNLIMITED, Authority
from remediator.clock import Clock
from remediator.model import Alert, EscalationId, IncidentId, Json, Remediation, RemediationId, State, Target
from remediator.store import (
    approvals,
    duties,
    escalation_rows,
    escalations,
    gates,
    incidents,
    intake,
    pauses,
    proofs,
    queue,
    redaction,
    retention,
    switches,
)
from remediator.store import budgets as ledger
from remediator.store.approvals_base import Approval, Awaiting
from remediator.store.base import Accepted, Change, CommittedRecord, KillSwitch, Record, TemplateEvent, TooManyOpen
from remediator.store.budgets_base import Forgiven, PastAction, Reset, Spender, Use
from remediator.store.duties_base import Duty, Held
from remediator.store.episodes import prepare
from remediator.store.escalations_base import Acknowledgement, Escalation, Following
from remediator.store.exporting import ExportTable
from remediator.store.gates_base import SeenGate
from remediator.store.known import KnownTable
from remediator.store.log import kept, standing
from remediator.store.log_base import LogRow, LogStanding
from remediator.store.pauses_base import Pause, PauseOf
from remediator.store.reading import IncidentRow, IncidentView, Untold
from remediator.store.reports import ReportTable
from remediator.store.rollouts import RolloutTable
from remediator.store.rows import record_from, to_json
from remediator.store.scores import ScoreTable
from remediator.store.tables import records
from remediator.store.transaction import Transaction
from remediator.store.watchdog import WatchdogTable
from remediator.store.writer import Writer
from remediator.verdicts import AffectedPod, Bound

_NO_CHANGE = Change()
_PREPARED_AT_ONCE = 100


class Database:
    """One database, open."""

    def __init__(self, writer: Writer, *, clock: Clock) -> None:
        self._writer = writer
        self._clock = clock
        self.rollouts = RolloutTable(writer)
        self.exports = ExportTable(writer)
        self.reports = ReportTable(writer)
        self.scores = ScoreTable(writer)
        self.known = KnownTable(writer)
        self.watchdog = WatchdogTable(writer)

    async def close(self) -> None:
        """Finish the calls that wait, then let the file go."""
        await self._writer.close()

    @property
    def is_receiving(self) -> bool:
        """Whether bodies are being stored or wait for it."""
        return self._writer.is_merging

    # -- Store

    async def accept(
        self,
        alerts: Sequence[Alert],
        *,
        at: datetime,
        authority: Authority = UNLIMITED,
        severity: Callable[[Alert], int | None] = lambda _: None,
        max_open: int | None = None,
    ) -> Accepted:
        if not alerts:
            return Accepted()
        of = partial(prepare, alerts, at, authority, severity, max_open)
        # Many take longer than others can wait.
        prepared = of() if len(alerts) <= _PREPARED_AT_ONCE else await asyncio.to_thread(of)
        accepted = await self._writer.merge(intake.accept, prepared, weight=len(alerts))
        if accepted is None:
            raise TooManyOpen(f"more than {max_open} remediations would be open")
        return accepted

    async def claim(self, *, owner: str, at: datetime, lease: timedelta, limit: int) -> Sequence[Remediation]:
        return await self._writer.write(partial(queue.claim, owner=owner, at=at, lease=lease, limit=limit))

    async def renew(self, remediation: Remediation, *, at: datetime, lease: timedelta) -> None:
        await self._writer.write(lambda t: queue.renew(t.connection, remediation, at=at, lease=lease))

    async def advance(
        self,
        remediation: Remediation,
        *,
        to: State,
        record: Record,
        at: datetime,
        change: Change = _NO_CHANGE,
    ) -> Remediation:
        step = queue.prepare(remediation, to, record, at, change)
        return await self._writer.write(lambda transaction: queue.advance(transaction, step))

    async def release(self, remediation: Remediation, *, due_at: datetime, progress: Mapping[str, Json]) -> None:
        text = to_json(progress)
        await self._writer.write(lambda t: queue.release(t.connection, remediation, due_at=due_at, progress=text))

    async def is_resolved(self, fingerprint: str, starts_at: datetime) -> bool:
        return await self._writer.read(lambda t: queue.is_resolved(t.connection, fingerprint, starts_at))

    async def last_action_at(self, target: Target, *, is_shadow: bool = False) -> datetime | None:
        def newest(transaction: Transaction) -> datetime | None:
            sent = switches.last_action_at(transaction.connection, target.key)
            would = ledger.last_shadow_at(transaction.connection, target.key) if is_shadow else None
            return max((at for at in (sent, would) if at is not None), default=None)

        return await self._writer.read(newest)

    async def budget_uses(self, spender: Spender, budgets: Sequence[Bound], *, at: datetime) -> tuple[Use, ...]:
        return await self._writer.read(lambda t: ledger.uses(t.connection, spender, budgets, at=at))

    async def past_actions(
        self,
        *,
        cluster: str,
        since: datetime,
        rule: str | None = None,
        target: Target | None = None,
        limit: int = 1000,
    ) -> tuple[PastAction, ...]:
        of = partial(ledger.past_actions, cluster=cluster, since=since, rule=rule, target=target, limit=limit)
        return await self._writer.read(lambda t: of(t.connection))

    async def spending_namespaces(self, *, cluster: str, since: datetime) -> Sequence[str]:
        return await self._writer.read(lambda t: ledger.spending_namespaces(t.connection, cluster=cluster, since=since))

    async def last_reset(self, what: Forgiven, subject: str) -> Reset | None:
        return await self._writer.read(lambda t: ledger.last_reset(t.connection, what, subject))

    async def reset(self, reset: Reset) -> None:
        await self._writer.write(lambda transaction: ledger.reset(transaction, reset))

    async def workload_count(self, *, cluster: str, namespace: str | None = None) -> int:
        return await self._writer.read(
            lambda t: ledger.workload_count(t.connection, cluster=cluster, namespace=namespace)
        )

    async def alerting_targets(self, *, cluster: str, since: datetime) -> int:
        return await self._writer.read(lambda t: gates.alerting_targets(t.connection, cluster=cluster, since=since))

    async def alerts_unseen(self, *, since: datetime, at_most: int) -> int:
        return await self._writer.read(lambda t: gates.alerts_unseen(t.connection, since=since, at_most=at_most))

    async def alerts_since(
        self, target: Target, *, since: datetime, dependents: Sequence[tuple[str, str | None]], besides: str
    ) -> Sequence[str]:
        return await self._writer.read(
            lambda t: gates.alerts_since(t.connection, target, since=since, dependents=dependents, besides=besides)
        )

    async def alert_changes(self, fingerprint: str, *, since: datetime) -> Sequence[datetime]:
        return await self._writer.read(lambda t: gates.alert_changes(t.connection, fingerprint, since=since))

    async def affected_pods(self, *, cluster: str, since: datetime, limit: int = 2000) -> Sequence[AffectedPod]:
        return await self._writer.read(
            lambda t: gates.affected_pods(t.connection, cluster=cluster, since=since, limit=limit)
        )

    async def gate_seen_at(self, key: str, *, cluster: str) -> datetime | None:
        return await self._writer.read(lambda t: gates.seen_at(t.connection, key, cluster=cluster))

    async def gates(self, *, at: datetime) -> Sequence[SeenGate]:
        return await self._writer.read(lambda t: gates.present(t.connection, at=at))

    async def template_events(self, target: Target) -> Sequence[TemplateEvent]:
        return await self._writer.read(lambda t: switches.read_template_events(t.connection, target.key))

    async def kill_switch(self) -> KillSwitch:
        return await self._writer.read(lambda t: switches.read_kill_switch(t.connection))

    async def set_kill_switch(self, switch: KillSwitch) -> None:
        await self._writer.write(lambda transaction: switches.set_kill_switch(transaction, switch))

    async def pauses(self) -> Sequence[Pause]:
        return await self._writer.read(lambda t: pauses.read(t.connection))

    async def set_pause(self, pause: Pause) -> None:
        await self._writer.write(lambda transaction: pauses.put(transaction, pause))

    async def lift_pause(self, what: PauseOf, subject: str, *, by: str, comment: str, at: datetime) -> bool:
        return await self._writer.write(lambda t: pauses.lift(t, what, subject, by=by, comment=comment, at=at))

    async def awaiting(self) -> Sequence[Awaiting]:
        return await self._writer.read(lambda t: approvals.awaiting(t.connection))

    async def approval(self, remediation: RemediationId) -> Approval | None:
        return await self._writer.read(lambda t: approvals.read(t.connection, remediation))

    async def answer(self, approval: Approval) -> None:
        await self._writer.write(lambda transaction: approvals.put(transaction, approval))

    async def escalations(self) -> Sequence[Escalation]:
        return await self._writer.read(lambda t: escalation_rows.open_ones(t.connection))

    async def due_escalations(self, *, at: datetime, limit: int) -> Sequence[Escalation]:
        return await self._writer.read(lambda t: escalation_rows.due(t.connection, at=at, limit=limit))

    async def pass_on(self, seen: Escalation, following: Following, *, at: datetime) -> bool:
        return await self._writer.write(lambda t: escalations.pass_on(t, seen, following, at=at))

    async def end_left_gates(self, *, at: datetime) -> int:
        if not await self._writer.read(lambda t: escalation_rows.of_left_gates(t.connection, at=at)):
            return 0  # as nearly always: nothing to write
        return await self._writer.write(lambda t: escalations.end_left_gates(t, at=at))

    async def acknowledge(self, escalation: EscalationId, said: Acknowledgement) -> Escalation:
        return await self._writer.write(lambda t: escalations.acknowledge(t, escalation, said))

    async def note(self, notes: Sequence[Record], *, at: datetime) -> None:
        await self._writer.write(lambda transaction: switches.note(transaction, notes, at=at))

    async def records(self, *, after: int, limit: int) -> Sequence[CommittedRecord]:
        page = sa.select(records).where(records.c.seq > after).order_by(records.c.seq).limit(limit)
        rows = await self._writer.read(lambda t: t.connection.execute(page).mappings().all())
        return [record_from(row) for row in rows]

    # -- the audit log

    async def log_standing(self) -> LogStanding:
        return await self._writer.read(lambda t: standing(t.log, t.connection))

    async def checkpoints(
        self, *, after: int, limit: int = 1000, newest: bool = False
    ) -> Sequence[tuple[int, datetime, bytes]]:
        return await self._writer.read(lambda t: kept(t.log, t.connection, after=after, limit=limit, newest=newest))

    async def log_rows(self, seqs: Sequence[int]) -> Sequence[LogRow]:
        return await self._writer.read(lambda t: proofs.rows(t.connection, seqs))

    async def log_proof_of(self, seqs: Sequence[int], size: int) -> Sequence[bytes]:
        return await self._writer.read(lambda t: proofs.proof_of(t.connection, [seq - 1 for seq in seqs], size))

    async def log_growth(self, old: int, new: int) -> Sequence[bytes]:
        return await self._writer.read(lambda t: proofs.growth_of(t.connection, old, new))

    async def log_signed(self, text: bytes) -> bytes:
        return await self._writer.read(lambda t: t.log.sign(text))

    async def log_proof(self, seq: int) -> tuple[bytes, int, Sequence[bytes], bytes] | None:
        return await self._writer.read(lambda t: proofs.one(t, seq))

    async def redact(
        self, seq: int, fields: Sequence[str], *, by: str, comment: str, at: datetime
    ) -> Sequence[str]:
        return await self._writer.write(
            lambda t: redaction.redact(t, seq, fields, by=by, comment=comment, at=at)
        )

    async def prune(self, *, before: datetime) -> int:
        """Give up records from before, a bounded number at a time; how many, 0: none."""
        at = self._clock.now()
        return await self._writer.write(lambda t: retention.prune(t, before=before, at=at))

    async def log_look_over(self, first: int, count: int) -> tuple[int | None, str]:
        return await self._writer.read(lambda t: proofs.look_over(t.connection, first, count))

    async def log_root_at(self, size: int) -> bytes:
        return await self._writer.read(lambda t: proofs.root_at(t.connection, size))

    async def begin_epoch(self, *, at: datetime, by: str, comment: str) -> None:
        """Sign again, under a new name, what the old head does not fit any more."""
        await self._writer.write(
            lambda t: t.record(t.log.begin_epoch(t.connection, at=at, by=by, comment=comment))
        )

    # -- IncidentReader

    async def incidents(self, *, limit: int, open_only: bool) -> Sequence[IncidentRow]:
        return await self._writer.read(lambda t: incidents.newest(t.connection, limit=limit, open_only=open_only))

    async def incident(self, incident_id: IncidentId) -> IncidentView | None:
        return await self._writer.read(lambda t: incidents.view(t.connection, incident_id))

    async def next_due(self) -> datetime | None:
        """When the next remediation that is not at its end is due, also in the past; None: there is none."""
        return await self._writer.read(lambda t: queue.next_due(t.connection))

    async def queue_depth(self) -> Mapping[str, int]:
        return await self._writer.read(lambda t: incidents.queue_depth(t.connection))

    async def open_escalations(self) -> Mapping[tuple[int, bool], int]:
        return await self._writer.read(lambda t: escalation_rows.counts(t.connection))

    async def begin_cursors(self, sinks: Sequence[str]) -> Mapping[str, int]:
        at = self._clock.now()
        return await self._writer.write(lambda t: switches.begin_cursors(t.connection, sinks, at=at))

    async def untold(self, sink: str, *, but: Collection[str], limit: int) -> Untold:
        after, upto, rows = await self._writer.read(
            lambda t: switches.read_untold(t.connection, sink, but=but, limit=limit)
        )
        return Untold(after, upto, [record_from(row) for row in rows])

    async def check_writes(self) -> None:
        """Write what nobody reads, and commit it. Raises StoreUnavailable: a disk that is full can still be read."""
        at = self._clock.now()
        await self._writer.write(lambda t: switches.touch_cursors(t.connection, at=at))

    async def cursor(self, sink: str) -> int:
        return await self._writer.read(lambda t: switches.read_cursor(t.connection, sink))

    async def move_cursor(self, sink: str, *, after: int, to: int) -> bool:
        at = self._clock.now()
        return await self._writer.write(lambda t: switches.move_cursor(t.connection, sink, after=after, to=to, at=at))

    # -- Duties

    @property
    def is_shared(self) -> bool:
        return self._writer.is_shared

    async def hold_duties(self, names: Collection[str], *, owner: str, lease: timedelta) -> Held:
        return await self._writer.write(
            lambda t: duties.hold(t.connection, names, owner=owner, lease=lease, clock=self._clock)
        )

    async def leave_duties(self, names: Collection[str] | None = None, *, owner: str) -> None:
        await self._writer.write(lambda t: duties.leave(t.connection, names, owner=owner))

    async def duties(self) -> Sequence[Duty]:
        return await self._writer.read(lambda t: duties.read(t.connection))
