"""What of a record can be taken back without breaking it: free text and content stand in it as salted commitments.

A record's leaf keeps names, enumerations, numbers and hashes; what people, logs and manifests wrote stands beside it,
each value with a salt of 128 bits, and the leaf holds SHA-256(salt || value). Without the salt a short value cannot be
guessed from its hash; with salt and value anyone can check it; without both nothing is left of it, and the tree still
holds. Pure; the store keeps what `committed` gives, the verifier checks it, the readers put it together again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from hashlib import sha256
from threading import Lock
from typing import Any

from remediator.audit.record import canonical_json, quoted

COMMITTED = "committed"
"""The member of a body that holds the commitments: field -> SHA-256 in hex."""

FREE = frozenset(
    {
        "advice",
        "after",
        "annotations",
        "approver",
        "before",
        "by",
        "comment",
        "detail",
        "diagnosis",
        "element",
        "evidence",
        "generator_url",
        "plan",
        "problem",
        "proof",
        "request",
        "requests",
        "rule_text",
        "verdicts",
    }
)
"""The fields whose content is free: written by people, programs or logs."""

SALT_BYTES = 16

Disclosures = Mapping[str, tuple[bytes, bytes]]
"""Field -> (salt, canonical JSON of the value)."""


def commitment(salt: bytes, value: bytes) -> str:
    return sha256(salt + value).hexdigest()


def sealed(body: Mapping[str, Any]) -> tuple[bytes, bytes | None]:
    """The canonical body with commitments in place of what is free, and what the store keeps beside it, if anything.

    Raises ValueError for what JSON cannot hold.
    """
    values = {name: canonical_json(body[name]) for name in body if name in FREE}
    if not values:
        return canonical_json(body), None
    hashes, beside = hidden(values)
    clear = {name: item for name, item in body.items() if name not in FREE}
    return canonical_json({**clear, COMMITTED: hashes}), beside


def hidden(values: Mapping[str, bytes]) -> tuple[Mapping[str, str], bytes]:
    """The commitments to these canonical values, and what is kept beside the record: JSON of field -> [salt in hex,
    canonical text of the value]. Values are texts, so that what was hashed is never serialised again."""
    salts = _chance.take(SALT_BYTES * len(values))
    kept: list[str] = []
    hashes: dict[str, str] = {}
    for number, (name, value) in enumerate(values.items()):
        salt = salts[number * SALT_BYTES : (number + 1) * SALT_BYTES]
        hashes[name] = commitment(salt, value)
        kept.append(f'"{name}":["{salt.hex()}",{quoted(value.decode())}]')
    return hashes, f"{{{','.join(kept)}}}".encode()


class Chance:
    """The system's randomness, fetched for thousands of salts at once. To ask it for each alert of a large body would
    let go of the interpreter's lock for a microsecond again and again, which no other thread is quick enough to take:
    the event loop, whose turn is counted anew each time, stood for a quarter of a second."""

    AT_ONCE = 65_536

    def __init__(self) -> None:
        self._forget()
        os.register_at_fork(after_in_child=self._forget)  # else parent and child would give the same salts

    def _forget(self) -> None:
        self._lock, self._left, self._used = Lock(), b"", 0

    def take(self, count: int) -> bytes:
        with self._lock:
            if self._used + count > len(self._left):
                self._left, self._used = os.urandom(max(count, self.AT_ONCE)), 0
            begin, self._used = self._used, self._used + count
            return self._left[begin : self._used]


_chance = Chance()


def disclosures(beside: bytes | None) -> Disclosures:
    """What is kept beside a record, by field. Raises ValueError."""
    if beside is None:
        return {}
    return {name: (bytes.fromhex(salt), text.encode("utf-8")) for name, (salt, text) in json.loads(beside).items()}


def put_together(body: Mapping[str, Any], beside: bytes | None) -> dict[str, Any]:
    """The body as it was written, as far as it has not been taken back."""
    known = {} if beside is None else {name: json.loads(text) for name, (_, text) in json.loads(beside).items()}
    return {**{name: item for name, item in body.items() if name != COMMITTED}, **known}


def without(beside: bytes | None, fields: Iterable[str]) -> bytes:
    """What is kept beside a record after these fields have been taken back."""
    kept = {} if beside is None else json.loads(beside)
    gone = set(fields)
    return canonical_json({name: item for name, item in kept.items() if name not in gone})
