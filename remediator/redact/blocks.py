"""The table of secrets that span lines: PEM and PuTTY keys. Tried by `text.py` before everything else."""

from __future__ import annotations

import re

from remediator.redact.forms import MASK, Form

_MAX_BLOCK = 20_000
"""Characters of the longest PEM block that is believed: a chain of certificates. What follows a stray BEGIN stays."""


def _framed(found: re.Match[str]) -> str:
    """A PEM block; of one that was cut off, the lines that look like its body."""
    whole = found.group()
    if found["end"] is not None and len(whole) <= _MAX_BLOCK:
        return MASK
    head = found["begin"] + found["body"]
    body = _BODY.match(head, len(found["begin"]))
    assert body is not None
    return MASK + whole[body.end() :]


_BODY = re.compile(
    r"(?:(?:\\+[nr]|\s)+|[\w-]{1,40}: [^\n\\]{0,200}(?=\n|\\|\Z)|[A-Za-z0-9+/=]{16,}|[A-Za-z0-9+/=]{1,15}(?=\n"
    r"|\\|[\"']|\Z))*+"
)

BLOCKS: tuple[Form, ...] = (
    Form(
        "PEM block",
        "RFC 7468; also with the line breaks escaped, and cut off at its end",
        ("-----begin",),
        re.compile(
            r"(?P<begin>-----BEGIN (?:[A-Z0-9]{1,20} ){0,4}(?:KEY|CERTIFICATE|BLOCK|MESSAGE)(?: BLOCK)?-----)"
            r"(?P<body>(?:[^-]|-(?!----))*+)(?P<end>-----END [A-Z0-9 ]{1,60}-----)?"
        ),
        _framed,
    ),
    Form(
        "PEM block without its beginning",
        "RFC 7468; a log read from its tail",
        ("-----end",),
        re.compile(
            r"(?m)^(?:[A-Za-z0-9+/=]{16,}[ \t]*\n)++(?:[A-Za-z0-9+/=]{1,76}\n)?"
            r"(?P<end>-----END [A-Z0-9 ]{1,60}-----)?"
        ),
        lambda found: MASK if found["end"] else found.group(),
    ),
    Form(
        "PuTTY key",
        "PuTTY manual, appendix C.3",
        ("private-",),
        re.compile(r"(Private-(?:Lines|MAC): [0-9a-f]{1,64})((?:\s+[A-Za-z0-9+/=]{16,})*+)"),
        lambda found: (
            (found[1] if not found[1].startswith("Private-MAC") else f"Private-MAC: {MASK}")
            + (f"\n{MASK}" if found[2] else "")
        ),
    ),
)
