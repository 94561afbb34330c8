"""Regular expressions are RE2's, and matching cannot take long whatever the value is."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remediator.rules.automaton import compile_pattern

DATA = Path(__file__).parents[2] / "data" / "rules"
UPSTREAM = [json.loads(line) for line in (DATA / "regexes-go-1.26.jsonl").read_text().splitlines()]


def test_answers_as_go_does() -> None:
    """500 pairs of pattern and value with the answers of Go's regexp, which Alertmanager uses."""
    asked = [case for case in UPSTREAM if case["matches"] is not None]
    wrong = [case for case in asked if compile_pattern(case["pattern"]).matches(case["value"]) is not case["matches"]]
    assert not wrong
    assert len(asked) == 500


@pytest.mark.parametrize("pattern", [case["pattern"] for case in UPSTREAM if case["matches"] is None])
def test_refuses_what_go_refuses(pattern: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        compile_pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "complaint"),
    [
        ("(?=a)b", "look-around"),
        ("(?!a)b", "look-around"),
        ("(?<=a)b", "look-around"),
        (r"(a)\1", "back-reference"),
        (r"\bx", "word boundary"),
        (r"\pL", "Unicode classes"),
        ("(?m)a", "multi-line"),
        ("(?x)a", "not in RE2"),
        ("a**", "nested repetition"),
        ("a{1001}", "repeat count"),
        ("[b-a]", "range"),
        ("a)", "no ( before it"),
        ("(" * 200 + "a" + ")" * 200, "nested deeper"),
        (".*a.{900}", "too complex"),
        ("(a{1000}){1000}", "too large"),
        ("((((a?){100}){100}){100})", "too large"),
    ],
)
def test_says_what_it_does_not_do(pattern: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)):
        compile_pattern(pattern)


@pytest.mark.parametrize(
    "pattern", ["(x+x+)+y", "(a*)*b", "(a|aa)+b", "(a|a)*b", ".*a.*a.*a.*a.*b", "(.*)*b", "([a-z]+)*[0-9]"]
)
def test_patterns_that_backtrack_elsewhere_are_one_step_for_each_character(pattern: str) -> None:
    """A table of states cannot backtrack: it says no to 1,000,000 characters, where `re` would not end."""
    assert compile_pattern(pattern).matches("a" * 1_000_000) is False


@pytest.mark.parametrize(
    ("pattern", "literals"),
    [
        ("", {""}),
        ("a|b", {"a", "b"}),
        ("Kube(Pod|Job)X?", {"KubePod", "KubeJob", "KubePodX", "KubeJobX"}),
        ("^a", None),
    ],
)
def test_short_lists_become_sets(pattern: str, literals: set[str] | None) -> None:
    assert compile_pattern(pattern).literals == literals


LETTERS = st.text("abc", max_size=3)
SIMPLE = st.recursive(
    LETTERS | st.sampled_from([".", "[ab]", "[^a]", "^", "$"]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda pair: f"(?:{pair[0]}|{pair[1]})"),
        st.tuples(inner, st.sampled_from("*+?")).map(lambda pair: f"(?:{pair[0]}){pair[1]}"),
    ),
    max_leaves=6,
)


@settings(deadline=None)  # times of a shared machine are not what is tested
@given(SIMPLE, st.text("abcd", max_size=5))
def test_agrees_with_re_where_the_two_languages_are_one(pattern: str, value: str) -> None:
    assert compile_pattern(pattern).matches(value) is (re.fullmatch(pattern, value) is not None)
