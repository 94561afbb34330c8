"""The syntax of regular expressions in matchers: RE2's, parsed to a tree. Called by `automaton.py` at load.

Alertmanager's expressions are RE2 (github.com/google/re2/wiki/Syntax), which Python's `re` neither accepts nor refuses
alike: `\\d` is ASCII only, `$` never ignores a last newline, `{,3}` is plain text, look-around does not exist. This
reads what Go's regexp/syntax reads. Only membership is decided, so groups, names and laziness make no difference.
Left out, each with its own message: word boundaries, multi-line mode and Unicode classes (`\\pL`).
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

MAX_REPEAT = 1000
"""As RE2's own limit on `{n,m}`."""
LAST = 0x10FFFF
LAST_CASED = 0x1E943
"""The last code point with an upper and a lower case (Unicode 15, Adlam)."""

Ranges = tuple[tuple[int, int], ...]
"""Sorted, disjoint, inclusive ranges of code points."""


@dataclass(frozen=True, slots=True)
class Chars:
    ranges: Ranges


@dataclass(frozen=True, slots=True)
class Edge:
    """`^` or `$`: only at the start, only at the end of the value."""

    at_start: bool


@dataclass(frozen=True, slots=True)
class Sequence:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Either:
    branches: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """`most` is None for no upper bound."""

    part: Node
    least: int
    most: int | None


Node = Chars | Edge | Sequence | Either | Repeat


def _sorted(ranges: Iterable[tuple[int, int]]) -> Ranges:
    merged: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def _negated(ranges: Ranges) -> Ranges:
    out, start = [], 0
    for low, high in ranges:
        if start < low:
            out.append((start, low - 1))
        start = high + 1
    if start <= LAST:
        out.append((start, LAST))
    return tuple(out)


def _of(characters: str) -> Ranges:
    return _sorted((ord(c), ord(c)) for c in characters)


def _folded(ranges: Ranges) -> Ranges:
    """Both cases of every character. The Kelvin sign and the long s are the two that fold into ASCII."""
    extra = set()
    for low, high in ranges:
        for code in range(low, min(high, LAST_CASED) + 1):
            char = chr(code)
            for other in (char.lower(), char.upper(), char.upper().lower()):
                if len(other) == 1 and other != char:
                    extra.add(ord(other))
            if char in "kK":
                extra.add(0x212A)
            elif char in "sS":
                extra.add(0x17F)
    return _sorted((*ranges, *((code, code) for code in extra)))


@lru_cache(maxsize=512)
def _literal(char: str, fold: bool) -> Chars:
    ranges = _of(char)
    return Chars(_folded(ranges) if fold else ranges)


_REPEATS: Mapping[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}
DIGIT, WORD, SPACE = _of(string.digits), _of(string.ascii_letters + string.digits + "_"), _of("\t\n\f\r ")
PERL: Mapping[str, Ranges] = {
    "d": DIGIT,
    "D": _negated(DIGIT),
    "w": WORD,
    "W": _negated(WORD),
    "s": SPACE,
    "S": _negated(SPACE),
}
POSIX: Mapping[str, Ranges] = {
    "alnum": _of(string.ascii_letters + string.digits),
    "alpha": _of(string.ascii_letters),
    "ascii": ((0, 0x7F),),
    "blank": _of("\t "),
    "cntrl": ((0, 0x1F), (0x7F, 0x7F)),
    "digit": DIGIT,
    "graph": ((0x21, 0x7E),),
    "lower": _of(string.ascii_lowercase),
    "print": ((0x20, 0x7E),),
    "punct": _of(string.punctuation),
    "space": _of("\t\n\v\f\r "),
    "upper": _of(string.ascii_uppercase),
    "word": WORD,
    "xdigit": _of(string.hexdigits),
}
CONTROL: Mapping[str, str] = {"a": "\a", "f": "\f", "t": "\t", "n": "\n", "r": "\r", "v": "\v"}
NOT_NEWLINE = _negated(_of("\n"))
ANY: Ranges = ((0, LAST),)


class Parser:
    """Recursive descent over one pattern. Every complaint is a ValueError that says what to write instead."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.depth = 0
        self.fold = False
        self.dot_all = False

    def parse(self) -> Node:
        node = self.either()
        if self.at < len(self.pattern):
            raise ValueError("unexpected ): no ( before it")
        return node

    def peek(self, text: str) -> bool:
        return self.pattern.startswith(text, self.at)

    def take(self, text: str) -> bool:
        if self.peek(text):
            self.at += len(text)
            return True
        return False

    def either(self) -> Node:
        branches = [self.sequence()]
        while self.take("|"):
            branches.append(self.sequence())
        return branches[0] if len(branches) == 1 else Either(tuple(branches))

    def sequence(self) -> Node:
        parts: list[Node] = []
        while self.at < len(self.pattern) and not self.peek("|") and not self.peek(")"):
            if self.take(r"\Q"):
                end = self.pattern.find(r"\E", self.at)
                if end < 0:
                    raise ValueError(r"missing \E after \Q")
                parts += [self.literal(char) for char in self.pattern[self.at : end]]
                self.at = end + 2
                if parts:
                    parts.append(self.repeated(parts.pop()))
                continue
            atom = self.atom()
            if atom is not None:
                parts.append(self.repeated(atom))
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def literal(self, char: str) -> Chars:
        return _literal(char, self.fold)

    def atom(self) -> Node | None:
        start = self.at
        if self.bounds() is not None:
            raise ValueError(f"missing argument to repetition operator: {self.pattern[start : self.at]}")
        char = self.pattern[self.at]
        self.at += 1
        match char:
            case "(":
                return self.group()
            case "[":
                return self.char_class()
            case ".":
                return Chars(ANY if self.dot_all else NOT_NEWLINE)
            case "^":
                return Edge(at_start=True)
            case "$":
                return Edge(at_start=False)
            case "\\":
                return self.escape()
            case _:
                return self.literal(char)

    def repeated(self, part: Node) -> Node:
        bounds = self.bounds()
        if bounds is None:
            return part
        self.take("?")
        start = self.at
        if self.bounds() is not None:
            raise ValueError(f"invalid nested repetition operator: {self.pattern[start - 1 : self.at]}")
        return Repeat(part, *bounds)

    def bounds(self) -> tuple[int, int | None] | None:
        """The repetition operator here, if there is one. A `{` that is none is an ordinary character, as in RE2."""
        operator = self.pattern[self.at : self.at + 1]
        if (bounds := _REPEATS.get(operator)) is not None:
            self.at += 1
            return bounds
        if operator != "{" or (end := self.pattern.find("}", self.at)) < 0:
            return None
        text = self.pattern[self.at + 1 : end]
        low, comma, high = text.partition(",")
        if not _is_digits(low) or (high and not _is_digits(high)):
            return None
        least = int(low) if len(low) < 6 else MAX_REPEAT + 1
        most = (least if not comma else None) if not high else int(high) if len(high) < 6 else MAX_REPEAT + 1
        if least > MAX_REPEAT or (most or 0) > MAX_REPEAT or (most is not None and most < least):
            raise ValueError(f"invalid repeat count: {{{text}}} (at most {MAX_REPEAT})")
        self.at = end + 1
        return least, most

    def group(self) -> Node | None:
        self.depth += 1
        if self.depth > 100:
            raise ValueError("nested deeper than 100 groups")
        flags = (self.fold, self.dot_all)
        if self.take("?"):
            if self.take("P<") or (self.peek("<") and not self.peek("<=") and not self.peek("<!") and self.take("<")):
                end = self.pattern.find(">", self.at)
                name = self.pattern[self.at : end] if end >= 0 else ""
                if not name or not all(c in string.ascii_letters + string.digits + "_" for c in name):
                    raise ValueError("invalid named group: only letters, digits and _ between < and >")
                self.at = end + 1
            elif self.flags():
                self.depth -= 1
                return None  # (?i) holds to the end of the group around it
        node = self.either()
        if not self.take(")"):
            raise ValueError("missing closing )")
        self.fold, self.dot_all = flags
        self.depth -= 1
        return node

    def flags(self) -> bool:
        """Read `i`, `s`, `U` and `-` up to `:` or `)`; True if it was `)`, so that no group follows."""
        value = True
        while self.at < len(self.pattern):
            char = self.pattern[self.at]
            self.at += 1
            match char:
                case "i":
                    self.fold = value
                case "s":
                    self.dot_all = value
                case "U":
                    pass
                case "-" if value:
                    value = False
                case ":" | ")":
                    return char == ")"
                case "=" | "!" | "<":
                    raise ValueError("look-around is not in RE2; use a second matcher with !~ instead")
                case "m":
                    raise ValueError("multi-line mode (?m) is not supported; a label value is one text")
                case _:
                    raise ValueError(f"(?{char} is not in RE2")
        raise ValueError("missing closing )")

    def escape(self) -> Node:
        char = self.pattern[self.at : self.at + 1]
        if char == "A":
            self.at += 1
            return Edge(at_start=True)
        if char == "z":
            self.at += 1
            return Edge(at_start=False)
        if char in PERL:
            self.at += 1
            return Chars(PERL[char])
        if char in ("b", "B"):
            raise ValueError(f"word boundary \\{char} is not supported; write the characters that may stand there")
        return self.literal(chr(self.code_point()))

    def code_point(self) -> int:
        """One escaped character, after the backslash; the same inside and outside of brackets."""
        if self.at >= len(self.pattern):
            raise ValueError("trailing backslash at end of expression")
        char = self.pattern[self.at]
        self.at += 1
        if char in CONTROL:
            return ord(CONTROL[char])
        if char in ("p", "P"):
            raise ValueError(f"Unicode classes (\\{char}) are not supported; write the characters, like [a-z0-9]")
        if char == "x":
            return self.hexadecimal()
        if char in "01234567":
            more = self.pattern[self.at : self.at + 2]
            if char != "0" and (not more or more[0] not in "01234567"):
                raise ValueError(f"back-reference \\{char} is not in RE2")
            digits = char + (more if _is_octal(more) else more[:1] if _is_octal(more[:1]) else "")
            self.at += len(digits) - 1
            return int(digits, 8)
        if ord(char) < 0x80 and not char.isalnum():
            return ord(char)
        raise ValueError(f"invalid escape sequence: \\{char}")

    def hexadecimal(self) -> int:
        if self.take("{"):
            end = self.pattern.find("}", self.at)
            digits = self.pattern[self.at : end] if end >= 0 else ""
            self.at = end + 1
        else:
            digits = self.pattern[self.at : self.at + 2]
            digits = digits if len(digits) == 2 else ""
            self.at += 2
        if not digits or len(digits) > 8 or any(c not in string.hexdigits for c in digits) or int(digits, 16) > LAST:
            raise ValueError("invalid escape sequence: \\x takes two hexadecimal digits, or any number in braces")
        return int(digits, 16)

    def char_class(self) -> Chars:
        negated = self.take("^")
        ranges: list[tuple[int, int]] = []
        first = True
        while first or not self.peek("]"):
            if self.at >= len(self.pattern):
                raise ValueError("missing closing ]")
            first = False
            named = self.named_class()
            if named is not None:
                ranges += named
                continue
            low = high = self.class_character()
            if self.peek("-") and not self.peek("-]") and self.at + 1 < len(self.pattern):
                self.at += 1
                high = self.class_character()
                if high < low:
                    raise ValueError(f"invalid character class range: {chr(low)}-{chr(high)}")
            ranges.append((low, high))
        self.at += 1
        whole = _sorted(ranges)
        whole = _folded(whole) if self.fold else whole
        return Chars(_negated(whole) if negated else whole)

    def named_class(self) -> Ranges | None:
        if self.peek("[:"):
            end = self.pattern.find(":]", self.at + 2)
            if end >= 0:
                name = self.pattern[self.at + 2 : end]
                if name.removeprefix("^") not in POSIX:
                    raise ValueError(f"invalid character class: [:{name}:]")
                self.at = end + 2
                ranges = POSIX[name.removeprefix("^")]
                return _negated(ranges) if name.startswith("^") else ranges
        if self.peek("\\") and self.pattern[self.at + 1 : self.at + 2] in PERL and self.at + 1 < len(self.pattern):
            ranges = PERL[self.pattern[self.at + 1]]
            self.at += 2
            return ranges
        return None

    def class_character(self) -> int:
        if self.at >= len(self.pattern):
            raise ValueError("missing closing ]")
        char = self.pattern[self.at]
        self.at += 1
        return self.code_point() if char == "\\" else ord(char)


def _is_digits(text: str) -> bool:
    return bool(text) and all(c in string.digits for c in text)


def _is_octal(text: str) -> bool:
    return bool(text) and all(c in "01234567" for c in text)
