"""Text as an attacker would write it into a label, an annotation, a log or a comment. None of it may do anything."""

from __future__ import annotations

from remediator.export.story import Story
from tests.unit.export.stories import CHECKS, LABELS, PLAN, planned, received, record, step, story

HTML = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "</code></pre></style></title><script>alert(1)</script>",
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    "{{ 7*7 }} {% include '/etc/passwd' %}",
    "<!-- -->",
    "]]>",
    "&lt;script&gt;&#x3c;script>",
)
MARKDOWN = (
    "[click](javascript:alert(1))",
    "![x](http://evil.example/x.png)",
    "# heading",
    "\n\n# heading after lines",
    "| cell | cell |",
    "```\nfence\n```",
    "`` `tick` ``",
    "`",
    "````",
    "<details open>",
    "@everyone and ada@example.com",
    "https://evil.example/ and www.evil.example",
    "- [x] done\n- list",
    "--- \n***",
    "\\`escaped\\`",
    ":tada: $x^2$ #42",
    "~~~\ncode",
)
FORMULAS = (
    "=cmd|'/C calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "\t=1+1",
    "\r=1+1",
    "  =1+1",
    "\n=1+1",
    "＝1+1",  # noqa: RUF001
    "＋1",  # noqa: RUF001
    '=HYPERLINK("http://evil.example","x")',
    'a,b";"c\r\nd',
)
CONTROLS = (
    "\x1b[2J\x1b]0;title\x07",
    "\x00nul",
    "bell\x07back\x08",
    "\x9b31m",
    "line\u2028sep\u2029par",
    "rtl\u202egnp.exe",
    "iso\u2066late\u2069",
    "zero\u200bwidth\ufeff",
    "\x7fdel",
    "form\x0cfeed\x0bvt",
    "\U000e0041tag",
)
CORPUS = (*HTML, *MARKDOWN, *FORMULAS, *CONTROLS)


def hostile_story(text: str) -> Story:
    """The text in every place that somebody else writes."""
    labels = {**LABELS, "pod": text, "note": text, "alertname": f"X{text}"}
    records = [
        received(1, labels=labels, annotations={"summary": text, text: "as a name"}, generator_url=text),
        planned(
            2,
            evidence=[text],
            detail=text,
            cause="code-error",
            plan={**PLAN, "summary": text, "before": {"args": [text]}, "after": {"args": [text, "x"], text: 1}},
            rule_text={"name": "crash-loop", "description": text},
            runbook_url=text,
            contact=text,
        ),
        step(3, 0, "action.applied", action="rollback", plan={**PLAN, "summary": text}, detail=text),
        step(4, 1, "outcome.failed", evidence={**CHECKS, "pods-ready": {"look": "failed", "detail": text}}),
        step(5, 1, "decision.escalated", reason="not-verified", detail=text, advice=text),
        record(6, 2, "approval.denied", by=text, comment=text, detail=text, rule="crash-loop"),
        record(7, 3, "audit.redacted", redacted=1, fields=["detail"], by=text, comment=text),
        record(8, 3, "ticket.opened", by=text, comment=text, problem=text),
    ]
    findings = [
        {"kind": "log", "summary": text, "facts": {"text": f"{text}\n{text}\n"}},
        {"kind": "event", "summary": text, "facts": {}},
    ]
    return story(records, diagnoses={1: {"cause": "code-error", "findings": findings}}, title=f"X{text}", target=text)
