"""Take secrets out of text before anything is stored, printed or sent. Pure.

Log lines and event messages pass here; Secrets are never read at all. What matches is replaced by `[redacted]`, the
name in front of it stays, so that people still see which setting was printed. Patterns: OWASP Logging Cheat Sheet,
Yelp/detect-secrets plugins, and the forms that it misses (key=value, headers, URL userinfo, whole PEM blocks).
"""

from __future__ import annotations

import re

MASK = "[redacted]"

_SECRET_NAME = (
    r"[\w.-]*(?:passw(?:or)?d|passwd|pwd|secret|token|api[_-]?key|apikey|access[_-]?key|private[_-]?key|credential"
    r"|auth[_-]?key|client[_-]?secret|connection[_-]?string|session[_-]?id|signature)[\w.-]*"
)

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(
            r"-----BEGIN [A-Z0-9 ]*(?:PRIVATE KEY|CERTIFICATE)[A-Z0-9 ]*-----.*?"
            r"(?:-----END [A-Z0-9 ]*-----|\Z)",
            re.DOTALL,
        ),
        MASK,
    ),
    (
        re.compile(r"(?i)\b((?:proxy-)?authorization|x-api-key|x-auth-token|set-cookie|cookie)\b(\s*[:=]\s*).*"),
        rf"\1\2{MASK}",
    ),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"), rf"\1 {MASK}"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*)?"), MASK),
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s/@]+@"), rf"\1{MASK}@"),
    (re.compile(r"\b(?:AKIA|ASIA|AGPA|AIDA|AROA)[A-Z0-9]{12,}\b"), MASK),
    (re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[abprs]-[\w-]{10,})"), MASK),
    (re.compile(r"\b(?:sk|pk|rk)_(?:live|test)_[A-Za-z0-9]{10,}|\bAIza[\w-]{30,}|\bSG\.[\w-]{16,}\.[\w-]{16,}"), MASK),
    (
        re.compile(
            rf"(?i)([\"']?\b{_SECRET_NAME}[\"']?\s*[:=]\s*)"
            r"(\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|[^\s,;&)}\]]+)"
        ),
        rf"\1{MASK}",
    ),
    (re.compile(rf"(?i)(--?{_SECRET_NAME})(\s+)(\S+)"), rf"\1\2{MASK}"),
    (re.compile(r"(?i)\b(password|secret|token)\s+(?:is|was|for \S+ is)\s+\S+"), rf"\1 {MASK}"),
)

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[@-Z\\-_]")


def redact(text: str) -> str:
    """`text` without secrets, terminal escapes and control characters (line breaks and tabs stay)."""
    text = _ANSI.sub("", text)
    text = "".join(c if c.isprintable() or c in "\n\t" else " " for c in text)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text
