"""Go's double-quoted strings, which Alertmanager's matchers use: `strconv.Quote` and `strconv.Unquote`."""

from __future__ import annotations

import re

_SPACE = frozenset("\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B))))
_ESCAPE = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|([abfnrtv\\\"])|(.?))", re.S
)
_SIMPLE = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, '"': 34}
_LETTERS = {code: letter for letter, code in _SIMPLE.items()}


def is_space(char: str) -> bool:
    """Go's `unicode.IsSpace`; Python's `isspace` also holds for four control characters."""
    return char in _SPACE


def unquote(token: str) -> str:
    """The text of a Go string literal in double quotes. Raises ValueError, also when it is not UTF-8."""
    body = token[1:-1]
    if "\n" in body:
        raise ValueError(f"line break inside quotes: {token}")

    def replaced(found: re.Match[str]) -> bytes:
        byte, short, long, octal, simple, _ = found.groups()
        if byte:
            return bytes([int(byte, 16)])
        if octal and int(octal, 8) < 256:
            return bytes([int(octal, 8)])
        if simple:
            return bytes([_SIMPLE[simple]])
        code = int(short or long or "110000", 16)
        if code > 0x10FFFF or 0xD800 <= code < 0xE000:
            raise ValueError(f"invalid escape sequence {found[0]} in {token}")
        return chr(code).encode()

    out, at = b"", 0
    try:
        for found in _ESCAPE.finditer(body):
            out += body[at : found.start()].encode() + replaced(found)
            at = found.end()
        return (out + body[at:].encode()).decode()
    except UnicodeError as error:
        raise ValueError(f"not UTF-8: {token!r}") from error


def quote(text: str) -> str:
    """A Go string literal in double quotes that `unquote` reads back."""
    if text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    out = []
    for char in text:
        code = ord(char)
        if code in _LETTERS:
            out.append("\\" + _LETTERS[code])
        elif char.isprintable():
            out.append(char)
        else:
            out.append(f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
    return '"' + "".join(out) + '"'
