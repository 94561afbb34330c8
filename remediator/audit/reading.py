"""Notes and records, read strictly: whatever is not as `FORMAT.md` has it was changed. Called by what verifies."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from remediator.audit.commitments import COMMITTED, commitment
from remediator.audit.findings import Tampered
from remediator.audit.note import BadNote, Checkpoint, VerifyingKey, checkpoint, opened, unproven_text
from remediator.audit.strict import parse

HASH_BYTES = 32


def opened_note(
    place: str, note: bytes, trusted: Sequence[VerifyingKey], unproven: list[str]
) -> tuple[bytes, Sequence[VerifyingKey]]:
    """The text; whoever signed it may be unknown, which is noted, but a wrong signature is not."""
    try:
        return opened(note, trusted)
    except BadNote as error:
        if "wrong" in str(error):
            raise Tampered(f"{place}: {error}") from error
        try:
            text = unproven_text(note)
        except BadNote as second:
            raise Tampered(f"{place}: {second}") from second
        unproven.append(f"{place}: {error if trusted else 'no trusted keys were given'}")
        return text, ()


def read_checkpoint(place: str, text: bytes) -> Checkpoint:
    try:
        return checkpoint(text)
    except (BadNote, UnicodeDecodeError) as error:
        raise Tampered(f"{place}: {error}") from error


def check_fork(known: Sequence[Checkpoint], origin: str) -> None:
    """Two roots of one size, both signed: whatever the log shows, one of them is another history."""
    roots: dict[int, bytes] = {}
    for one in known:
        if one.origin == origin and roots.setdefault(one.size, one.root) != one.root:
            raise Tampered(f"the anchors: two histories of {one.size} records were signed")


def check_validity(signers: Sequence[VerifyingKey], at: datetime | None) -> None:
    for key in signers:
        if at is not None and not key.is_valid_at(at):
            raise Tampered(f"checkpoint: signed by {key.name}, which was not the log's key at {at.isoformat()}")


def read_record(place: str, canonical: bytes) -> tuple[int, datetime, Mapping[str, str]]:
    try:
        entry = read_line(canonical)
        seq, at, body = entry["seq"], instant(entry["at"]), entry["body"]
        hashes = body.get(COMMITTED, {})
        is_right = entry.keys() == _MEMBERS and is_count(seq) and seq > 0 and isinstance(body, dict)
        is_right = is_right and isinstance(entry["kind"], str) and bool(entry["kind"])
        is_right = is_right and all(one is None or is_count(one) for one in (entry["incident"], entry["remediation"]))
        is_right = is_right and all(_COMMITMENT.fullmatch(one) for one in hashes.values())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Tampered(f"{place}: not a record") from error
    if not is_right:
        raise Tampered(f"{place}: not a record")
    return seq, at, hashes


def read_line(line: bytes) -> Any:
    if b"\r" in line:
        raise ValueError("a carriage return")
    return parse(line)


def is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 10**16


_MEMBERS = frozenset({"at", "body", "incident", "kind", "remediation", "seq"})
_COMMITMENT = re.compile(r"[0-9a-f]{64}")
_SALT = re.compile(r"[0-9a-f]{32}")


def check_fields(place: str, committed: Mapping[str, str], fields: Mapping[str, Any]) -> int:
    for name, disclosed in fields.items():
        if not isinstance(disclosed, list) or len(disclosed) != 2 or not all(isinstance(one, str) for one in disclosed):
            raise Tampered(f"{place}: {name} is not a salt and a text")
        salt, text = disclosed
        parse(text.encode())
        if not _SALT.fullmatch(salt) or committed.get(name) != commitment(bytes.fromhex(salt), text.encode()):
            raise Tampered(f"{place}: {name} is not what the record committed to")
    return len(fields)


_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)", re.ASCII)


def instant(text: str) -> datetime:
    found = _RFC3339.fullmatch(text)
    if found is None:
        raise ValueError(f"not RFC 3339 with a zone: {text}")
    whole, fraction, zone = found.groups()
    micros = (fraction or "")[:6].ljust(6, "0")
    return datetime.fromisoformat(f"{whole}.{micros}{'+00:00' if zone == 'Z' else zone}")
