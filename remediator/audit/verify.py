"""Whether a bundle or a database tells the log as it was. Imports nothing of the running service.

`remediator audit verify` and the tests call it; `FORMAT.md` says what is checked, so that others can do it too. Four
answers: verified; tampered, with the place; completeness not proven, when no anchor says that nothing is missing at
the end; author not proven, when no key that is trusted signed it. Only the first two are about what was found: the
others say what could not be told with what was given.
"""

from __future__ import annotations

import base64
import io
import json
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO

from remediator.audit.bundle import FIRST_LINE, MANIFEST, BadBundle, Member, content, manifest_text, read_members
from remediator.audit.commitments import COMMITTED, commitment
from remediator.audit.note import (
    BadNote,
    Checkpoint,
    VerifyingKey,
    checkpoint,
    opened,
    unproven_text,
    verifying_key,
)
from remediator.audit.strict import parse
from remediator.audit.tree import BadProof, Frontier, grew, leads_to, leaf_hash, root_with, span_of

CHECKPOINT, RECORDS, DISCLOSURES, PROOF, GROWTH = "checkpoint", "records.jsonl", "disclosures.jsonl", "proof", "growth"
TILE = 256
_HASH = 32


class Answer(StrEnum):
    VERIFIED = "verified"
    TAMPERED = "tampered"
    COMPLETENESS_NOT_PROVEN = "completeness not proven"
    AUTHOR_NOT_PROVEN = "author not proven"


EXIT_CODES: Mapping[Answer, int] = {
    Answer.VERIFIED: 0,
    Answer.TAMPERED: 1,
    Answer.COMPLETENESS_NOT_PROVEN: 3,
    Answer.AUTHOR_NOT_PROVEN: 4,
}


class Unreadable(ValueError):
    """What was given is no bundle, database, key list or anchor; nothing can be said of it."""


class Tampered(Exception):
    """Found to be changed; the text is the place and what is wrong there."""


@dataclass(frozen=True, slots=True)
class Report:
    """The answer, why, and what it is about. `records` were checked, `redacted` are values taken back, `pruned` records
    given up by retention and known by their hashes only. `scope`: what a bundle says that it was asked for."""

    answer: Answer
    reason: str
    origin: str = ""
    size: int = 0
    root: str = ""
    records: int = 0
    redacted: int = 0
    pruned: int = 0
    signed_by: Sequence[str] = ()
    notes: Sequence[str] = field(default_factory=tuple)
    scope: str = ""


def trusted_keys(text: str) -> Sequence[VerifyingKey]:
    """The keys of a list: one a line, `KEY [SINCE [UNTIL]]`, times in RFC 3339 or `-`; `#` begins a comment.

    Raises Unreadable with the line.
    """
    keys: list[VerifyingKey] = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            if len(words) > 3:
                raise BadNote("expected KEY [SINCE [UNTIL]]")
            since, until = (None if word == "-" else _instant(word) for word in [*words[1:], "-", "-"][:2])
            key = verifying_key(words[0])
        except ValueError as error:
            raise Unreadable(f"line {number}: {error}") from error
        if since is not None and until is not None and since >= until:
            raise Unreadable(f"line {number}: SINCE is not before UNTIL")
        if any((known.name, known.id) == (key.name, key.id) for known in keys):
            raise Unreadable(f"line {number}: a second key of this name and id")
        keys.append(VerifyingKey(key.name, key.public, since, until))
    if not keys:
        raise Unreadable("no key in it")
    return keys


_NOTE = re.compile(r"^[^\n]+\n[0-9]+\n[A-Za-z0-9+/=]{44}\n\n(?:— [^\n]+\n)+", re.MULTILINE)


def anchors(text: str) -> Sequence[bytes]:
    """The checkpoints in a text: notes one after the other, or lines of JSON with a member `note` (our log's)."""
    found = [match.group().encode() for match in _NOTE.finditer(text)]
    for line in text.splitlines():
        start = line.find("{")
        if '"note"' in line and start >= 0:
            try:
                value = parse(line[start:].encode())
            except (ValueError, RecursionError):
                continue
            if isinstance(value, dict) and isinstance(value.get("note"), str):
                found.append(value["note"].encode())
    return found


def verify(path: Path, *, trusted: Sequence[VerifyingKey], anchored: Sequence[bytes]) -> Report:
    """Raises Unreadable for what is neither a bundle nor a database of ours, and for anchors without a trusted one."""
    known = _anchored(anchored, trusted)
    try:
        with path.open("rb") as source:
            if source.read(16) != b"SQLite format 3\0":
                return _answered(lambda: _bundle(source, trusted, known))
            return _answered(lambda: _database(path, trusted, known))
    except OSError as error:
        raise Unreadable(f"{path}: {error.strerror}") from error


def verify_bytes(bundle: bytes, *, trusted: Sequence[VerifyingKey], anchored: Sequence[bytes]) -> Report:
    """As `verify`, for a bundle in memory."""
    known = _anchored(anchored, trusted)
    return _answered(lambda: _bundle(io.BytesIO(bundle), trusted, known))


def _answered(look: Callable[[], Report]) -> Report:
    try:
        return look()
    except Tampered as found:
        return Report(Answer.TAMPERED, str(found))
    except BadBundle as found:
        return Report(Answer.TAMPERED, f"the archive: {found}")


def _anchored(notes: Sequence[bytes], trusted: Sequence[VerifyingKey]) -> Sequence[Checkpoint]:
    """Those that count. Raises Unreadable when there are anchors and none does."""
    found = []
    for note in notes:
        try:
            said = checkpoint(opened(note, trusted)[0])
        except (BadNote, UnicodeDecodeError):
            continue
        if said.size:  # of nothing, everything is the continuation
            found.append(said)
    if notes and not found:
        raise Unreadable("no checkpoint of the anchor is signed by a trusted key")
    return found


def _check_fork(known: Sequence[Checkpoint], origin: str) -> None:
    """Two roots of one size, both signed: whatever the log shows, one of them is another history."""
    roots: dict[int, bytes] = {}
    for one in known:
        if one.origin == origin and roots.setdefault(one.size, one.root) != one.root:
            raise Tampered(f"the anchors: two histories of {one.size} records were signed")


# --- a bundle


def _bundle(source: BinaryIO, trusted: Sequence[VerifyingKey], known: Sequence[Checkpoint]) -> Report:
    members = read_members(source)
    read = {name: content(source, member) for name, member in members.items() if name in (MANIFEST, CHECKPOINT)}
    for name in (MANIFEST, CHECKPOINT, RECORDS, DISCLOSURES, PROOF, GROWTH):
        if name not in members:
            raise Tampered(f"{name} is missing")
    if list(members)[-1] != MANIFEST:
        raise Tampered(f"{MANIFEST} is not the last file")
    unproven: list[str] = []
    signers = _check_manifest(read[MANIFEST], members, trusted, unproven)
    head_text, head_signers = _opened(CHECKPOINT, read[CHECKPOINT], trusted, unproven)
    head = _checkpoint(CHECKPOINT, head_text)
    lines = _lines(RECORDS, content(source, members[RECORDS]))
    leaves, committed, last_at = _read_records(lines, head.size)
    _check_root(head, leaves, _hashes(PROOF, content(source, members[PROOF])))
    redacted = _check_disclosures(_lines(DISCLOSURES, content(source, members[DISCLOSURES])), committed)
    origin, scope = unproven_text(read[MANIFEST]).decode().split("\n")[1:3]
    if origin != head.origin:
        raise Tampered(f"{MANIFEST}: of the log {origin}, but the checkpoint is of {head.origin}")
    _check_validity([*signers, *head_signers], last_at)
    facts = _Facts(head, len(lines), redacted, 0, sorted({key.name for key in head_signers}), scope=scope)
    complete = _complete(facts, known, _growths(content(source, members[GROWTH]), head))
    return facts.report(Answer.AUTHOR_NOT_PROVEN, "; ".join(unproven)) if unproven else complete


def _check_manifest(
    note: bytes, members: Mapping[str, Member], trusted: Sequence[VerifyingKey], unproven: list[str]
) -> Sequence[VerifyingKey]:
    text, signers = _opened(MANIFEST, note, trusted, unproven)
    lines = text.decode().split("\n")
    if len(lines) < 4 or lines[0] != FIRST_LINE or not lines[1] or not lines[2]:
        raise Tampered(f"{MANIFEST}: not the manifest of a bundle, version 1")
    origin, scope = lines[1], lines[2]
    listed = [member for name, member in members.items() if name != MANIFEST]
    if text != manifest_text(origin, scope, listed):
        told = {line.split(" ", 2)[2]: line for line in lines[3:] if line.count(" ") >= 2}
        for member in listed:
            if told.get(member.name) != f"{member.digest} {member.size} {member.name}":
                raise Tampered(f"{member.name}: not as the manifest has it")
        raise Tampered(f"{MANIFEST}: names other files than there are")
    return signers


def _opened(
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


def _checkpoint(place: str, text: bytes) -> Checkpoint:
    try:
        return checkpoint(text)
    except (BadNote, UnicodeDecodeError) as error:
        raise Tampered(f"{place}: {error}") from error


def _lines(name: str, whole: bytes) -> Sequence[bytes]:
    if whole and not whole.endswith(b"\n"):
        raise Tampered(f"{name}: the last line breaks off")
    return whole.split(b"\n")[:-1]


def _read_records(
    lines: Sequence[bytes], size: int
) -> tuple[dict[int, bytes], dict[int, Mapping[str, str]], datetime | None]:
    """Leaf hashes by index, commitments by `seq`, and the latest time."""
    leaves: dict[int, bytes] = {}
    committed: dict[int, Mapping[str, str]] = {}
    last, last_at = 0, None
    for number, line in enumerate(lines, start=1):
        seq, at, hashes = _record(f"{RECORDS}:{number}", line)
        if not last < seq <= size:
            raise Tampered(f"{RECORDS}:{number}: record {seq} behind record {last}, in a log of {size}")
        last, last_at = seq, max(at, last_at or at)
        leaves[seq - 1] = leaf_hash(line)
        committed[seq] = hashes
    return leaves, committed, last_at


def _record(place: str, canonical: bytes) -> tuple[int, datetime, Mapping[str, str]]:
    try:
        entry = _line(canonical)
        seq, at, body = entry["seq"], _instant(entry["at"]), entry["body"]
        hashes = body.get(COMMITTED, {})
        is_right = entry.keys() == _MEMBERS and _is_count(seq) and seq > 0 and isinstance(body, dict)
        is_right = is_right and isinstance(entry["kind"], str) and bool(entry["kind"])
        is_right = is_right and all(one is None or _is_count(one) for one in (entry["incident"], entry["remediation"]))
        is_right = is_right and all(_COMMITMENT.fullmatch(one) for one in hashes.values())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Tampered(f"{place}: not a record") from error
    if not is_right:
        raise Tampered(f"{place}: not a record")
    return seq, at, hashes


def _line(line: bytes) -> Any:
    if b"\r" in line:
        raise ValueError("a carriage return")
    return parse(line)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 10**16


_MEMBERS = frozenset({"at", "body", "incident", "kind", "remediation", "seq"})
_COMMITMENT = re.compile(r"[0-9a-f]{64}")
_SALT = re.compile(r"[0-9a-f]{32}")


def _check_root(head: Checkpoint, leaves: Mapping[int, bytes], proof: Sequence[bytes]) -> None:
    try:
        root = root_with(leaves, head.size, proof)
    except BadProof as error:
        raise Tampered(f"{PROOF}: {error}") from error
    if root != head.root:
        raise Tampered(f"{RECORDS}: a record was changed, taken out or put in: the tree has another root")


def _check_disclosures(lines: Sequence[bytes], committed: Mapping[int, Mapping[str, str]]) -> int:
    """Each value against its commitment; how many commitments have no value."""
    disclosed = 0
    last = 0
    for number, line in enumerate(lines, start=1):
        place = f"{DISCLOSURES}:{number}"
        try:
            value = _line(line)
            seq, fields = value["seq"], value["fields"]
            if not _is_count(seq) or seq <= last or set(value) != {"seq", "fields"} or not fields:
                raise Tampered(f"{place}: out of order, or not a disclosure")
            last = seq
            disclosed += _check_fields(place, committed.get(seq, {}), fields)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise Tampered(f"{place}: not a disclosure") from error
    return sum(map(len, committed.values())) - disclosed


def _check_fields(place: str, committed: Mapping[str, str], fields: Mapping[str, Any]) -> int:
    for name, disclosed in fields.items():
        if not isinstance(disclosed, list) or len(disclosed) != 2 or not all(isinstance(one, str) for one in disclosed):
            raise Tampered(f"{place}: {name} is not a salt and a text")
        salt, text = disclosed
        parse(text.encode())
        if not _SALT.fullmatch(salt) or committed.get(name) != commitment(bytes.fromhex(salt), text.encode()):
            raise Tampered(f"{place}: {name} is not what the record committed to")
    return len(fields)


def _hashes(name: str, whole: bytes) -> Sequence[bytes]:
    found = []
    for number, line in enumerate(_lines(name, whole), start=1):
        found.append(_hash(f"{name}:{number}", line))
    return found


def _hash(place: str, line: bytes) -> bytes:
    try:
        value = base64.b64decode(line, validate=True)
    except ValueError as error:
        raise Tampered(f"{place}: not a hash") from error
    if len(value) != _HASH or base64.b64encode(value) != line:
        raise Tampered(f"{place}: not a hash")
    return value


def _growths(whole: bytes, head: Checkpoint) -> Mapping[int, Sequence[bytes]]:
    """Size of an earlier tree -> the proof that the tree begins with it, which must lead to its root."""
    found: dict[int, list[bytes]] = {}
    present: list[bytes] | None = None
    for number, line in enumerate(_lines(GROWTH, whole), start=1):
        if line.startswith(b"size "):
            if not _DECIMAL.fullmatch(line[5:]) or (size := int(line[5:])) in found or not 0 < size <= head.size:
                raise Tampered(f"{GROWTH}:{number}: not the size of an earlier tree, or a second time")
            present = found.setdefault(size, [])
        elif present is None:
            raise Tampered(f"{GROWTH}:{number}: a hash before any size")
        else:
            present.append(_hash(f"{GROWTH}:{number}", line))
    for size, proof in found.items():
        if not leads_to(size, head.size, head.root, proof):
            raise Tampered(f"{GROWTH}: the block of size {size} does not lead to the root of the checkpoint")
    return found


_DECIMAL = re.compile(rb"0|[1-9][0-9]{0,15}")


@dataclass(frozen=True, slots=True)
class _Facts:
    head: Checkpoint
    records: int
    redacted: int
    pruned: int
    signed_by: Sequence[str]
    notes: Sequence[str] = ()
    scope: str = ""

    def report(self, answer: Answer, reason: str) -> Report:
        return Report(
            answer,
            reason,
            origin=self.head.origin,
            size=self.head.size,
            root=base64.b64encode(self.head.root).decode(),
            records=self.records,
            redacted=self.redacted,
            pruned=self.pruned,
            signed_by=self.signed_by,
            notes=self.notes,
            scope=self.scope,
        )


def _complete(facts: _Facts, known: Sequence[Checkpoint], growths: Mapping[int, Sequence[bytes]]) -> Report:
    """Against what was made known outside. An export is one moment: a newer anchor says nothing of it."""
    head = facts.head
    _check_fork(known, head.origin)
    ours = [one for one in known if one.origin == head.origin]
    if not ours:
        why = "no anchor was given" if not known else f"the anchor is of another log ({known[-1].origin})"
        return facts.report(Answer.COMPLETENESS_NOT_PROVEN, f"integrity proven; {why}")
    newest = max(ours, key=lambda one: one.size)
    proven = [one for one in ours if one.size == head.size or one.size in growths]
    for one in proven:
        if not grew(one.size, one.root, head.size, head.root, growths.get(one.size, ())):
            raise Tampered(f"{GROWTH}: the {one.size} records that the anchor saw are not the beginning of this log")
    if newest not in proven:
        later = "; the anchor is newer than this export" if newest.size > head.size else ""
        reason = f"integrity proven; the bundle has no proof for the anchor of {newest.size} records{later}"
        return facts.report(Answer.COMPLETENESS_NOT_PROVEN, reason)
    return facts.report(Answer.VERIFIED, f"the log of {head.size} records begins with the {newest.size} of the anchor")


def _check_validity(signers: Sequence[VerifyingKey], at: datetime | None) -> None:
    for key in signers:
        if at is not None and not key.is_valid_at(at):
            raise Tampered(f"{CHECKPOINT}: signed by {key.name}, which was not the log's key at {at.isoformat()}")


# --- a database


def _database(path: Path, trusted: Sequence[VerifyingKey], known: Sequence[Checkpoint]) -> Report:
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
    text, signers = _opened("log_head", _as_bytes(note), trusted, unproven)
    head = _checkpoint("log_head", text)
    if (head.origin, head.size) != (origin, size):
        raise Tampered("log_head: the checkpoint is of another log or size")
    seen = _Seen(connection, head, pruned)
    seen.read()
    _check_validity(signers, seen.last_at)
    facts = _Facts(head, seen.records, seen.redacted, pruned, sorted({key.name for key in signers}), seen.notes)
    _check_fork(known, origin)
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
            if len(hashes) != TILE * _HASH:
                raise Tampered(f"log_tiles: tile {number} is missing or broken")
            yield from (hashes[at : at + _HASH] for at in range(0, len(hashes), _HASH))

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
        told, at, hashes = _record(f"records: {seq}", canonical)
        if told != seq:
            raise Tampered(f"records: {seq} says that it is {told}")
        try:
            fields = parse(_as_bytes(beside)) if beside is not None else {}
            self.redacted += len(hashes) - _check_fields(f"records: {seq}", hashes, fields)
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
                wrong = [n for n, leaf in enumerate(leaves) if leaf != _as_bytes(hashes)[n * _HASH : (n + 1) * _HASH]]
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


_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)", re.ASCII)


def _instant(text: str) -> datetime:
    found = _RFC3339.fullmatch(text)
    if found is None:
        raise ValueError(f"not RFC 3339 with a zone: {text}")
    whole, fraction, zone = found.groups()
    micros = (fraction or "")[:6].ljust(6, "0")
    return datetime.fromisoformat(f"{whole}.{micros}{'+00:00' if zone == 'Z' else zone}")
