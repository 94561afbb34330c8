"""The `metrics` sink: counts decisions and outcomes from committed records, so no counter says what no record does."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from remediator.model import Outcome
from remediator.reasons import Reason
from remediator.sinks.base import LEADS_UP
from remediator.store.base import CommittedRecord
from remediator.telemetry import Decided, Recovery, Telemetry

DECISIONS: Mapping[str, Decided] = {
    "action.applied": Decided.EXECUTED,
    "decision.recommended": Decided.RECOMMENDED,
    "decision.held": Decided.HELD,
    "decision.escalated": Decided.ESCALATED,
    "decision.declined": Decided.DECLINED,
    "outcome.failed": Decided.FAILED,
}

RECOVERIES: Mapping[str, Recovery] = {
    "outcome.verified": Recovery.AFTER_ACTION,
    "decision.cancelled": Recovery.ALONE,
    "outcome.reverted": Recovery.NOT,
    "outcome.unknown": Recovery.NOT,
}


SAYS_WHY = ("decision.", "outcome.failed", "outcome.unknown", "action.not-applied")
"""The records whose reason is why something was not done, or not seen to help."""


class MetricsSink:
    name = "metrics"
    silent_on = LEADS_UP

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._acted_at: dict[int, datetime] = {}
        """Remediations between their action and its outcome; bounded by how many can be under way at once."""

    async def tell(self, record: CommittedRecord) -> None:
        body = record.body
        rule, action, reason = body.get("rule"), body.get("action"), body.get("reason")
        if (decision := DECISIONS.get(record.kind)) is not None:
            is_miss = reason == Reason.NO_RULE
            self._telemetry.decided(rule=rule, action=action, decision=Decided.NO_MATCH if is_miss else decision)
        if reason and record.kind.startswith(SAYS_WHY):
            self._telemetry.held(rule=rule, reason=Reason(reason))
        if (recovery := RECOVERIES.get(record.kind)) is not None and reason != Reason.APPROVAL_DENIED:
            self._telemetry.incident_closed(rule=rule, outcome=recovery)
        if record.kind == "action.applied" and record.remediation_id is not None:
            self._acted_at[record.remediation_id] = record.at
        elif record.kind.startswith("outcome.") and record.remediation_id in self._acted_at:
            # What holds for a time only has helped; giving it back is not part of the action's duration.
            word = record.kind.removeprefix("outcome.").replace("temporary", "verified")
            if word in list(Outcome):
                seconds = (record.at - self._acted_at.pop(record.remediation_id)).total_seconds()
                self._telemetry.action_finished(action=str(action), outcome=Outcome(word), seconds=seconds)
        elif record.kind.startswith("escalation."):
            self._telemetry.escalated(step=record.kind.removeprefix("escalation."), severity=body["severity"])
        elif record.kind == "score.judged":
            judged, happened = str(body["judged"]), str(body["happened"])
            self._telemetry.scored(rule=str(rule), happened=happened, judged=judged, is_harmful=bool(body["harmful"]))
        elif record.kind == "score.said":
            self._telemetry.judged_by_person(rule=str(rule), judged=str(body["judged"]))
        elif record.kind == "switch.engaged":
            self._telemetry.paused(True)
        elif record.kind == "switch.released":
            self._telemetry.paused(False)
