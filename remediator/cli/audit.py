"""`remediator audit ...`: make a key, verify a bundle or a database offline, and look at a running service's log.

Called by the command line's wiring. Exit codes of `verify`: 0 verified, 1 tampered, 2 misuse, 3 completeness not
proven, 4 author not proven. The verifier is imported only by the command that needs it.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from remediator.cli.reading import FAILED, GOOD, MISUSED, ask_text, clean, print_answer, to_seconds, who


def verify(path: Path, output: str, *, keys: Path | None, anchor: Path | None) -> int:
    """Verify a bundle or an SQLite file. Nothing of a running service is needed."""
    from remediator.audit.findings import EXIT_CODES, Unreadable
    from remediator.audit.verify import anchors, trusted_keys
    from remediator.audit.verify import verify as run

    place = path
    try:
        trusted: Sequence[Any] = ()
        anchored: Sequence[bytes] = ()
        if keys is not None:
            place = keys
            trusted = trusted_keys(keys.read_text(encoding="utf-8"))
        if anchor is not None:
            place = anchor
            anchored = anchors(anchor.read_text(encoding="utf-8"))
            if not anchored:
                raise Unreadable("no checkpoint in it")
        report = run(path, trusted=trusted, anchored=anchored)
    except (OSError, UnicodeDecodeError) as error:
        print(f"error: {place}: {getattr(error, 'strerror', None) or 'not text'}", file=sys.stderr)
        return MISUSED
    except Unreadable as error:
        text = clean(str(error))
        print(f"error: {text}" if str(place) in text else f"error: {place}: {text}", file=sys.stderr)
        return MISUSED
    if output == "json":
        print(json.dumps(asdict(report), indent=2))
    else:
        print(f"{report.answer.value.upper()}: {clean(report.reason)}")
        for name, value in _facts(report):
            print(f"  {name:<9} {value}")
    return EXIT_CODES[report.answer]


def _facts(report: Any) -> Iterator[tuple[str, str]]:
    if report.origin:
        yield "log", clean(report.origin)
        if report.scope:
            yield "asked for", clean(report.scope)
        yield "size", f"{report.size} records, root {report.root}"
        given_up = f", {report.pruned} given up by retention" if report.pruned else ""
        yield "checked", f"{report.records} records, {report.redacted} values taken back{given_up}"
        yield "signed by", ", ".join(map(clean, report.signed_by)) or "nobody who is trusted"
    for note in report.notes:
        yield "note", clean(note)


def keygen(path: Path, output: str, *, name: str) -> int:
    """Write a new private key to a file that must not exist; print the line that verifiers trust."""
    from remediator.audit.note import BadNote, new_key, signing_key

    try:
        pem = new_key()
        line = str(signing_key(name, pem).verifying)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except BadNote as error:
        print(f"error: --name {clean(name)}: {error}", file=sys.stderr)
        return MISUSED
    except OSError as error:
        print(f"error: {path}: {error.strerror}", file=sys.stderr)
        return FAILED
    with os.fdopen(handle, "wb") as file:
        file.write(pem)
    print(json.dumps({"file": str(path), "key": line}) if output == "json" else line)
    return GOOD


def status(url: str | None, output: str) -> int:
    """Print how the log of a running service stands, and why nothing may be done on the strength of it."""
    return print_answer(url, "/api/v1/audit", output, _status)


def checkpoint(url: str | None, output: str) -> int:
    """Print the head as a signed note, to be kept somewhere else."""
    return _print_text(url, "/api/v1/audit/checkpoint", output, name="note")


def proof(url: str | None, seq: int, output: str) -> int:
    """Print the proof that a record is in the log (C2SP tlog-proof)."""
    return _print_text(url, f"/api/v1/audit/records/{seq}/proof", output, name="proof")


def confirm(
    url: str | None, output: str, *, comment: str, by: str | None, token_file: str | None, root: str | None
) -> int:
    """Say that the log is the one it should be. `root` None: the one of the start, which is printed first."""
    found: dict[str, Any] = {}

    def looked(answer: Mapping[str, Any]) -> Iterator[str]:
        found.update(answer)
        yield from _status(answer) if output == "simple" else ()

    if code := print_answer(url, "/api/v1/audit", "simple", looked):
        return code
    at_start = found["at_start"]
    body = {"size": at_start["size"], "root": root or at_start["root"], "comment": comment, "by": by or who()}
    return print_answer(url, "/api/v1/audit/confirm", output, _done, post=body, token_file=token_file)


def redact(
    url: str | None,
    output: str,
    *,
    seq: int,
    fields: list[str],
    comment: str,
    by: str | None,
    token_file: str | None,
) -> int:
    """Take back the free content of fields of a record; the proofs stay valid."""
    body = {"seq": seq, "fields": fields, "comment": comment, "by": by or who()}
    return print_answer(url, "/api/v1/audit/redact", output, _done, post=body, token_file=token_file)


def _print_text(url: str | None, path: str, output: str, *, name: str) -> int:
    """As it is: the text is in a format of its own, to which a byte more would be another text."""
    text, code = ask_text(url, urllib.parse.quote(path))
    sys.stdout.write(json.dumps({name: text}, indent=2) + "\n" if output == "json" and not code else text)
    return code


def _done(found: Mapping[str, Any]) -> Iterator[str]:
    yield clean(found["done"])


def _status(found: Mapping[str, Any]) -> Iterator[str]:
    head, start = found["head"], found["at_start"]
    yield f"log       {clean(head['origin'])}"
    yield f"size      {head['size']} records, root {head['root']}, grown {to_seconds(found['last_write_at'])}"
    yield f"at start  {start['size']} records, root {start['root']}"
    yield f"signed    {'yes' if found['signed'] else 'no'}"
    yield f"anchors   {', '.join(map(clean, found['anchors'])) or 'none'}"
    if found["reason"]:
        yield f"nothing is done to the cluster: {clean(found['detail'])} [{found['reason']}]"
        if found["needs_epoch"]:
            yield "confirming begins a new log over the records that there are"
