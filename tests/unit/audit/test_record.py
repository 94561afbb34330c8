"""The bytes of an audit record."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.audit.record import canonical_json, decode_body, encode_entry

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"b": 1, "a": [True, None, 1.5]}, b'{"a":[true,null,1.5],"b":1}'),
        ({"ü": "\n\u2028"}, '{"ü":"\\n\u2028"}'.encode()),
        (MappingProxyType({"a": ("x", "y")}), b'{"a":["x","y"]}'),
        ({}, b"{}"),
    ],
)
def test_writes_a_value_in_one_way(value: object, expected: bytes) -> None:
    assert canonical_json(value) == expected


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), {1: "a"}, {"a": {None: 1}}, "\ud800", AT, {"a": {1, 2}}, b"bytes"]
)
def test_refuses_what_json_cannot_hold(value: object) -> None:
    with pytest.raises(ValueError, match=r"JSON|surrogates"):
        canonical_json(value)


def test_refuses_a_value_that_is_nested_too_deeply() -> None:
    value: object = None
    for _ in range(100_000):
        value = [value]
    with pytest.raises(ValueError, match="nested"):
        canonical_json(value)


@given(json_values)
def test_a_value_that_is_read_back_is_written_with_the_same_bytes(value: object) -> None:
    assert canonical_json(json.loads(canonical_json(value))) == canonical_json(value)


@given(st.dictionaries(st.text(), json_values), st.text(), st.none() | st.integers(1), st.integers(1))
def test_an_entry_is_the_canonical_form_of_its_parts(
    body: dict[str, object], kind: str, remediation: int | None, seq: int
) -> None:
    entry = encode_entry(seq=seq, at=AT, kind=kind, remediation=remediation, incident=None, body=canonical_json(body))
    whole = {
        "at": "2026-11-23T12:00:00Z",
        "body": body,
        "incident": None,
        "kind": kind,
        "remediation": remediation,
        "seq": seq,
    }
    assert entry == canonical_json(whole)
    assert decode_body(entry) == body


def test_an_entry_is_dated_in_utc() -> None:
    at = AT.astimezone(timezone(timedelta(hours=5)))
    entry = encode_entry(seq=1, at=at, kind="x", remediation=None, incident=None, body=b"{}")
    assert json.loads(entry)["at"] == "2026-11-23T12:00:00Z"
