"""Alertmanager's matchers: `alertname=~"Kube.*"`. Parsed when rules are loaded, asked for each alert by `match.py`.

Both syntaxes that Alertmanager reads, combined as it combines them by default: where both parsers accept a text and
disagree, and where only the classic one accepts it, the classic result holds. An expression is anchored at both ends;
a missing label is the empty string.
Source: prometheus/alertmanager `matcher/compat/parse.go`, `matcher/parse/`, `pkg/labels/{parse,matcher}.go`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

from remediator.rules.automaton import Pattern, compile_pattern
from remediator.rules.quoting import is_space, quote, unquote

RESERVED = "{}!=~,\\\"'`"
_CLASSIC_SPACE = "\t\n\f\r "
_CLASSIC = re.compile(r"[\t\n\f\r ]*([a-zA-Z_:][a-zA-Z0-9_:]*)[\t\n\f\r ]*(=~|=|!=|!~)")


class BadExpression(ValueError):
    """The matcher is well formed, its regular expression is not."""


class Op(StrEnum):
    EQUAL = "="
    NOT_EQUAL = "!="
    REGEX = "=~"
    NOT_REGEX = "!~"


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on one label. Make it with `parse_matchers` or `matcher`, which compile the expression."""

    name: str
    op: Op
    value: str
    pattern: Pattern | None = field(default=None, compare=False, repr=False)
    _is_wanted: bool = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if (self.pattern is None) is not (self.op in (Op.EQUAL, Op.NOT_EQUAL)):
            raise ValueError(f"{self.op} with{'out' if self.pattern is None else ''} a compiled expression")
        object.__setattr__(self, "_is_wanted", self.op in (Op.EQUAL, Op.REGEX))

    def matches(self, labels: Mapping[str, str]) -> bool:
        return self.matches_value(labels.get(self.name, ""))

    def matches_value(self, value: str) -> bool:
        holds = value == self.value if self.pattern is None else self.pattern.matches(value)
        return holds is self._is_wanted

    def accepted(self) -> frozenset[str] | None:
        """The only values it lets through, where that is a short list (`=`, `=~"a|b"`); None: not a short list."""
        if self.op is Op.EQUAL:
            return frozenset({self.value})
        return self.pattern.literals if self.op is Op.REGEX and self.pattern is not None else None

    def __str__(self) -> str:
        return _written(self.name, self.op, self.value)


@lru_cache(maxsize=1024)
def _written(name: str, op: Op, value: str) -> str:
    if any(is_reserved(char) for char in name):
        return f"{quote(name)}{op}{quote(value)}"
    escaped = value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return f'{name}{op}"{escaped}"'


@lru_cache(maxsize=8192)
def matcher(name: str, op: Op, value: str) -> Matcher:
    """A matcher with its expression compiled: one for all rules that say the same. Raises ValueError for an empty name,
    BadExpression."""
    if not name:
        raise ValueError("empty label name")
    if op in (Op.EQUAL, Op.NOT_EQUAL):
        return Matcher(name, op, value)
    try:
        return Matcher(name, op, value, compile_pattern(value))
    except ValueError as error:
        raise BadExpression(f"bad regular expression {quote(value)}: {error}") from error


def is_reserved(char: str) -> bool:
    return is_space(char) or char in RESERVED


def parse_matchers(text: str) -> tuple[Matcher, ...]:
    """Zero or more matchers, with or without braces, as one entry of Alertmanager's `matchers:`. Raises ValueError."""
    modern, classic = _attempt(_utf8, text), _attempt(_classic, text)
    if isinstance(classic, BadExpression):
        # Upstream may know it (a word boundary): never fall to the other reading, which means something else.
        raise classic
    if isinstance(classic, ValueError):
        if isinstance(modern, ValueError):
            # As upstream: the classic parser's complaint, unless the other got further.
            raise modern if isinstance(modern, BadExpression) or _has_quoted_name(text) else classic
        return modern
    return classic


def _attempt(parse: Callable[[str], list[_Raw]], text: str) -> tuple[Matcher, ...] | ValueError:
    try:
        return tuple(matcher(name, op, value) for name, op, value in parse(text))
    except ValueError as error:
        return error


_Raw = tuple[str, Op, str]


def _has_quoted_name(text: str) -> bool:
    return text.lstrip(" {").startswith('"') and text.count('"') > 2


def _classic(text: str) -> list[_Raw]:
    """`pkg/labels/parse.go` `ParseMatchers`: split at commas outside quotes, then each part leniently."""
    body = text.removeprefix("{").removesuffix("}")
    parts, part, is_quoted, is_escaped = [], "", False, False
    for char in body:
        if char == "," and not is_quoted:
            parts.append(part)
            part = ""
            continue
        if char == '"' and not is_escaped:
            is_quoted = not is_quoted
        if char != ",":  # upstream forgets to end an escape at a comma
            is_escaped = char == "\\" and not is_escaped
        part += char
    while part and is_space(part[0]):
        part = part[1:]
    while part and is_space(part[-1]):
        part = part[:-1]
    if part:
        parts.append(part)
    return [_classic_one(part) for part in parts]


def _classic_one(text: str) -> _Raw:
    found = _CLASSIC.match(text)
    if found is None:
        raise ValueError(f'bad matcher format: {text!r}; write label="value" with one of = != =~ !~')
    raw = text[found.end() :].strip(_CLASSIC_SPACE)
    rest = raw.removeprefix('"')
    expects_quote = raw.startswith('"')
    value, is_escaped = [], False
    for at, char in enumerate(rest):
        is_last = at == len(rest) - 1
        if is_escaped:
            is_escaped = False
            value.append({"n": "\n", '"': '"', "\\": "\\"}.get(char, "\\" + char))
        elif char == "\\" and not is_last:
            is_escaped = True
        elif char == '"':
            if not expects_quote or not is_last:
                raise ValueError(f"unescaped double quote in the value: {raw}")
            expects_quote = False
        else:
            value.append(char)
    if expects_quote:
        raise ValueError(f"missing closing quote: {raw}")
    return found[1], Op(found[2]), "".join(value)


class _Tokens:
    """`matcher/parse/lexer.go`: braces, commas, operators, quoted and unquoted text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def next(self) -> str:
        """The next token, `""` at the end. Quoted text keeps its quotes."""
        text = self.text
        while self.at < len(text) and is_space(text[self.at]):
            self.at += 1
        start = self.at
        if start == len(text):
            return ""
        char = text[start]
        if char in "{},":
            self.at += 1
        elif char in "=!":
            self.at += 2 if text[start : start + 2] in ("=~", "!=", "!~") else 1
            if text[start : self.at] == "!":
                raise ValueError("expected != or !~ after '!'")
        elif char == '"':
            self.at = self.end_of_quoted(start)
        elif is_reserved(char):
            raise ValueError(f"unexpected {char}")
        else:
            while self.at < len(text) and not is_reserved(text[self.at]):
                self.at += 1
        return text[start : self.at]

    def end_of_quoted(self, start: int) -> int:
        at = start + 1
        while at < len(self.text):
            if self.text[at] == "\\":
                at += 1
            elif self.text[at] == '"':
                return at + 1
            at += 1
        raise ValueError(f"missing closing quote: {self.text[start:]}")

    def peek(self) -> str:
        at = self.at
        token = self.next()
        self.at = at
        return token

    def text_or(self, complaint: str) -> str:
        token = self.next()
        if not token or token in ("{", "}", ",", *Op):
            raise ValueError(f"{complaint}, got {token or 'the end'}")
        return unquote(token) if token.startswith('"') else token


def _utf8(text: str) -> list[_Raw]:
    """`matcher/parse/parse.go` `Matchers`."""
    tokens, out = _Tokens(text), []
    has_brace = tokens.peek() == "{"
    if has_brace:
        tokens.next()
    while tokens.peek() not in ("", "}"):
        name = tokens.text_or("expected a label name")
        op = tokens.next()
        if op not in tuple(Op):
            raise ValueError(f"expected one of = != =~ !~ after {name}, got {op or 'the end'}")
        out.append((name, Op(op), tokens.text_or("expected a label value")))
        if tokens.peek() not in ("", "}") and tokens.next() != ",":
            raise ValueError("expected a comma between two matchers")
    closing = tokens.next()
    if closing == "}" and not has_brace:
        raise ValueError("expected { before }")
    if not closing and has_brace:
        raise ValueError("expected } at the end")
    if tokens.next():
        raise ValueError("expected nothing after }")
    return out
