"""Whether a bundle tells the log as it was. Called by `verify.py`."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import BinaryIO

from remediator.audit.bundle import FIRST_LINE, MANIFEST, Member, content, manifest_text, read_members
from remediator.audit.findings import Answer, Facts, Report, Tampered
from remediator.audit.note import Checkpoint, VerifyingKey, unproven_text
from remediator.audit.reading import (
    HASH_BYTES,
    check_fields,
    check_fork,
    check_validity,
    is_count,
    opened_note,
    read_checkpoint,
    read_line,
    read_record,
)
from remediator.audit.tree import BadProof, grew, leads_to, leaf_hash, root_with

CHECKPOINT, RECORDS, DISCLOSURES, PROOF, GROWTH = "checkpoint", "records.jsonl", "disclosures.jsonl", "proof", "growth"


def verify_bundle(source: BinaryIO, trusted: Sequence[VerifyingKey], known: Sequence[Checkpoint]) -> Report:
    members = read_members(source)
    read = {name: content(source, member) for name, member in members.items() if name in (MANIFEST, CHECKPOINT)}
    for name in (MANIFEST, CHECKPOINT, RECORDS, DISCLOSURES, PROOF, GROWTH):
        if name not in members:
            raise Tampered(f"{name} is missing")
    if list(members)[-1] != MANIFEST:
        raise Tampered(f"{MANIFEST} is not the last file")
    unproven: list[str] = []
    signers = _check_manifest(read[MANIFEST], members, trusted, unproven)
    head_text, head_signers = opened_note(CHECKPOINT, read[CHECKPOINT], trusted, unproven)
    head = read_checkpoint(CHECKPOINT, head_text)
    lines = _lines(RECORDS, content(source, members[RECORDS]))
    leaves, committed, last_at = _read_records(lines, head.size)
    _check_root(head, leaves, _hashes(PROOF, content(source, members[PROOF])))
    redacted = _check_disclosures(_lines(DISCLOSURES, content(source, members[DISCLOSURES])), committed)
    origin, scope = unproven_text(read[MANIFEST]).decode().split("\n")[1:3]
    if origin != head.origin:
        raise Tampered(f"{MANIFEST}: of the log {origin}, but the checkpoint is of {head.origin}")
    check_validity([*signers, *head_signers], last_at)
    facts = Facts(head, len(lines), redacted, 0, sorted({key.name for key in head_signers}), scope=scope)
    complete = _complete(facts, known, _growths(content(source, members[GROWTH]), head))
    return facts.report(Answer.AUTHOR_NOT_PROVEN, "; ".join(unproven)) if unproven else complete


def _check_manifest(
    note: bytes, members: Mapping[str, Member], trusted: Sequence[VerifyingKey], unproven: list[str]
) -> Sequence[VerifyingKey]:
    text, signers = opened_note(MANIFEST, note, trusted, unproven)
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
        seq, at, hashes = read_record(f"{RECORDS}:{number}", line)
        if not last < seq <= size:
            raise Tampered(f"{RECORDS}:{number}: record {seq} behind record {last}, in a log of {size}")
        last, last_at = seq, max(at, last_at or at)
        leaves[seq - 1] = leaf_hash(line)
        committed[seq] = hashes
    return leaves, committed, last_at


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
            value = read_line(line)
            seq, fields = value["seq"], value["fields"]
            if not is_count(seq) or seq <= last or set(value) != {"seq", "fields"} or not fields:
                raise Tampered(f"{place}: out of order, or not a disclosure")
            last = seq
            disclosed += check_fields(place, committed.get(seq, {}), fields)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise Tampered(f"{place}: not a disclosure") from error
    return sum(map(len, committed.values())) - disclosed


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
    if len(value) != HASH_BYTES or base64.b64encode(value) != line:
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


def _complete(facts: Facts, known: Sequence[Checkpoint], growths: Mapping[int, Sequence[bytes]]) -> Report:
    """Against what was made known outside. An export is one moment: a newer anchor says nothing of it."""
    head = facts.head
    check_fork(known, head.origin)
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
