"""The forms of a report, and that nothing from outside is more than text in them."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from remediator.export.report import Own, Report, Section, share
from remediator.export.report_forms import FORMS
from remediator.export.times import zone
from tests.unit.export.hostile import CORPUS
from tests.unit.export.stories import NOON
from tests.unit.export.test_documents import Page, outside_of_code


def report(text: str = "shop/deployment/web") -> Report:
    rows = [(NOON, text, Own("storm")), (None, text, 1)]
    return Report(
        title="Handoff",
        lead="From then until now.",
        numbers=[("open", 3), ("median", timedelta(minutes=7)), ("verified", share(2, 4)), ("none", share(0, 0))],
        sections=[
            Section("Held", ("when", "target", "reason"), rows, "Nothing.", "Note."),
            Section("Empty", ("a",), [], "Nothing is here."),
        ],
        as_json={"format": "x/v1", "text": text},
        made_at=NOON,
        version="1.2.3",
    )


def written(form: str, one: Report) -> str:
    return FORMS[form].write(one, tz=zone("Europe/Berlin")).decode()


def test_markdown_has_the_numbers_the_tables_and_what_is_empty() -> None:
    text = written("markdown", report())
    for fragment in (
        "# Handoff\n\nFrom then until now.\n",
        "| median | 7m 00s |\n",
        "| verified | 2 of 4 |\n",
        "| none | - |\n",
        "## Held\n\nNote.\n\n| when | target | reason |\n",
        "| 2026-11-23 12:00:00Z (2026-11-23 13:00:00 CET) | `shop/deployment/web` | storm |\n| - | `shop",
        "## Empty\n\nNothing is here.\n",
    ):
        assert fragment in text


def test_html_says_the_same_and_json_more() -> None:
    page = Page(written("html", report()))
    words = " ".join(page.words)
    for said in ("Handoff", "7m 00s", "2 of 4", "shop/deployment/web", "13:00:00 CET", "Nothing is here."):
        assert said in words
    assert json.loads(written("json", report()))["format"] == "x/v1"


@pytest.mark.parametrize("text", CORPUS)
def test_text_from_outside_is_text_in_every_form(text: str) -> None:
    plain = Page(written("html", report("plain")))
    page = Page(written("html", report(text)))
    assert page.elements == plain.elements
    left, right = (outside_of_code(written("markdown", report(one))) for one in (text, "plain"))
    assert left == right
    assert json.loads(written("json", report(text)))["text"] == text
