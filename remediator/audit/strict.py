"""JSON as the format page allows it: what two readers could take for two things is refused. Pure.

The offline verifier reads every line with it. The service writes canonical JSON, which all of this holds for anyway.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

MAX_DEPTH = 100


def parse(line: bytes) -> Any:
    """The value of one line, or of one disclosed text.

    Raises ValueError for what is not UTF-8, a key given twice, NaN and infinities, half a surrogate pair, more than
    `MAX_DEPTH` objects and lists inside the outermost one, and anything before or behind the value but blanks.
    """
    text = line.decode("utf-8")
    value = _DECODER.decode(text)
    if "\\u" in text:
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # half a pair has no UTF-8: UnicodeEncodeError
    if text.count("{") + text.count("[") > MAX_DEPTH and _is_deeper(value):
        raise ValueError(f"nested deeper than {MAX_DEPTH}")
    return value


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is given twice")
    return found


def _refused(name: str) -> Any:
    raise ValueError(f"{name} is no value")


def _is_deeper(value: Any) -> bool:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(MAX_DEPTH + 1):
        inner = [item.values() if isinstance(item, dict) else item for item in level]
        level = [one for items in inner for one in items if isinstance(one, dict | list)]
        if not level:
            return False
    return True


_DECODER = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_refused)
