"""What the service asks of its store: the protocol `Store`, its results and its errors.

One transaction per call (the implementation may commit several calls together: group commit). A call returns only
after COMMIT, so what was returned is durable. `store/database.py` implements it on SQLAlchemy Core.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from remediator.authority import UNLIMITED, Authority
from remediator.errors import TransientError
from remediator.model import Alert, IncidentId, Json, Mode, Plan, Remediation, RemediationId, State, Target
from remediator.reasons import Reason
from remediator.store.approvals_base import Approvals
from remediator.store.budgets_base import Ledger
from remediator.store.duties_base import Duties
from remediator.store.escalations_base import Call, Escalations
from remediator.store.gates_base import Gates
from remediator.store.pauses_base import Pauses
from remediator.verdicts import AffectedPod, Bound, Gate


class StoreUnavailable(TransientError):
    """The store cannot commit now. The receiver answers 503; nobody acts."""


class TooManyOpen(StoreUnavailable):
    """So many remediations are open that no more may begin now; nothing of the body was kept."""


class LostClaim(TransientError):
    """A conditional update found another state or epoch: someone else has the remediation, or it moved on."""


@dataclass(frozen=True, slots=True)
class Record:
    """One entry of the audit log, before it is committed.

    `kind` is dotted (`alert.received`, `decision.held`, `action.intent`, ...). `body` is JSON; the store keeps its
    canonical bytes and never re-serialises them.
    """

    kind: str
    body: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class CommittedRecord:
    """A record as it stands in the log. `seq` is dense from 1; `canonical` are the stored bytes of the whole entry."""

    seq: int
    at: datetime
    kind: str
    remediation_id: RemediationId | None
    incident_id: IncidentId | None
    body: Mapping[str, Json]
    canonical: bytes


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a webhook body led to: counts of alerts by what they were to us.

    `foreign` were set aside: their fingerprint is of an alert that the sender may not speak of. `heard` were the
    watchdog, which the store does not keep as alerts.
    """

    queued: int = 0
    repeated: int = 0
    resolved: int = 0
    foreign: int = 0
    heard: int = 0


@dataclass(frozen=True, slots=True)
class TemplateEvent:
    """One line of the ledger of pod templates: what was seen or done with a meaningful template hash on a target.

    `event` is `installed` (we put it there), `rolled-back-from` or `seen-good` (fully available for long enough).
    """

    uid: str
    template_hash: str
    event: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Change:
    """The columns that a step changes, None = leave as it is. `ledger` lines are written in the same transaction, and
    `budgets` are debited in it: for good when the step begins to act, else in the shadow of what would have acted.
    `rule_digest` stands beside the debit. `gates` are seen with it; `affected` replaces what the target had before.
    `call` says that people are needed for it, `gate_calls` by a gate's key that they are when it is entered.
    `scored` is the sense of the rule (`Rule.sense`) where only the mode, or the word of a person, keeps the plan from
    being done: it begins a case of the scorecard; empty: none."""

    reason: Reason | None = None
    rule: str | None = None
    severity: int | None = None
    mode: Mode | None = None
    target: Target | None = None
    plan: Plan | None = None
    acted_at: datetime | None = None
    due_at: datetime | None = None
    tries: int | None = None
    progress: Mapping[str, Json] | None = None
    diagnosis: Json | None = None
    ledger: Sequence[TemplateEvent] = field(default_factory=tuple)
    budgets: Sequence[Bound] = field(default_factory=tuple)
    rule_digest: str = ""
    gates: Sequence[Gate] = field(default_factory=tuple)
    affected: Sequence[AffectedPod] | None = None
    call: Call | None = None
    gate_calls: Mapping[str, Call] = field(default_factory=dict)
    scored: str = ""


@dataclass(frozen=True, slots=True)
class KillSwitch:
    """Whether all writes to the cluster are stopped, by whom, why, and until when (None: until a person says so)."""

    engaged: bool
    comment: str
    by: str
    at: datetime
    until: datetime | None


class Store(Ledger, Gates, Pauses, Approvals, Escalations, Duties, Protocol):
    """The service's memory. Every method raises StoreUnavailable when the database cannot answer."""

    async def accept(
        self,
        alerts: Sequence[Alert],
        *,
        at: datetime,
        authority: Authority = UNLIMITED,
        severity: Callable[[Alert], int | None] = lambda _: None,
        max_open: int | None = None,
    ) -> Accepted:
        """Keep every alert of one body, and queue a remediation for each new firing episode.

        An episode is (fingerprint, starts_at): a repeat of it queues nothing, whatever became of it. A resolved alert
        is kept as such, which cancels what still waits for it, and ends an escalation of which nothing fires any more.
        One `alert.received` or `alert.resolved` record for each change, none for a repeat. What `authority` does not
        hold is touched by none of them: an alert whose fingerprint is of such an episode leaves an
        `alert.quarantined` record and no more.

        `severity` says how soon each is to be decided, before anybody has looked at it; None: after those that are
        known to be severe. Raises TooManyOpen where more than `max_open` remediations would be open.
        """

    async def claim(self, *, owner: str, at: datetime, lease: timedelta, limit: int) -> Sequence[Remediation]:
        """Take up to `limit` remediations that are due and not leased, most severe, then oldest first. Epoch + 1."""

    async def renew(self, remediation: Remediation, *, at: datetime, lease: timedelta) -> None:
        """Let the claim hold until `lease` from `at`, if state and epoch are still as given and it has not run out.

        Asked before every write to the cluster. Raises LostClaim.
        """

    async def advance(
        self, remediation: Remediation, *, to: State, record: Record, at: datetime, change: Change = Change()
    ) -> Remediation:
        """Move it from its state to `to` with its record, if state and epoch are still as given.

        A `target` given for the first time joins the target's open incident or opens one; a final state without a
        target opens an incident of its own, so that every decision can be listed. A final state gives the claim up,
        opens or joins the incident's escalation if `change.call` asks for it, and closes the incident when nothing of
        it is open; one that waits until it is due gives it up too. Going back from
        `acting` to a decision forgets `acted_at` and gives back what was debited: nothing was written. Beginning with
        `acting` is refused (LostClaim) when the alert has been resolved meanwhile, and any busy state while another
        remediation of the same target is acting, verifying, reverting or restoring.
        Raises LostClaim, BudgetUsed when one of `change.budgets` is used up, ValueError for a transition that
        `TRANSITIONS` does not have.
        """

    async def release(self, remediation: Remediation, *, due_at: datetime, progress: Mapping[str, Json]) -> None:
        """Give the claim up without a change of state; it is claimable again from `due_at`. Raises LostClaim."""

    async def is_resolved(self, fingerprint: str, starts_at: datetime) -> bool:
        """Whether Alertmanager has reported that episode (or a later one of the fingerprint) as resolved."""

    async def last_action_at(self, target: Target, *, is_shadow: bool = False) -> datetime | None:
        """When a write was last sent for the target, by its key; None: never. In the shadow, also when one would have
        been."""

    async def template_events(self, target: Target) -> Sequence[TemplateEvent]:
        """The ledger of the target's templates, oldest first."""

    async def kill_switch(self) -> KillSwitch: ...

    async def set_kill_switch(self, switch: KillSwitch) -> None:
        """Also writes a record (`switch.engaged`, `switch.released`)."""

    async def note(self, notes: Sequence[Record], *, at: datetime) -> None:
        """Keep records that belong to no remediation, in one transaction."""

    async def records(self, *, after: int, limit: int) -> Sequence[CommittedRecord]: ...
