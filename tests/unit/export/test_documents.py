"""Markdown and HTML: what they say, and that nothing from outside becomes more than text in them."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remediator.export.files import document
from remediator.export.html import Html
from remediator.export.markdown import Markdown
from remediator.export.marking import block, code
from remediator.export.story import ROLES, TO_FILL, Story
from remediator.export.times import zone
from remediator.store.exporting_base import Period
from tests.unit.export.hostile import CONTROLS, CORPUS, hostile_story
from tests.unit.export.stories import at, head, planned, received, record, story, verified_story, view


def markdown(one: Story, **changes: object) -> str:
    return document(Markdown(), one, head(**changes)).decode("utf-8")


def html(one: Story, **changes: object) -> str:
    return document(Html(), one, head(**changes)).decode("utf-8")


GOLDEN = (
    "# Incident inc-1: `KubePodCrashLooping` on `shop/deployment/checkout`\n",
    "**Verified**: `roll back shop/deployment/checkout from revision 3 to 2`. Well again 7m 00s after it began,",
    "| Acted | 2026-11-23 12:00:00Z, 5m 00s after it began |\n",
    "| Time to recover | 7m 00s (after an action) |\n",
    "1. **2026-11-23 11:50:00Z** people: **Released** `revision 3 with shop/checkout:1.5`\n",
    "4. **2026-11-23 12:00:00Z** action: **Rolled back** `roll back shop/deployment/checkout from revision 3 to 2`\n"
    "   after 3, R-1, record 5\n",
    "- **rollback**: `cause: code-error, wanted code-error` yes\n- escalate: always\n",
    "| budgets | allow | `0 of 1 per 1h used` |\n",
    "## Change\n\n```diff\n--- before/shop/deployment/checkout\n",
    "-    - image: shop/checkout:1.5\n+    - image: shop/checkout:1.4\n",
    "```sh\nkubectl -n shop rollout undo deployment/checkout --to-revision=3\n```\n",
    "| pods-ready | passed | `2 of 2 pods ready` |\n",
    "```text\none\ntwo\nTypeError: x\n```\n",
    "## Rule `crash-loop` as it was\n",
    "Exported 2026-11-23 13:00:00Z by remediator 1.2.3.\n",
)


@pytest.mark.parametrize("fragment", GOLDEN)
def test_markdown_says(fragment: str) -> None:
    assert fragment in markdown(story())


def test_people_find_the_parts_that_are_theirs_empty() -> None:
    for text in (markdown(story()), html(story())):
        assert all(role in text for role in ROLES)
        assert all(name in text for name in TO_FILL)
    assert markdown(story()).count("_To be filled in._") == len(TO_FILL)


def test_every_event_is_there_on_request_only() -> None:
    assert "Looked at" not in markdown(story()) + html(story())
    assert "Looked at" in markdown(story(), is_whole=True)
    assert "Looked at" in html(story(), is_whole=True)


def test_local_time_stands_beside_utc_where_it_is_asked_for() -> None:
    tz = zone("Europe/Berlin")
    assert "**2026-11-23 12:00:00Z (2026-11-23 13:00:00 CET)**" in markdown(story(), tz=tz)
    assert "13:00:00 CET" in html(story(), tz=tz)


def test_a_value_that_was_taken_back_stands_there_as_that() -> None:
    redaction = record(9, 9, "audit.redacted", redacted=3, fields=["evidence"], by="ada", comment="ticket 4711")
    records = [*verified_story()[:2], planned(3, taken=["evidence"]), *verified_story()[3:], redaction]
    one = story(records, diagnoses={})
    assert "- Evidence: `taken back by ada: ticket 4711`" in markdown(one)
    assert '<span class="gone">taken back by ada: ticket 4711</span>' in html(one)


def test_a_period_has_an_overview_and_its_incidents_in_short() -> None:
    row = view(verified_story()).row
    asked = head(title="Incidents", period=Period(at(-60), at(60), rule="crash-loop"), incidents=[row])
    for form, overview in ((Markdown(), "| inc-1 | 2026-11-23 12:00:00Z |"), (Html(), '<a href="#inc-1">inc-1</a>')):
        text = (form.begin(asked) + form.incident(story(), asked, is_first=True) + form.end(asked)).decode()
        assert overview in text
        assert "Rolled back" in text
        assert "crash-loop" in text
        assert "kill-switch" not in text  # each guard's answer is for the export of the incident


def test_a_period_without_incidents_says_so() -> None:
    asked = head(title="Incidents", period=Period(at(-60), at(60)))
    assert b"No incident was open" in Markdown().begin(asked)
    assert b"No incident was open" in Html().begin(asked)


# -- injection


class Page(HTMLParser):
    """What a browser would make of it: elements, attributes, and the text outside of tags."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: Counter[str] = Counter()
        self.attributes: set[tuple[str, str]] = set()
        self.links: set[str] = set()
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        self.attributes |= {(tag, name) for name, _ in attrs}
        self.links |= {value or "" for name, value in attrs if name in ("href", "src")}

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def handle_comment(self, data: str) -> None:
        self.elements["comment"] += 1


PLAIN = Page(html(hostile_story("plain"), is_whole=True))


@pytest.mark.parametrize("text", CORPUS)
def test_html_from_outside_is_text_in_html(text: str) -> None:
    page = Page(html(hostile_story(text), is_whole=True))
    assert page.elements.keys() == PLAIN.elements.keys()
    assert page.elements["script"] == page.elements["img"] == page.elements["comment"] == 0
    assert {tag: n for tag, n in page.elements.items() if tag not in ("span", "a")} == {
        tag: n for tag, n in PLAIN.elements.items() if tag not in ("span", "a")
    }
    assert page.attributes <= PLAIN.attributes | {("a", "href"), ("a", "rel")}
    assert not any(link.lower().lstrip().startswith(("javascript:", "data:")) for link in page.links)


def test_the_control_a_page_without_escapes_would_be_found_out() -> None:
    injected = html(hostile_story("plain")).replace("plain", "<script>alert(1)</script>")
    assert Page(injected).elements["script"] > 0


@pytest.mark.parametrize("text", CONTROLS)
def test_what_cannot_be_seen_is_in_no_document(text: str) -> None:
    one = hostile_story(text)
    for document_text in (markdown(one, is_whole=True), html(one, is_whole=True)):
        assert [c for c in document_text if not c.isprintable() and c != "\n"] == []


def outside_of_code(text: str) -> str:
    """Markdown without its code spans and fenced blocks, as CommonMark 0.31 (4.5, 6.1) finds them."""
    lines, fence = [], ""
    for line in text.split("\n"):
        opening = re.match(r"(`{3,})[a-z]*$", line)
        if fence:
            fence = "" if line == fence else fence
        elif opening:
            fence = opening[1]
        else:
            lines.append(re.sub(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", "CODE", line))
    assert not fence, "a fence is not closed"
    return "\n".join(lines)


PLAIN_MARKDOWN = outside_of_code(markdown(hostile_story("plain"), is_whole=True))


@pytest.mark.parametrize("text", CORPUS)
def test_markdown_from_outside_stays_in_code(text: str) -> None:
    """What is left outside of code is the same whatever anybody wrote."""
    left = outside_of_code(markdown(hostile_story(text), is_whole=True))
    assert left.replace("-\n", "CODE\n") == PLAIN_MARKDOWN.replace("-\n", "CODE\n")


PIECES = st.text("`|\\<>&[]()*_#!~\n\r\t ab\x1b\u202e", max_size=40) | st.text(max_size=40)


@settings(max_examples=500, deadline=None)
@given(PIECES)
def test_any_text_stays_in_its_span_and_in_its_block(text: str) -> None:
    assert outside_of_code(f"a {code(text)} b") in ("a CODE b", "a - b")
    assert outside_of_code("\n".join(["a", *block(text.split("\n")), "b"])) == "a\nb"
    assert "\n" not in code(text, is_cell=True)
    assert not re.search(r"(?<!\\)\|", code(text, is_cell=True))


@settings(max_examples=30, deadline=None)
@given(PIECES)
def test_any_text_stays_text_in_a_page(text: str) -> None:
    page = Page(html(hostile_story(text)))
    assert page.elements["script"] == page.elements["comment"] == 0
    assert page.attributes <= PLAIN.attributes | {("a", "href"), ("a", "rel")}


def test_the_control_text_outside_of_code_would_be_found_out() -> None:
    said = markdown(hostile_story("plain"), is_whole=True).replace("`plain`", "plain [x](y)")
    assert outside_of_code(said) != PLAIN_MARKDOWN


def test_a_bar_in_a_table_stays_in_its_cell() -> None:
    text = markdown(hostile_story("| cell | cell |"))
    for line in text.split("\n"):
        if line.startswith("| ") and "cell" in line:
            assert len(re.findall(r"(?<!\\)\|", line)) in (3, 4)


def test_a_page_has_no_script_and_forbids_what_should_not_be_there() -> None:
    page = html(story())
    assert "default-src 'none'" in page
    assert "http" not in page.replace("http-equiv", "").replace("http://prometheus/graph", "")


def test_a_link_is_one_only_where_an_operator_wrote_one() -> None:
    records = [received(1), planned(2, runbook_url="https://runbooks.example/x")]
    assert '<a href="https://runbooks.example/x" rel="noreferrer">' in html(story(records))
    records = [received(1), planned(2, runbook_url="javascript:alert(1)")]
    assert "<a href=\"javascript" not in html(story(records))


def test_a_story_of_thousands_of_events_stays_a_document() -> None:
    many = replace(story(), timeline=story().timeline * 1000)
    assert "further events" in markdown(many)
    assert len(html(many)) < 3_000_000
