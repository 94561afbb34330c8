"""The bytes of one audit record: canonical JSON, written once and never serialised again.

`store/` calls it when a record is committed; whoever hashes, exports or verifies uses the stored bytes. Pure, and
without imports from the rest of the package, since the offline verifier reads the same format.

Canonical means: keys sorted by code point, no spaces, UTF-8 without escapes beyond those JSON requires, no NaN or
infinity, string keys only. An entry has exactly the keys `at`, `body`, `incident`, `kind`, `remediation`, `seq`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_json(value: Any) -> bytes:
    """The one way to write a JSON value as bytes.

    Takes mappings, lists, tuples, strings, numbers, booleans and None. Raises ValueError for NaN, infinity, text that
    is not Unicode (lone surrogates), keys that are not strings, and anything else that JSON does not have.
    """
    try:
        return _ENCODER.encode(_plain(value)).encode("utf-8")
    except RecursionError as error:
        raise ValueError("not a JSON value: nested too deeply") from error


quoted = json.encoder.encode_basestring
"""A text as canonical JSON writes it."""


def canonical_texts(texts: Mapping[str, str]) -> str:
    """`canonical_json` of an object whose members are all texts, as text: labels and annotations, on the hot path.

    An encoder costs more to set up than such an object costs to write. What is not Unicode shows when it is encoded.
    """
    members = [f"{quoted(name)}:{quoted(texts[name])}" for name in sorted(texts)]
    return f"{{{','.join(members)}}}"


def canonical_object(names: Sequence[str], encoded: Sequence[str]) -> bytes:
    """`canonical_json` of an object of these member names, plain and ascending, whose values are canonical already.

    Raises ValueError for text that is not Unicode.
    """
    members = [f'"{name}":{text}' for name, text in zip(names, encoded, strict=True)]
    return f"{{{','.join(members)}}}".encode()


def encode_entry(
    *, seq: int, at: datetime, kind: str, remediation: int | None, incident: int | None, body: bytes
) -> bytes:
    """The canonical bytes of a whole entry; `body` is already canonical (`canonical_json`), `at` is kept in UTC."""
    names = [("null" if number is None else str(number)) for number in (incident, remediation)]
    tail = f'"incident":{names[0]},"kind":{quoted(kind)},"remediation":{names[1]},"seq":{seq}}}'
    return b'{"at":"%b","body":%b,%b' % (_written(at.astimezone(UTC)), body, tail.encode("utf-8"))


@lru_cache(maxsize=16)
def _written(at: datetime) -> bytes:
    """A time in UTC: one for all records of a batch, or nearly."""
    return at.isoformat().replace("+00:00", "Z").encode("ascii")


def decode_body(canonical: bytes) -> Mapping[str, Any]:
    """The body inside the stored bytes of an entry."""
    body: Mapping[str, Any] = json.loads(canonical)["body"]
    return body


def _plain(value: Any) -> Any:
    """The same value in dicts and lists, which is all that `json` writes; refuses keys that it would silently turn."""
    if isinstance(value, str | int | float) or value is None:
        return value
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise ValueError(f"not a JSON value: key {key!r} is not a string")
        return {key: item if type(item) is str else _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    raise ValueError(f"not a JSON value: {type(value).__name__}")
