"""The forms of a report: Markdown, HTML and JSON. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from remediator.export.marking import code, joined, table
from remediator.export.pages import page, style_sheet
from remediator.export.report import Cell, Own, Report
from remediator.export.times import both, length, utc


class ReportForm(Protocol):
    @property
    def media_type(self) -> str: ...

    @property
    def suffix(self) -> str: ...

    def write(self, report: Report, *, tz: ZoneInfo | None) -> bytes: ...


class MarkdownReport:
    media_type = "text/markdown"
    suffix = "md"

    def write(self, report: Report, *, tz: ZoneInfo | None) -> bytes:
        return joined(_markdown(report, tz))


class HtmlReport:
    media_type = "text/html"
    suffix = "html"

    def write(self, report: Report, *, tz: ZoneInfo | None) -> bytes:
        parts = ("page.html", "report.html", "end.html")
        return b"".join(page(part, tz=tz, head=report, report=report, style=style_sheet()) for part in parts)


class JsonReport:
    media_type = "application/json"
    suffix = "json"

    def write(self, report: Report, *, tz: ZoneInfo | None) -> bytes:
        return json.dumps(report.as_json).encode("ascii") + b"\n"


FORMS: Mapping[str, ReportForm] = {"markdown": MarkdownReport(), "html": HtmlReport(), "json": JsonReport()}


def cell(value: Cell, tz: ZoneInfo | None) -> str:
    """A value as text, without its marking."""
    if isinstance(value, datetime):
        return both(value, tz)
    if isinstance(value, timedelta):
        return length(value)
    return "-" if value is None else str(value)


def _markdown(report: Report, tz: ZoneInfo | None) -> Iterator[str]:
    yield from [f"# {report.title}", "", report.lead]
    if report.numbers:
        yield ""
        yield from table(("number", "value"), ((label, cell(value, tz)) for label, value in report.numbers))
    for section in report.sections:
        yield from ["", f"## {section.title}", ""]
        yield from [section.note, ""] if section.note else []
        if section.rows:
            yield from table(section.columns, ([_marked(one, tz) for one in row] for row in section.rows))
        else:
            yield section.empty
    yield from ["", "---", "", f"Made {utc(report.made_at)} by remediator {report.version}."]


def _marked(value: Cell, tz: ZoneInfo | None) -> str:
    if isinstance(value, str) and not isinstance(value, Own):
        return code(value, is_cell=True)
    return cell(value, tz)
