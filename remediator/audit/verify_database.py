"""Whether a database of a stopped service tells the log as it was. Called by `verify.py`."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

from remediator.audit.findings import Answer, Facts, Report, Tampered, Unreadable
from remediator.audit.note import Checkpoint, VerifyingKey
from remediator.audit.reading import (
    HASH_BYTES,
    check_fields,
    check_fork,
    check_validity,
    opened_note,
    read_checkpoint,
    read_record,
)
from remediator.audit.strict import parse
from remediator.audit.tree import Frontier, leaf_hash, span_of

TILE = 256


def verify_database(path: Path, trusted: Sequence[VerifyingKey], known: Sequence[Checkpoint]) -> Report:
    uri = f"file:{_escaped(str(path.resolve()))}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=2)) as connection:
            return _open_database(connection, trusted, known)
    except sqlite3.OperationalError as error:
        held = "locked" in str(error)
        why = "a running remediator holds it; stop it, or verify an export" if held else str(error)
        raise Unreadable(f"{path}: {why}") from error
    except sqlite3.DatabaseError as error:
        raise Tampered(f"the file of the database: {error}") from error


def _open_database(
    connection: sqlite3.Connection, trusted: Sequence[VerifyingKey], known: Sequence[Checkpoint]
) -> Report:
    row = connection.execute("SELECT origin, size, note, pruned FROM log_head").fetchone()
    if row is None:
        raise Tampered("log_head: the head is missing")
    origin, size, note, pruned = row
    unproven: list[str] = []
    text, signers = opened_note("log_head", _as_bytes(note), trusted, unproven)
    head = read_checkpoint("log_head", text)
    if (head.origin, head.size) != (origin, size):
        raise Tampered("log_head: the checkpoint is of another log or size")
    seen = _Seen(connection, head, pruned)
    seen.read()
    check_validity(signers, seen.last_at)
    facts = Facts(head, seen.records, seen.redacted, pruned, sorted({key.name for key in signers}), seen.notes)
    check_fork(known, origin)
    for one in (one for one in known if one.origin == origin):
        if one.size > size:
            raise Tampered(f"records: cut back: the anchor saw {one.size} records, there are {size}")
        if one.root != seen.root_of(one.size):
            raise Tampered(f"records: the first {one.size} are not those that the anchor saw")
    if unproven:
        return facts.report(Answer.AUTHOR_NOT_PROVEN, "; ".join(unproven))
    if not any(one.origin == origin for one in known):
        why = "no anchor was given" if not known else f"the anchor is of another log ({known[-1].origin})"
        return facts.report(Answer.COMPLETENESS_NOT_PROVEN, f"integrity proven; {why}")
    newest = max(one.size for one in known if one.origin == origin)
    return facts.report(Answer.VERIFIED, f"the log of {size} records begins with the {newest} of the anchor")


class _Seen:
    """One reading of all records; `leaves` stay, 32 bytes each, for the roots that anchors ask for."""

    def __init__(self, connection: sqlite3.Connection, head: Checkpoint, pruned: int) -> None:
        self._connection = connection
        self._head = head
        self._pruned = pruned
        self._leaves: list[bytes] = []
        self._gaps = self._read_gaps()
        self._missing: list[int] = []
        self._named: list[tuple[int, int]] = []
        self.records = 0
        self.redacted = 0
        self.last_at: datetime | None = None
        self.notes: list[str] = []

    def read(self) -> None:
        self._leaves += self._of_tiles()
        for seq, canonical, beside in self._connection.execute(
            "SELECT seq, canonical, beside FROM records WHERE seq > ? ORDER BY seq", (self._pruned,)
        ):
            self._add(seq, _as_bytes(canonical), beside)
        if unnamed := [seq for seq in self._missing if not any(low <= seq <= high for low, high in self._named)]:
            raise Tampered(f"records: {unnamed[0]} is missing, and no record of an epoch says so")
        if len(self._leaves) != self._head.size:
            raise Tampered(f"records: the head knows {self._head.size}, there are {len(self._leaves)}")
        if span_of(self._leaves) != self._head.root:
            raise Tampered("records: a record was changed: the tree has another root" + self._first_wrong_tile())
        if wrong := self._first_wrong_tile():
            raise Tampered(f"log_tiles: not of the records{wrong}")

    def root_of(self, size: int) -> bytes:
        return span_of(self._leaves[:size])

    def _of_tiles(self) -> Iterator[bytes]:
        for number in range(self._pruned // TILE):
            row = self._connection.execute("SELECT hashes FROM log_tiles WHERE number = ?", (number,)).fetchone()
            hashes = b"" if row is None else _as_bytes(row[0])
            if len(hashes) != TILE * HASH_BYTES:
                raise Tampered(f"log_tiles: tile {number} is missing or broken")
            yield from (hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES))

    def _read_gaps(self) -> Mapping[int, bytes]:
        """What stands for records that were missing when a person began an epoch; databases before have none."""
        try:
            return {seq: _as_bytes(leaf) for seq, leaf in self._connection.execute("SELECT seq, hash FROM log_gaps")}
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return {}
            raise

    def _add(self, seq: int, canonical: bytes, beside: bytes | str | None) -> None:
        while (leaf := self._gaps.get(len(self._leaves) + 1)) is not None and len(self._leaves) + 1 < seq:
            self._missing.append(len(self._leaves) + 1)
            self._leaves.append(leaf)
        expected = len(self._leaves) + 1
        if seq != expected:
            raise Tampered(f"records: {expected} is missing" if seq > expected else f"records: {seq} does not belong")
        told, at, hashes = read_record(f"records: {seq}", canonical)
        if told != seq:
            raise Tampered(f"records: {seq} says that it is {told}")
        try:
            fields = parse(_as_bytes(beside)) if beside is not None else {}
            self.redacted += len(hashes) - check_fields(f"records: {seq}", hashes, fields)
        except (ValueError, TypeError, AttributeError) as error:
            raise Tampered(f"records: {seq}: what stands beside it cannot be read") from error
        self._leaves.append(leaf_hash(canonical))
        self.records += 1
        self.last_at = max(at, self.last_at or at)
        kind = json.loads(canonical)["kind"] if b'"kind":"audit.' in canonical else ""
        if kind in ("audit.epoch", "audit.pruned", "audit.key-rotated", "audit.broken"):
            self.notes.append(f"record {seq}: {kind}")
        if kind == "audit.epoch":
            self._named += _runs(seq, json.loads(canonical)["body"].get("missing", ()))

    def _first_wrong_tile(self) -> str:
        """Where the tiles differ from the records, to say roughly where a record was changed."""
        for number, root, hashes in self._connection.execute(
            "SELECT number, root, hashes FROM log_tiles ORDER BY number"
        ):
            leaves = self._leaves[number * TILE : (number + 1) * TILE]
            if _as_bytes(root) != Frontier().extended(leaves).root() or _as_bytes(hashes) != b"".join(leaves):
                told, places = _as_bytes(hashes), range(0, TILE * HASH_BYTES, HASH_BYTES)
                wrong = [n for n, at in enumerate(places) if leaves[n : n + 1] != [told[at : at + HASH_BYTES]]]
                if wrong:
                    return f" (record {number * TILE + wrong[0] + 1})"
                return f" (records {number * TILE + 1} to {(number + 1) * TILE})"
        return ""


def _runs(seq: int, missing: Any) -> Sequence[tuple[int, int]]:
    """The records that are missing by the record of an epoch, from and to."""
    try:
        return [(int(low), int(high)) for low, high in missing]
    except (ValueError, TypeError) as error:
        raise Tampered(f"records: {seq}: what is missing cannot be read") from error


def _as_bytes(value: bytes | str) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)


def _escaped(path: str) -> str:
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
