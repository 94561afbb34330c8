"""The service's own store in memory, with what is not in it taken from history: how many workloads there were.

The deployment watch would have counted them; here kube-state-metrics did. All else (the ledger of budgets, the gates,
the memory of alerts) is the database that the service runs on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from remediator.backtest.facts import Facts
from remediator.clock import Clock
from remediator.model import IncidentId, Remediation, State, Target
from remediator.store.base import Change, Record
from remediator.store.budgets_base import Spender, Use
from remediator.store.database import Database
from remediator.store.writer import Writer
from remediator.verdicts import Bound

_NO_CHANGE = Change()
_NO_INCIDENT = IncidentId(0)
"""In place of the one that the store would open for each: no guard asks for incidents, and nobody reads them here."""


class PastStore(Database):
    """`uses` are the answers about budgets since somebody cleared them: who stands in the way of whom. `unseen` counts
    the alerts that were accepted and not looked at yet.

    What cannot be there (a gate before the first was seen) is not asked for: a question costs a tenth of a millisecond.
    """

    def __init__(self, writer: Writer, *, clock: Clock, facts: Facts) -> None:
        super().__init__(writer, clock=clock)
        self.facts = facts
        self._gates: set[str] = set()
        self._has_acted: set[str] = set()
        self.unseen = 0
        self.uses: list[Use] = []

    async def advance(
        self, remediation: Remediation, *, to: State, record: Record, at: datetime, change: Change = _NO_CHANGE
    ) -> Remediation:
        self._gates.update(gate.key for gate in change.gates)
        if to is State.ACTING and remediation.target is not None:
            self._has_acted.add(remediation.target.key)
        if remediation.incident_id is None:
            remediation = replace(remediation, incident_id=_NO_INCIDENT)
        return await super().advance(remediation, to=to, record=record, at=at, change=change)

    async def gate_seen_at(self, key: str, *, cluster: str) -> datetime | None:
        return await super().gate_seen_at(key, cluster=cluster) if key in self._gates else None

    async def alerts_unseen(self, *, since: datetime, at_most: int) -> int:
        return await super().alerts_unseen(since=since, at_most=at_most) if self.unseen else 0

    async def last_action_at(self, target: Target, *, is_shadow: bool = False) -> datetime | None:
        return await super().last_action_at(target, is_shadow=is_shadow) if target.key in self._has_acted else None

    async def workload_count(self, *, cluster: str, namespace: str | None = None) -> int:
        return self.facts.workloads(namespace, self._clock.now())

    async def budget_uses(self, spender: Spender, budgets: Sequence[Bound], *, at: datetime) -> tuple[Use, ...]:
        found = await super().budget_uses(spender, budgets, at=at)
        self.uses += found
        return found
