"""The format `csv`: one record a row, for an auditor's spreadsheet. RFC 4180, UTF-8, a heading.

A spreadsheet takes a cell that begins with = + - or @ (also as full-width characters), a tab or a return for a formula:
such cells begin with an apostrophe here (OWASP, CSV Injection). Line breaks in cells are blanks, what cannot be seen is
shown by its number, so a record is a line.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from remediator.audit.tree import leaf_hash
from remediator.clock import rfc3339
from remediator.export.content import Contents, redactions_of
from remediator.export.events import event_of
from remediator.export.formats import Head
from remediator.export.printable import one_line
from remediator.export.times import local
from remediator.export.words import WORDS
from remediator.store.base import CommittedRecord

COLUMNS = (
    "record",
    "at",
    "local_time",
    "incident",
    "remediation",
    "lane",
    "kind",
    "event",
    "detail",
    "reason",
    "by",
    "comment",
    "alert",
    "target",
    "namespace",
    "cluster",
    "uid",
    "rule",
    "rule_digest",
    "severity",
    "action",
    "action_id",
    "cause",
    "until",
    "taken_back",
    "leaf_hash",
)
"""`leaf_hash` is the record's in the audit log's tree (RFC 6962, hex); `audit proof NUMBER` proves that it is there."""

MAX_CELL = 8000
"""Characters; a spreadsheet takes 32,767. The whole value is in the JSON Lines."""

_FORMULA = tuple("=+-@＝＋－＠\t\r\n")  # noqa: RUF001  # the full-width ones are meant
_LEADS_UP = frozenset({"step.diagnosing", "escalation.joined", "escalation.reminded"})


class CommaSeparated:
    name = "csv"
    media_type = "text/csv"
    suffix = "csv"

    def begin(self, head: Head) -> bytes:
        return _written([COLUMNS])

    def rows(self, records: Sequence[CommittedRecord], head: Head, *, is_first: bool) -> bytes:
        """Without `is_whole` those that only lead up to another are left out."""
        contents = Contents(redactions_of(records))
        told = [one for one in records if head.is_whole or one.kind not in _LEADS_UP]
        return _written([_row(record, head, contents) for record in told])

    def end(self, head: Head) -> bytes:
        return b""


def safe(value: object) -> str:
    """A cell that a spreadsheet shows as it is."""
    text = str(value)
    is_formula = text.lstrip(" ").startswith(_FORMULA)
    return ("'" if is_formula else "") + one_line(text, max_length=MAX_CELL)


def _row(record: CommittedRecord, head: Head, contents: Contents) -> Sequence[str]:
    body, event = record.body, event_of(record, contents)
    target: Mapping[str, Any] = body.get("object") or {}
    labels: Mapping[str, Any] = body.get("labels") or {}
    known = {
        "record": record.seq,
        "at": rfc3339(record.at),
        "local_time": "" if head.tz is None else local(record.at, head.tz),
        "incident": "" if record.incident_id is None else f"inc-{record.incident_id}",
        "remediation": "" if record.remediation_id is None else f"R-{record.remediation_id}",
        "lane": event.lane,
        "kind": record.kind,
        "event": event.title if record.kind in WORDS else "",
        "detail": event.detail,
        "by": event.by,
        "comment": contents.text(record, "comment"),
        "alert": body.get("alertname") or labels.get("alertname"),
        "target": body.get("target"),
        "namespace": target.get("namespace") or labels.get("namespace"),
        "cluster": target.get("cluster"),
        "uid": target.get("uid"),
        "taken_back": " ".join(event.taken_back),
        "leaf_hash": leaf_hash(record.canonical).hex(),
    }
    values = ({**body, **known}.get(name) for name in COLUMNS)
    return ["" if value is None else safe(value) for value in values]


def _written(rows: Sequence[Sequence[str]]) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\r\n").writerows(rows)
    return out.getvalue().encode("utf-8", "backslashreplace")
