"""The `log` sink: one structured line for each decision and outcome, for people who read the process's output."""

from __future__ import annotations

import structlog

from remediator.store.base import CommittedRecord

QUIET = frozenset({"alert.received", "step.diagnosing"})
CALLS = frozenset(f"escalation.{step}" for step in ("opened", "joined", "passed-on", "reminded", "unanswered"))
"""What somebody has to hear."""


class LogSink:
    name = "log"

    def __init__(self, *, is_verbose: bool = True) -> None:
        """`is_verbose`: what only leads up to something is logged too, as debug."""
        self.silent_on = frozenset[str]() if is_verbose else QUIET
        self._log = structlog.get_logger("remediator.record")

    async def tell(self, record: CommittedRecord) -> None:
        body = record.body
        fields = {
            key: value
            for key, value in (
                ("seq", record.seq),
                ("incident", record.incident_id),
                ("remediation", record.remediation_id),
                ("alert", body.get("alertname")),
                ("target", body.get("target")),
                ("rule", body.get("rule")),
                ("action", body.get("action")),
                ("escalation", body.get("escalation")),
                ("contact", body.get("contact") if record.kind in CALLS else None),
                ("tell", body.get("tell")),
                ("reason", body.get("reason")),
                ("detail", body.get("detail")),
            )
            if value not in (None, "")
        }
        if record.kind in QUIET:
            self._log.debug(record.kind, **fields)
        elif record.kind in CALLS:
            self._log.warning(record.kind, **fields)
        else:
            self._log.info(record.kind, **fields)
