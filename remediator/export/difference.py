"""What a change was, as people read it: YAML, and a unified diff of before and after. Pure.

The YAML is written here: a library's emitter takes a hundred times as long, and an incident may have a hundred plans.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping

from remediator.model import Json

CONTEXT = 3

_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./@+=-]*(?:[: ][A-Za-z0-9_./@+={}-]+)*")
_NO_TEXT = re.compile(r"(?i)true|false|null|yes|no|on|off|y|n|nan|inf")
_FOREIGN = re.compile(r"[^ -~]")
_LITERAL = re.compile(r"[!-~](?:[ -~]*[!-~])?(?:\n+ *[!-~](?:[ -~]*[!-~])?)*")
"""Text that can stand as it is in a block: lines of printable ASCII without blanks at their ends."""


def as_yaml(value: Json) -> str:
    """Block YAML in ASCII, keys in their order; what is not ASCII is written by its number. Ends with a line break."""
    return "".join(f"{line}\n" for line in _lines(value))


def diff(before: Json, after: Json, *, name: str) -> tuple[str, ...]:
    """The lines of a unified diff of both as YAML; none where nothing differs. Both have their keys in order."""
    if before == after:
        return ()
    old, new = list(_lines(before)), list(_lines(after))
    found = difflib.unified_diff(old, new, f"before/{name}", f"after/{name}", lineterm="", n=CONTEXT)
    return tuple(found)


def _lines(value: Json) -> Iterator[str]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _entry(f"{_scalar(key)}:", item, "  ")
    elif isinstance(value, list | tuple) and value:
        for item in value:
            yield from _item(item)
    else:
        yield _scalar(value)


def _entry(head: str, value: Json, indent: str) -> Iterator[str]:
    if isinstance(value, Mapping | list | tuple) and value:
        yield head
        yield from (f"{indent}{line}" for line in _lines(value))
    elif isinstance(value, str) and "\n" in value and _LITERAL.fullmatch(value.removesuffix("\n")):
        yield f"{head} {'|' if value.endswith(chr(10)) else '|-'}"
        yield from (f"{indent}{line}" if line else "" for line in value.removesuffix("\n").split("\n"))
    else:
        yield f"{head} {_scalar(value)}"


def _item(value: Json) -> Iterator[str]:
    """An element of a list: its first line after the dash, the others under it."""
    if not isinstance(value, Mapping | list | tuple) or not value:
        yield from _entry("-", value, "  ")
        return
    for number, line in enumerate(_lines(value)):
        yield f"{'  ' if number and line else '' if not line else '- '}{line}"


def _scalar(value: Json) -> str:
    if isinstance(value, str):
        is_plain = _PLAIN.fullmatch(value) and not _NO_TEXT.fullmatch(value)
        return value if is_plain else _FOREIGN.sub(_by_number, json.dumps(value, ensure_ascii=False))
    text = json.dumps(value)
    # YAML 1.1, which PyYAML reads, has no number like 1e+16 without a point.
    return text.replace("e", ".0e") if isinstance(value, float) and "e" in text and "." not in text else text


def _by_number(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
