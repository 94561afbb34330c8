"""A committed record as a CloudEvent 1.0 (cloudevents/spec `spec.md`), for the webhook and for exports. Pure."""

from __future__ import annotations

from remediator.clock import rfc3339
from remediator.model import Json
from remediator.store.base import CommittedRecord

QUIET = ("step.", "alert.")
"""What only leads up to a decision, or repeats what Alertmanager tells anyway."""


def cloud_event(record: CommittedRecord, *, source: str) -> Json:
    """The record as a CloudEvent 1.0."""
    event = {
        "specversion": "1.0",
        "id": str(record.seq),
        "source": source,
        "type": f"io.remediator.{record.kind}",
        "time": rfc3339(record.at),
        "datacontenttype": "application/json",
        "data": {
            **record.body,
            "remediation": None if record.remediation_id is None else f"R-{record.remediation_id}",
            "incident": None if record.incident_id is None else f"inc-{record.incident_id}",
        },
    }
    if isinstance(target := record.body.get("target"), str) and target:
        event["subject"] = target
    return event
