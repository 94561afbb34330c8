"""Foreign text made harmless to look at: what has no picture is shown by its number, whatever it would have done.

Labels, logs and comments are written by whoever can raise an alert or crash a container. A direction override, a zero
width blank or a terminal escape in them must neither act nor vanish: an auditor has to see that it was there. Every
renderer for people passes all text from outside through here, and then escapes it for its own format. Pure.
"""

from __future__ import annotations

import unicodedata

MAX_LENGTH = 2000
"""Characters of one value in a document for people; the whole of it is in the JSON Lines."""


def one_line(text: str, *, max_length: int = MAX_LENGTH) -> str:
    """`text` on one line: line breaks and tabs as blanks, what cannot be seen as `\\u202e`, cut with an ellipsis."""
    shown = text if text.isprintable() else "".join(map(_seen, text.replace("\r\n", "\n")))
    return shown if len(shown) <= max_length else shown[: max_length - 1] + "…"


def lines(text: str, *, max_lines: int, max_length: int = MAX_LENGTH) -> list[str]:
    """The last lines of a text, each as `one_line`; the ends of logs say more than their beginnings."""
    every = text.replace("\r\n", "\n").rstrip("\n").split("\n")
    return [one_line(line, max_length=max_length) for line in every[-max_lines:]]


def _seen(character: str) -> str:
    if character.isprintable():
        return character
    if character in "\n\t" or unicodedata.category(character) == "Zs":
        return " "
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
