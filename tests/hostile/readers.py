"""Readers of what others will read: PromQL, logfmt, HTML. They know the notations, and nothing of the code under test.

Each raises ValueError for what its notation does not have: then the value has broken what it stood in.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser

_PROMQL = re.compile(
    r"""(?P<space>\s+)
    |(?P<comment>\#[^\n]*)
    |(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)
    |(?P<word>[a-z_:][a-z0-9_:]*)
    |(?P<number>[0-9][0-9a-z.]*)
    |(?P<mark>=~|!~|==|!=|<=|>=|[-+*/%^=<>(){}\[\],@])""",
    re.VERBOSE | re.DOTALL | re.IGNORECASE | re.ASCII,
)
_GO_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|.)", re.DOTALL)
_GO_LETTERS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}
_RE2_SPECIAL = frozenset("\\.+*?()|[]{}^$")
_LOGFMT = re.compile(r'([^\s="\\]+)=(?:"((?:[^"\\]|\\["\\nrtux])*)"|([^\s"=]*))(?: |\Z)')
_HARMLESS_LINK = re.compile(r"https?://|#")


@dataclass(slots=True)
class Query:
    """An expression: its tokens, where `"` stands for any string, and its matchers as (name, operator, value)."""

    shape: list[str] = field(default_factory=list)
    matchers: list[tuple[str, str, str]] = field(default_factory=list)


def query_of(expression: str) -> Query:
    query, at = Query(), 0
    while at < len(expression):
        token = _PROMQL.match(expression, at)
        if token is None:
            raise ValueError(f"no token of PromQL at {at}: {expression[at : at + 40]!r}")
        at = token.end()
        if token.lastgroup == "string":
            if len(query.shape) >= 2 and query.shape[-1] in ("=", "!=", "=~", "!~"):
                query.matchers.append((query.shape[-2], query.shape[-1], string_of(token[0])))
            query.shape.append('"')
        elif token.lastgroup != "space":
            query.shape.append(token[0])
    return query


def string_of(literal: str) -> str:
    """The text of a string literal, as Go's `strconv.Unquote` has it: only the quote that ends it may be escaped."""
    quote, body = literal[0], literal[1:-1]

    def read(found: re.Match[str]) -> str:
        letter = found[1]
        if letter == quote or letter in _GO_LETTERS:
            return _GO_LETTERS.get(letter, letter)
        if len(letter) == 1:
            raise ValueError(f"no escape of Go: \\{letter!r}")
        return chr(int(letter, 8) if letter.isdecimal() and letter[0] in "01234567" else int(letter[1:], 16))

    return body if quote == "`" else _GO_ESCAPE.sub(read, body)


def text_of_regex(pattern: str) -> str:
    """The only text that the pattern matches, in RE2's syntax. Raises ValueError for one that says more."""
    text, is_escaped = [], False
    for char in pattern:
        if is_escaped and (not char.isascii() or char.isalnum()):
            raise ValueError(f"\\{char!r} is more than a character")
        if not is_escaped and char == "\\":
            is_escaped = True
            continue
        if not is_escaped and char in _RE2_SPECIAL:
            raise ValueError(f"{char!r} is more than a character")
        text.append(char)
        is_escaped = False
    if is_escaped:
        raise ValueError("it ends in the middle of an escape")
    return "".join(text)


def fields_of(line: str) -> dict[str, str]:
    """The fields of a line in logfmt."""
    fields: dict[str, str] = {}
    at = 0
    while at < len(line):
        pair = _LOGFMT.match(line, at)
        if pair is None or pair[1] in fields:
            raise ValueError(f"no field of logfmt at {at}: {line[at : at + 40]!r}")
        fields[pair[1]] = pair[3] or "" if pair[2] is None else re.sub(r"\\(.)", r"\1", pair[2])
        at = pair.end()
    return fields


def acting(text: str) -> str:
    """The characters of a text that do something, or cannot be seen, where it is shown; line feeds aside."""
    return "" if text.replace("\n", "").isprintable() else "".join(c for c in text if not c.isprintable() and c != "\n")


class Page(HTMLParser):
    """What a browser would make of a page. `attributes` are (element, name), `dangers` is what could run or load."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: Counter[str] = Counter()
        self.attributes: Counter[tuple[str, str]] = Counter()
        self.dangers: list[str] = []
        self.words: set[str] = set()
        self.acting = acting(text)
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        self.attributes.update((tag, name) for name, _ in attrs)
        if tag in ("script", "iframe", "object", "embed", "base", "form", "img", "link", "math"):
            self.dangers.append(f"<{tag}>")
        for name, value in attrs:
            if name.startswith("on") or name in ("style", "srcdoc", "formaction"):
                self.dangers.append(name)
            if name in ("href", "src", "xlink:href", "action") and not _HARMLESS_LINK.match(value or ""):
                self.dangers.append(f"{name}={value}")

    def handle_data(self, data: str) -> None:
        self.words.add(data)

    def handle_comment(self, data: str) -> None:
        self.elements["comment"] += 1

    def handle_decl(self, decl: str) -> None:
        self.elements["declaration"] += 1

    def handle_pi(self, data: str) -> None:
        self.elements["instruction"] += 1

    def unknown_decl(self, data: str) -> None:
        self.elements["unknown"] += 1
