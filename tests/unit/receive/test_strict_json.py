"""What a lenient JSON parser would let through."""

from __future__ import annotations

import json

import pytest

from remediator.receive.base import BadBody
from remediator.receive.strict_json import MAX_DEPTH, may_hold_poison, parse, poison


@pytest.mark.parametrize(
    ("body", "place", "problem"),
    [
        (b"", "line 1 column 1", "not JSON"),
        (b'{"a": 1} x', "line 1 column 10", "not JSON"),
        (b'{\n  "a": tru\n}', "line 2 column 8", "not JSON"),
        (b'{"a": "x\ny"}', "line 1 column 9", "not JSON"),
        (b'{"a": "\xff"}', "byte 7", "not UTF-8"),
        (b"\xef\xbb\xbf{}", "line 1 column 1", "not JSON"),
        ('{"a": 1}'.encode("utf-16"), "byte 0", "not UTF-8"),
        (b'{"a": NaN}', "NaN", "not a JSON value"),
        (b'{"a": -Infinity}', "-Infinity", "not a JSON value"),
        (b'{"a": 1e999}', "1e999", "beyond a double"),
        (b'{"a": 9223372036854775808}', "9223372036854775808", "beyond 64 bits"),
        (b'{"a": -9223372036854775809}', "-9223372036854775809", "beyond 64 bits"),
        (b'{"a": ' + b"9" * 5000 + b"}", "999999", "beyond 64 bits"),
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', '"c"', "given twice"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_refuses_with_the_place(body: bytes, place: str, problem: str) -> None:
    with pytest.raises(BadBody) as caught:
        parse(body)
    assert caught.value.place.startswith(place)
    assert problem in caught.value.problem


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": 9223372036854775807, "b": -9223372036854775808}',
        b'{"a" : "x\\u0041" , "b":[ ]}\n',
        '{"é": "\\ud83d\\ude00 漢"}'.encode(),
        b'{"a": {"b": 1}, "c": {"b": 1}}',
    ],
)
def test_reads_what_is_right_as_the_standard_library_does(body: bytes) -> None:
    assert parse(body) == json.loads(body)


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_allows_the_greatest_depth_and_no_more(opening: bytes, closing: bytes) -> None:
    def nested(depth: int) -> bytes:
        return opening * depth + b"1" + closing * depth

    parse(nested(MAX_DEPTH))
    for depth in (MAX_DEPTH + 1, 100_000):
        with pytest.raises(BadBody, match="nested deeper than 16"):
            parse(nested(depth))


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b'{"a": ["x", "\\u0000"]}', ("$.a[1]", "holds the character NUL")),
        (b'{"a": "\\ud800"}', ("$.a", "holds half a surrogate pair")),
        (b'{"a": "\\uDC00x"}', ("$.a", "holds half a surrogate pair")),
        (b'{"\\u0000": 1}', ("$ key", "holds the character NUL")),
        (b'{"a": "\\ud83d\\ude00"}', None),
        (b'{"a": "\\\\u0000"}', None),
    ],
)
def test_finds_text_that_no_database_keeps(body: bytes, found: tuple[str, str] | None) -> None:
    assert poison(parse(body), "$") == found


def test_looks_for_poison_only_where_it_can_be() -> None:
    assert not may_hold_poison('{"a": "\\u003cb\\u003e é"}'.encode())
    assert may_hold_poison(b'{"a": "\\u0000"}')
    assert may_hold_poison(b'{"a": "\\uD800"}')
