"""Whether a bundle or a database tells the log as it was. Imports nothing of the running service.

`remediator audit verify` and the tests call it; `FORMAT.md` says what is checked, so that others can do it too. Four
answers: verified; tampered, with the place; completeness not proven, when no anchor says that nothing is missing at
the end; author not proven, when no key that is trusted signed it. Only the first two are about what was found: the
others say what could not be told with what was given.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from remediator.audit.bundle import BadBundle
from remediator.audit.findings import Answer, Report, Tampered, Unreadable
from remediator.audit.note import BadNote, Checkpoint, VerifyingKey, checkpoint, opened, verifying_key
from remediator.audit.reading import instant
from remediator.audit.strict import parse
from remediator.audit.verify_bundle import verify_bundle
from remediator.audit.verify_database import verify_database


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
            since, until = (None if word == "-" else instant(word) for word in [*words[1:], "-", "-"][:2])
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
                return _answered(lambda: verify_bundle(source, trusted, known))
            return _answered(lambda: verify_database(path, trusted, known))
    except OSError as error:
        raise Unreadable(f"{path}: {error.strerror}") from error


def verify_bytes(bundle: bytes, *, trusted: Sequence[VerifyingKey], anchored: Sequence[bytes]) -> Report:
    """As `verify`, for a bundle in memory."""
    known = _anchored(anchored, trusted)
    return _answered(lambda: verify_bundle(io.BytesIO(bundle), trusted, known))


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
