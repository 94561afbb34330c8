"""What an export asks of the store: the records and incidents of a time, in pages. `store/exporting.py` answers.

Apart from `Store`: the way of an alert needs none of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from remediator.model import IncidentId, Json, Target
from remediator.store.base import CommittedRecord
from remediator.store.reading import IncidentRow, IncidentView


@dataclass(frozen=True, slots=True)
class Period:
    """From `since` until before `until`; only what one rule decided, only what is in one namespace (None: any)."""

    since: datetime
    until: datetime
    rule: str | None = None
    namespace: str | None = None


@dataclass(frozen=True, slots=True)
class Extent:
    """The records after `after` up to `upto` may be of the time asked for; all others are not."""

    after: int
    upto: int

    @property
    def count(self) -> int:
        return max(0, self.upto - self.after)


@dataclass(frozen=True, slots=True)
class Page:
    """Records in order. `last` is the number up to which was looked: go on after it; `is_end`: there is nothing."""

    records: Sequence[CommittedRecord]
    last: int
    is_end: bool


class ExportReader(Protocol):
    """Every method raises StoreUnavailable when the database cannot answer."""

    async def incident(self, incident_id: IncidentId) -> IncidentView | None: ...

    async def incidents_of(self, period: Period, *, after: int = 0, limit: int = 1000) -> Sequence[IncidentRow]:
        """Incidents that were open at any time of the period, by number, those after one number."""

    async def extent(self, period: Period) -> Extent:
        """Where in the log the period is."""

    async def records_of(
        self, period: Period, extent: Extent, *, beside: bool = False, target: Target | None = None
    ) -> Page:
        """The next records of the period within the extent, some hundreds; `beside`: those of no remediation only.

        A remediation's records go by the rule it matched last and by its target's namespace (without a target: by its
        alert's label). Records of no remediation are kept where they concern the rule, the namespace or `target`.
        """


def concerns(record: CommittedRecord, period: Period, target: Target | None = None) -> bool:
    """Whether a record of no remediation has to do with what was asked for."""
    if period.rule is None and period.namespace is None and target is None:
        return True
    kind, body = record.kind, record.body
    if kind.startswith("switch.") or kind == "gate.entered":
        return True
    if kind.startswith(("pause.", "ledger.")):
        return _is_subject(body, period, target)
    if kind.startswith("rollout."):
        place = str(body.get("target"))
        return place == str(target) if target else period.rule is None and place.startswith(f"{period.namespace}/")
    return False


def _is_subject(body: Mapping[str, Json], period: Period, target: Target | None) -> bool:
    """Whether a pause or a reset is of what was asked for; where nothing narrows that, it may have been held by it."""
    what, subject = body.get("what"), str(body.get("subject"))
    if what == "rule":
        return period.rule is None or subject == period.rule
    namespace = target.namespace if target is not None else period.namespace
    if what == "namespace":
        return namespace is None or subject == namespace
    if what == "target":  # a pause names it `namespace/kind/name`, a reset by its key, with the cluster in front
        if target is not None:
            return subject in (str(target), target.key)
        return namespace is None or namespace in subject.split("/")[-3:-2]
    return what == "cluster"
