"""Values that want to be more stay values in pages and in advice; see `injection.py`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from markupsafe import Markup

from remediator.actions.base import NoPlan
from remediator.export import pages
from remediator.export.comma_separated import safe
from remediator.export.html import Html
from remediator.export.report import Report, Section
from remediator.export.report_forms import HtmlReport
from remediator.export.story import Story
from remediator.model import Finding
from remediator.rules import plan as planning
from remediator.rules.plan import make_plan
from tests.hostile.corpora import HOSTILE, HTML, twin
from tests.hostile.injection import FEW, turned
from tests.hostile.readers import Page
from tests.unit.export.stories import CHECKS, LABELS, NOON, PLAN, head, planned, received, record, step, story
from tests.unit.rules.make import a_rule
from tests.workloads import TARGET, case

# -- pages

PER_STORY = 250


def story_of(values: Sequence[str]) -> Story:
    """An incident with the values wherever somebody else writes, names of labels among them."""
    some = iter(values * 2)
    labels = LABELS | {f"l{number}": one for number, one in enumerate(values)}
    named = {f"{number}{one}": "x" for number, one in enumerate(values)}
    facts = [{"kind": "log", "summary": one, "facts": {"text": f"{one}\n{one}"}} for one in values[:15]]
    records = [
        received(1, labels=labels, annotations=named, generator_url=next(some)),
        planned(
            2,
            evidence=list(values),
            detail=next(some),
            cause=next(some),
            plan={**PLAN, "summary": next(some), "before": {"args": values[::4]}, "after": {next(some): next(some)}},
            rule_text={"name": "crash-loop", "description": next(some)},
            runbook_url=next((one for one in values if one.startswith("http")), values[0]),
            contact=next(some),
        ),
        step(3, 0, "action.applied", action="rollback", plan={**PLAN, "summary": next(some)}, detail=next(some)),
        step(4, 1, "outcome.failed", evidence={**CHECKS, "pods-ready": {"look": "failed", "detail": next(some)}}),
        step(5, 1, "decision.escalated", reason="not-verified", detail=next(some), advice=next(some)),
        *(
            record(6 + number, 2, "approval.denied", by=one, comment=one, detail=one, rule="crash-loop")
            for number, one in enumerate(values[:15])
        ),
    ]
    diagnoses = {1: {"cause": "code-error", "findings": facts}}
    return story(records, diagnoses=diagnoses, title=next(some), target=next(some))


def pages_of(values: Sequence[str]) -> list[Page]:
    """The page of an incident and of a report."""
    form, made, rows = Html(), story_of(values), [(NOON, one, one) for one in values]
    parts = (form.begin(head(title=values[0])), form.incident(made, head(), is_first=True), form.end(head()))
    sections = [Section(values[1], ("when", values[2], "x"), rows, "Nothing.", values[3])]
    numbers = [(values[4], values[5])]
    report = Report(values[6], values[7], numbers, sections, {}, NOON, "1.2.3")
    return [Page(one.decode()) for one in (b"".join(parts), HtmlReport().write(report, tz=None))]


def outbreaks(made: Sequence[Page], harmless: Sequence[Page]) -> Iterator[str]:
    """What in the pages is more than text. Lines of a difference are a span each, and differ with what they hold."""
    for one, other in zip(made, harmless, strict=True):
        yield from one.dangers
        for kind in (one.elements - other.elements, other.elements - one.elements):
            yield from (name for name in kind if name != "span")
        more = one.attributes - other.attributes
        yield from (f"{tag} {name}" for tag, name in more if (tag, name) != ("span", "class"))
        if one.acting:
            yield f"{one.acting[:FEW]!r} is shown as it is"


def test_a_value_in_a_page_is_text() -> None:
    found, missing = [], []
    for values in turned(HOSTILE, PER_STORY):
        made = pages_of(values)
        found += list(outbreaks(made, pages_of([twin(one) for one in values])))
        words = made[0].words
        missing += [one for one in values if one.isprintable() and len(one) < 2000 and one not in words]
    assert found[:FEW] == []
    assert missing[:FEW] == [], "what looks like a template is printed as it was written"


def test_the_control_a_page_without_escapes_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    values = list(HTML)
    harmless = pages_of([twin(one) for one in values])
    monkeypatch.setattr(pages, "_harmless", lambda value: Markup(value) if isinstance(value, str) else value)
    pages._environment.cache_clear()
    try:
        found = set(outbreaks(pages_of(values), harmless))
    finally:
        pages._environment.cache_clear()
    assert {"<script>", "onerror", "onclick", "comment"} <= found


def test_a_cell_of_a_table_is_no_formula() -> None:
    assert [value for value in HOSTILE if safe(value).lstrip(" ")[:1] in tuple("=+-@\t\r\n\uff1d")] == []


# -- templates

ADVICE = "{finding.text}|{target}|{finding.other}|{cause}|{finding.nothing}"
ADVISING = a_rule(respond=[{"do": "recommend", "advice": ADVICE}])
CASE = case()


def advised(value: str, other: str) -> str | None:
    findings = (Finding("log", "", {"text": value}), Finding("event", "", {"other": other, "text": "later"}))
    answer = make_plan(ADVISING, replace(CASE, findings=findings)).answer
    assert isinstance(answer, NoPlan)
    return answer.advice


def test_what_was_filled_in_is_not_filled_in_again() -> None:
    for value, other in zip(HOSTILE, HOSTILE[1:] + HOSTILE[:1], strict=True):
        assert advised(value, other) == f"{value}|{TARGET}|{other}|code-error|(not known)"


def test_the_control_one_placeholder_after_the_other_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def repeatedly(row: Any, of: Any) -> str:
        text = row.advice
        for finding in of.findings:
            for name, value in finding.facts.items():
                text = text.replace(f"{{finding.{name}}}", str(value))
        return str(text)

    monkeypatch.setattr(planning, "_fill", repeatedly)
    assert str(advised("{finding.other}", "x")).startswith("x|")
