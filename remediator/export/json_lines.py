"""The format `jsonl`: one record a line, as it stands in the log, with what is disclosed of it.

`record` is the canonical bytes that the leaf of the tree is made of, so that its hash can be computed again;
`disclosed` are the values behind its commitments, `taken_back` the fields whose values are gone. Salts, and with them
the proof that a value is the one that was committed to, are in the bundle.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from remediator.audit.commitments import COMMITTED
from remediator.audit.record import decode_body
from remediator.export.content import gone_from
from remediator.export.formats import Head
from remediator.store.base import CommittedRecord


class JsonLines:
    name = "jsonl"
    media_type = "application/x-ndjson"
    suffix = "jsonl"

    def begin(self, head: Head) -> bytes:
        return b""

    def rows(self, records: Sequence[CommittedRecord], head: Head, *, is_first: bool) -> bytes:
        """Every record, whatever was asked: this is the log."""
        return b"".join(map(_line, records))

    def end(self, head: Head) -> bytes:
        return b""


def _line(record: CommittedRecord) -> bytes:
    gone = gone_from(record)
    committed = decode_body(record.canonical).get(COMMITTED) or {}
    disclosed = {name: record.body[name] for name in sorted(committed) if name not in gone}
    members = (json.dumps(disclosed), record.canonical, json.dumps(gone))
    return b'{"disclosed":%b,"record":%b,"taken_back":%b}\n' % tuple(
        one if isinstance(one, bytes) else one.encode("ascii") for one in members
    )
