"""The files for people in a bundle: what `export/bundle.py` puts beside the records and their proof. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace

from remediator.export.as_json import plain
from remediator.export.comma_separated import CommaSeparated
from remediator.export.content import TakenBack
from remediator.export.difference import as_yaml
from remediator.export.formats import Document, Head, Rows
from remediator.export.html import Html
from remediator.export.json_lines import JsonLines
from remediator.export.markdown import Markdown
from remediator.export.printable import one_line
from remediator.export.story import RuleAsItWas, Story
from remediator.export.texts import has_change, rule_yaml


def files_of(story: Story, head: Head) -> Iterable[tuple[str, bytes]]:
    """Name and content, in order. Names are of letters, digits, dots, dashes and underscores.

    The timelines hold every event: a bundle is evidence, whatever was asked of an export for reading.
    """
    whole = replace(head, is_whole=True)
    yield "timeline.md", document(Markdown(), story, whole)
    yield "timeline.html", document(Html(), story, whole)
    yield "timeline.csv", rows(CommaSeparated(), story, whole)
    yield "events.jsonl", rows(JsonLines(), story, whole)
    yield "diagnostics.json", json.dumps(plain(story.diagnoses), indent=2, sort_keys=True).encode("ascii") + b"\n"
    if story.rules:
        yield "rule.yaml", "---\n".join(map(_rule, story.rules)).encode("utf-8", "backslashreplace")
    if any(map(has_change, story.attempts)):
        yield "change.diff", "".join(_changes(story)).encode("utf-8", "backslashreplace")


def document(form: Document, story: Story, head: Head) -> bytes:
    """One incident as a whole document."""
    told = form.incident(story, head, is_first=True)
    return form.begin(head) + told + form.beside((), head) + form.end(head)


def rows(form: Rows, story: Story, head: Head) -> bytes:
    """The records of one incident."""
    return form.begin(head) + form.rows(story.records, head, is_first=True) + form.end(head)


def _rule(rule: RuleAsItWas) -> str:
    said = f"# SHA-256 {rule.digest}\n"
    if isinstance(rule.text, TakenBack) or rule.text is None:
        return said + as_yaml({"name": rule.name, "text": str(rule.text or "in no record of this incident")})
    return said + rule_yaml(rule.text)


def _changes(story: Story) -> Iterator[str]:
    for attempt in story.attempts:
        if has_change(attempt):
            made = "made" if attempt.acted_at else "not made"
            yield f"# R-{attempt.remediation} {attempt.action}: {made}\n"
            gone = isinstance(attempt.plan, TakenBack)
            yield from (f"{one_line(line)}\n" for line in ([f"# {attempt.plan}"] if gone else attempt.diff))
