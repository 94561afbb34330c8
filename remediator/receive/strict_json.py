"""JSON as an untrusted sender may write it: what a lenient parser lets through is refused, with its place.

The first half of step 1; `payload.py` calls it with the bytes of a request.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from json.decoder import JSONArray, JSONObject, scanstring  # type: ignore[attr-defined]  # what the standard decoder is made of
from json.scanner import py_make_scanner  # type: ignore[attr-defined]
from typing import Any

from remediator.model import Json
from remediator.receive.base import BadBody

MAX_DEPTH = 16
INT64 = range(-(2**63), 2**63)
MANY_TOKENS = 50_000
"""From here on the standard library's decoder, which lets no other thread run meanwhile, takes too long at a time."""
FREE_VALUES = 16_384
BYTES_PER_VALUE = 16
"""Values that a body with many tokens may have in all: those, and one more for that many of its bytes; an object or a
list counts twice. Alertmanager writes one in 25 to 60 bytes; what has more is made to take time and memory."""


def parse(body: bytes) -> Json:
    """The value of a JSON text in UTF-8.

    Raises BadBody for what RFC 8259 forbids or leaves open: another encoding, a byte order mark, NaN and Infinity, a
    key that occurs twice, integers beyond 64 bits, floats beyond a double, nesting deeper than `MAX_DEPTH`; and for
    more values than a body of its size has use for.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadBody(f"byte {error.start}", "not UTF-8") from error
    containers = body.count(b"{") + body.count(b"[")
    decoder = _DECODER if containers + body.count(b",") < MANY_TOKENS else _Patient(len(body))
    try:
        value = decoder.decode(text)
    except json.JSONDecodeError as error:
        raise BadBody(f"line {error.lineno} column {error.colno}", f"not JSON: {error.msg}") from error
    except RecursionError as error:
        raise BadBody("$", f"nested deeper than {MAX_DEPTH}") from error
    # A body with that few brackets in all cannot nest deeper: spares the walk for most single alerts.
    if containers > MAX_DEPTH and _is_deeper(value, MAX_DEPTH):
        raise BadBody("$", f"nested deeper than {MAX_DEPTH}")
    return value


def poison(value: Json, place: str) -> tuple[str, str] | None:
    """The place and the problem of the first string that no database can keep: with NUL or half a surrogate pair."""
    for where, text in _strings(value, place):
        if "\x00" in text:
            return where, "holds the character NUL"
        if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
            return where, "holds half a surrogate pair"
    return None


def may_hold_poison(body: bytes) -> bool:
    """Whether `poison` is worth a walk: both kinds can only be written as escapes."""
    return b"\\u" in body and (b"\\u0000" in body or b"\\ud" in body or b"\\uD" in body)


def _object(pairs: Sequence[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise BadBody(json.dumps(name), "key given twice in one object")
            seen.add(name)
    return found


def _integer(digits: str) -> int:
    if len(digits) > 20 or int(digits) not in INT64:
        raise BadBody(digits[:24], "integer beyond 64 bits")
    return int(digits)


def _number(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise BadBody(digits[:24], "number beyond a double")
    return number


def _constant(name: str) -> Json:
    raise BadBody(name, "not a JSON value")


def _is_deeper(value: Json, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        below: list[Json] = []
        for item in level:
            if type(item) is dict:
                below += [inner for inner in item.values() if type(inner) is dict or type(inner) is list]
            elif type(item) is list:
                below += [inner for inner in item if type(inner) is dict or type(inner) is list]
        if not below:
            return False
        level = below
    return True


def _strings(value: Json, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield f"{place} key", name
            yield from _strings(item, f"{place}.{name}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _strings(item, f"{place}[{index}]")


class _Strict(json.JSONDecoder):
    def __init__(self) -> None:
        super().__init__(
            object_pairs_hook=_object, parse_int=_integer, parse_float=_number, parse_constant=_constant
        )


class _Patient(_Strict):
    """The same in Python: other threads run meanwhile, and what is too much is refused before it is there."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._left = FREE_VALUES + size // BYTES_PER_VALUE
        self.parse_array = self._counted(JSONArray, 2)
        self.parse_object = self._counted(JSONObject, 2)
        self.parse_string = self._counted(scanstring, 1)
        self.parse_int = self._counted(_integer, 1)
        self.parse_float = self._counted(_number, 1)
        self.scan_once = py_make_scanner(self)

    def _counted(self, parse: Callable[..., Any], cost: int) -> Callable[..., Any]:
        def counted(*arguments: Any) -> Any:
            self._left -= cost
            if self._left < 0:
                raise BadBody("$", "more values than a body of this size can have use for")
            return parse(*arguments)

        return counted


_DECODER = _Strict()
