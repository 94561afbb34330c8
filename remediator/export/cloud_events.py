"""The format `cloudevents`: records as CloudEvents 1.0, in the JSON batch format, one event a line.

The events are those of the webhook, so that whoever missed some can be told again (`id` and `source` name a record for
good). What the webhook leaves out, since it only leads up to a decision, is told with `is_whole`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from remediator.export.content import gone_from
from remediator.export.formats import Head
from remediator.sinks.cloud_event import QUIET, cloud_event
from remediator.store.base import CommittedRecord


class CloudEvents:
    name = "cloudevents"
    media_type = "application/cloudevents-batch+json"
    suffix = "cloudevents.json"

    def begin(self, head: Head) -> bytes:
        return b"["

    def rows(self, records: Sequence[CommittedRecord], head: Head, *, is_first: bool) -> bytes:
        told = [one for one in records if head.is_whole or not one.kind.startswith(QUIET)]
        if not told:
            return b""
        lead = "\n" if is_first else ",\n"
        return (lead + ",\n".join(_event(one, head.source) for one in told)).encode("ascii")

    def end(self, head: Head) -> bytes:
        return b"\n]\n"


def _event(record: CommittedRecord, source: str) -> str:
    event = cloud_event(record, source=source)
    if gone := gone_from(record):
        event["data"] = {**event["data"], "taken_back": list(gone)}
    return json.dumps(event, separators=(",", ":"))
