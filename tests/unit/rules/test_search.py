"""An expression looked for anywhere: the same answers as a whole table gives, of which only what is met is made."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from remediator.rules.automaton import compile_pattern
from remediator.rules.patterns import Anywhere
from remediator.rules.search import Search
from tests.unit.rules.test_automaton import SIMPLE, UPSTREAM
from tests.unit.rules.test_match_steps import HOSTILE, VALUES
from tests.unit.rules.test_patterns import ROWS


@settings(deadline=None)  # times of a shared machine are not what is tested
@given(SIMPLE, st.lists(st.text("abcd", max_size=6), min_size=1, max_size=4))
@example("a$", ["ba", "ab", "", "a"])
@example("^a|b$", ["ca", "cb", "ac", ""])
@example("$", ["", "a"])
@example("(?:^)+a", ["a", "ba"])
@example("a(?:^b|$)", ["ab", "ca"])
def test_agrees_with_re_line_after_line(pattern: str, values: list[str]) -> None:
    """What one line made must not change what is said of the next."""
    search = Search(pattern)
    assert [search.matches(value) for value in values] == [
        re.search(pattern.replace("$", r"\Z"), value) is not None for value in values
    ]


def test_agrees_with_the_whole_table_on_what_go_was_asked() -> None:
    cases = [case for case in UPSTREAM if case["matches"] is not None]
    differ = [
        case
        for case in cases
        if Search(case["pattern"]).matches(case["value"])
        is not compile_pattern(f"(?s:.*)(?:{case['pattern']})(?s:.*)").matches(case["value"])
    ]
    assert not differ
    assert len(cases) == 500


@pytest.mark.parametrize("pattern", [case["pattern"] for case in UPSTREAM if case["matches"] is None])
def test_refuses_what_go_refuses(pattern: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Anywhere(pattern).whole()


@pytest.mark.parametrize("text", HOSTILE)
def test_makes_no_more_than_the_whole_table_has(text: str) -> None:
    """The table is what is bounded at load."""
    table = compile_pattern(f"(?s:.*)(?:{text})(?s:.*)").table
    assert table is not None
    search = Search(text)
    for value in VALUES:
        search.matches(value)
    made = len(search._states)
    for value in VALUES:
        search.matches(value)
    assert len(search._states) == made <= len(table.rows), "what was met is kept"


def test_a_log_meets_little_of_the_shipped_patterns() -> None:
    """Why it is not a table: to make them all takes half a second, and some MiB."""
    examples = [line for row in ROWS for line in (*row.matches, *row.passes)][:30]
    searches = [Search(row.pattern) for row in ROWS]
    for search in searches:
        for line in examples:
            search.matches(line)
    whole = [table for row in ROWS if (table := Anywhere(row.pattern).whole().table) is not None]
    assert sum(len(search._states) for search in searches) < sum(len(table.rows) for table in whole) / 4
