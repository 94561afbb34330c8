"""Take secrets out of text before anything is stored, printed or sent. Pure.

Log lines and event messages pass here; Secrets are never read at all. What matches is replaced by `[redacted]`, the
name in front of it stays, so that people still see which setting was printed. Patterns: OWASP Logging Cheat Sheet,
Yelp/detect-secrets plugins, and the forms that it misses (key=value, headers, URL userinfo, whole PEM blocks).

Every repetition is bounded or ends at the first foreign character, and none is entered twice for the same text, so
that the time grows with the length of the text only: a log is written by whoever can crash a container.
"""

from __future__ import annotations

import re

MASK = "[redacted]"

_NAME = (
    r"(?:passw(?:or)?d|passphrase|pwd|secret|token(?!s)|api[_-]?key|access[_-]?key|private[_-]?key|encryption[_-]?key"
    r"|credentials?|auth[_-]?key|connection[_-]?string|session[_-]?id|signature)"
)
"""What a name of a secret contains; what stands before it in the name does not matter. `PWD` alone is a directory."""

_REST = r"[\w.-]{0,40}"
_QUOTED = r"\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'"

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(
            r"-----BEGIN (?:[A-Z0-9]{1,20} ){0,4}(?:KEY|CERTIFICATE|BLOCK)-----(?:[^-]|-(?!----))*"
            r"(?:-----END [A-Z0-9 ]{1,60}-----)?"
        ),
        MASK,
    ),
    (
        re.compile(
            r"(?i)\b((?:proxy-)?authorization|x-api-key|x-auth-token|set-cookie|cookie)([\"']?\s{0,5}[:=]\s{0,5}).*"
        ),
        rf"\1\2{MASK}",
    ),
    (re.compile(r"(?i)\b(bearer|basic)\s{1,5}[A-Za-z0-9._~+/=-]{8,}"), rf"\1 {MASK}"),
    (re.compile(r"(?<![\w-])eyJ[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*){0,4}"), MASK),
    (re.compile(r"(://)[^\s/@]{1,500}@"), rf"\1{MASK}@"),
    (re.compile(r"\b(?:AKIA|ASIA|AGPA|AIDA|AROA)[A-Z0-9]{12,}"), MASK),
    (re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[abeprs]-[\w-]{10,})"), MASK),
    (re.compile(r"\b(?:sk|pk|rk)_(?:live|test)_[A-Za-z0-9]{10,}|\bAIza[\w-]{30,}"), MASK),
    (re.compile(r"\b(?:sk-[\w-]{20,}|hvs\.[\w-]{20,}|npm_[A-Za-z0-9]{30,}|SG\.[\w-]{16,100}\.[\w-]{16,})"), MASK),
    (re.compile(r"(https://hooks\.slack\.com/services/)\S{10,}"), rf"\1{MASK}"),
    # "name": "value", and name in quotes with the colon right behind it
    (
        re.compile(
            rf"(?i)({_NAME}{_REST}\\?[\"']\s{{0,5}}[:=]\s{{0,5}})({_QUOTED}|\\\"(?:[^\"\\]|\\[^\"])*\\\")"
        ),
        rf"\1{MASK}",
    ),
    (re.compile(rf"(?i)({_NAME}{_REST}[\"'][:=]\s{{0,5}})(?!\[redacted\])([^\s,;&)}}\]\"']+)"), rf"\1{MASK}"),
    # name=value, name: value
    (
        re.compile(
            rf"(?i)((?!(?<![\w.-])pwd=/){_NAME}(?!{_REST}\.java:\d){_REST}\s{{0,5}}[:=]\s{{0,5}})(?!\[redacted\])"
            rf"({_QUOTED}|[^\s,;&)}}\]\"'][^\s,;&)}}\]]*)"
        ),
        rf"\1{MASK}",
    ),
    (re.compile(rf"(?i)((?<![\w.-])--?[\w.-]{{0,40}}?{_NAME}{_REST})(\s{{1,5}})([^\s-]\S*)"), rf"\1\2{MASK}"),
    (
        re.compile(
            r"(?i)\b((?:password|passphrase|secret|token)\s(?:is|was|for \S{1,60} is)\s)"
            r"(?!(?:not|no|in|too|un|wrong|missing|expired|required|empty|bad|already|set|mal|rejected)\w*)\S+"
        ),
        rf"\1{MASK}",
    ),
)

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[@-Z\\-_]")


def redact(text: str) -> str:
    """`text` without secrets, terminal escapes and control characters (line breaks and tabs stay)."""
    text = _ANSI.sub("", text)
    text = "".join(c if c.isprintable() or c in "\n\t" else " " for c in text)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text
