"""No matcher that can be loaded takes more than one step for each character of a label, whatever stands in it.

Counted, not timed: a step is a look into the table, some 0.1 us, and the longest label value has 4 KiB.
"""

from __future__ import annotations

from typing import Any

import pytest

from remediator.rules.automaton import MAX_WORK, Pattern, Table, compile_pattern

LONGEST = 4096
HOSTILE = (
    "(a+)+b",
    "(a|a)*b",
    "(a|aa)+b",
    "(.*)*b",
    "(.*a){8}b",
    "(x+x+)+y",
    "([a-zA-Z]+)*b",
    "(?:a?){50}a{50}",
    "^(a*)*$",
    ".*a.*a.*a.*b",
    "(é|e|a)+b",
)
"""By which engines that go back need minutes (OWASP, "Regular expression Denial of Service"), and their relatives."""

VALUES = ("a" * LONGEST, "a" * (LONGEST - 1) + "!", "x" * LONGEST, "é" * (LONGEST // 2), "aX" * (LONGEST // 2))


class Counting(tuple[Any, ...]):
    """Rows of a table that count how often they are looked into."""

    looks = 0

    def __getitem__(self, key: Any) -> Any:
        Counting.looks += 1
        return super().__getitem__(key)


def steps(pattern: Pattern, value: str) -> int:
    if pattern.table is None:
        return 1  # a look into a set
    Counting.looks = 0
    table = pattern.table
    Table(table.bounds, table.ascii_classes, Counting(table.rows), table.accepting).matches(value)
    return Counting.looks


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("value", VALUES, ids=["a", "a and one more", "x", "two bytes each", "in turns"])
def test_a_match_takes_a_step_for_each_character(text: str, value: str) -> None:
    assert steps(compile_pattern(text), value) <= len(value)


def test_the_count_sees_every_step() -> None:
    assert steps(compile_pattern("a+b"), "a" * 100) == 100


def test_what_would_need_too_large_a_table_is_refused_after_a_bounded_number_of_steps() -> None:
    """The one thing that grows without bound is the table, and it is made at load."""
    with pytest.raises(ValueError, match="too complex"):
        compile_pattern("(a|b)*a(a|b){14}")
    assert MAX_WORK <= 300_000


def test_the_table_of_what_is_accepted_is_bounded() -> None:
    for text in HOSTILE:
        table = compile_pattern(text).table
        if table is not None:
            assert len(table.rows) * len(table.bounds) <= MAX_WORK * 8
