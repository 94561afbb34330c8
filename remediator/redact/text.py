"""`redact`: text without secrets. Called by whatever keeps, prints or sends text from outside."""

from __future__ import annotations

import re

from remediator.redact.blocks import BLOCKS
from remediator.redact.forms import FORMS, MASK
from remediator.redact.settings import mask_settings

_ESCAPES = re.compile(r"\x1b\][^\x07\x1b\n]{0,2000}(?:\x07|\x1b\\)?|(?:\x1b\[|\x9b)[0-9;?:]*[ -/]*[@-~]|\x1b[@-Z\\-_]")
"""ECMA-48: OSC strings (window titles, links), control sequences (colours, cursor), two-character escapes."""

_UNSEEN = {
    code: None for code in (*range(0x00, 0x09), *range(0x0E, 0x20), 0x7F, *range(0x80, 0x85), *range(0x86, 0xA0))
}
_UNSEEN |= {
    code: None for code in (0xAD, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFEFF)
}
"""Characters without a picture. They go without a trace: a blank would break a secret in two, and leave the second."""


def redact(text: str) -> str:
    """`text` without secrets, terminal escapes and control characters (line breaks and tabs stay)."""
    text = _ESCAPES.sub("", text).translate(_UNSEEN)
    if not text.replace("\n", "").replace("\t", "").isprintable():
        text = "".join(c if c.isprintable() or c in "\n\t" else " " for c in text)
    lower = text.lower()
    for form in BLOCKS:
        text = form.mask(text, lower)
    text = mask_settings(text)
    for form in FORMS:
        text = form.mask(text, lower)
    return text


def only_secrets(text: str) -> str:
    """As `redact`, but a text without a secret stays as it is, odd characters and all: it may be matched on."""
    return with_secrets_only(text, redact(text))


def with_secrets_only(text: str, told: str) -> str:
    """`told`, which `redact` made of it, where a secret was found in it."""
    return told if MASK in told else text
