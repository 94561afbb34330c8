"""Near misses: actions that were planned and stopped, and that later proved not to have been needed. Pure.

Either a guard or a person said no, and the alert was resolved within `NEAR` without any action of ours: what was
stopped would have changed something that got well by itself. Or it was stopped between the committed intent and the
write: then only the last look kept it from being done. A no that only asks for a mode, an approval or a wait by
severity is by design and counts as none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from remediator.reasons import Reason
from remediator.store.reports_base import Came, Debited, Step

NEAR = timedelta(hours=1)
_TOO_LATE = ("action.intent", "decision.held")

STOPS = frozenset(
    {
        Reason.KILL_SWITCH,
        Reason.PAUSED_BY_PERSON,
        Reason.FREEZE_WINDOW,
        Reason.OPTED_OUT,
        Reason.COOLDOWN,
        Reason.LIMIT_USED,
        Reason.TOO_MANY_AT_ONCE,
        Reason.ATTEMPTS_USED,
        Reason.BREAKER_OPEN,
        Reason.STORM,
        Reason.SHARED_CAUSE,
        Reason.CLUSTER_UNHEALTHY,
        Reason.FLAPPING,
        Reason.RULE_CHANGED,
        Reason.APPROVAL_DENIED,
        Reason.ALERT_SILENCED,
        Reason.ALERT_NOT_FIRING,
        Reason.TARGET_CHANGED,
        Reason.DRY_RUN_REFUSED,
        Reason.NOT_PROVABLE,
        Reason.DISRUPTION_BUDGET,
    }
)
"""Reasons of a no that says something about the action, and not about the mode."""


@dataclass(frozen=True, slots=True)
class NearMiss:
    """An action that was stopped, and that later proved not to have been needed: `resolved_after` the stop."""

    at: datetime
    remediation: int
    incident: int | None
    rule: str
    target: str
    stopped_by: str
    resolved_after: timedelta | None


def near_misses(came: Sequence[Came], steps: Sequence[Step], done: Sequence[Debited]) -> Sequence[NearMiss]:
    by_remediation = {one.remediation: one for one in came}
    acted = {one.remediation for one in done}
    own: dict[int, list[Step]] = defaultdict(list)
    for step in steps:
        own[step.remediation].append(step)
    found = []
    for number, one in by_remediation.items():
        mine = own.get(number, [])
        planned = [step for step in mine if step.kind == "step.planned"]
        stop = _stop(one, mine) if planned and number not in acted else None
        if stop is not None and (one.resolved_at is not None or stop[2]):
            at, why, is_late = stop
            after = None if one.resolved_at is None else one.resolved_at - at
            if is_late or (after is not None and timedelta(0) <= after <= NEAR):
                found.append(NearMiss(at, number, one.incident, one.rule, one.target, why, after))
    return sorted(found, key=lambda one: (one.at, one.remediation))


def _stop(one: Came, steps: Sequence[Step]) -> tuple[datetime, str, bool] | None:
    """When and by what it was stopped, and whether between the intent and the write; None: it was not."""
    late = [after for before, after in pairwise(steps) if (before.kind, after.kind) == _TOO_LATE]
    if late:
        return late[-1].at, late[-1].reason, True
    held = [step for step in steps if step.kind == "decision.held" and step.reason in STOPS]
    if held:
        return held[-1].at, held[-1].reason, False
    planned = [step for step in steps if step.kind == "step.planned"]
    return (planned[-1].at, one.reason, False) if one.reason in STOPS and planned else None
