"""The small things: text without pictures, lengths of time, YAML and differences."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from remediator.export.difference import as_yaml, diff
from remediator.export.printable import lines, one_line
from remediator.export.texts import rule_yaml
from remediator.export.times import both, length, zone
from remediator.export.words import WORDS, Lane, words_of
from tests.unit.export.stories import NOON


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ü 漢 🚀", "plain ü 漢 🚀"),
        ("two\nlines\tand\r\ntab", "two lines and tab"),
        ("\x1b[31mred\x1b[0m", "\\u001b[31mred\\u001b[0m"),
        ("evil\u202egpj.exe", "evil\\u202egpj.exe"),
        ("zero\u200bwidth\u2066", "zero\\u200bwidth\\u2066"),
        ("c1\x9b31m and line\u2028break", "c1\\u009b31m and line\\u2028break"),
        ("tag\U000e0041", "tag\\U000e0041"),
        ("lone\ud800", "lone\\ud800"),
        ("no-break\u00a0blank", "no-break blank"),
        ("x" * 30, "xxxxxxxxxxxxxxxxxxx…"),
    ],
)
def test_what_has_no_picture_is_shown_by_its_number(text: str, shown: str) -> None:
    assert one_line(text, max_length=20 if text.startswith("xxx") else 100) == shown


@settings(max_examples=200)
@given(st.text())
def test_nothing_unseen_is_left_of_any_text(text: str) -> None:
    assert one_line(text).isprintable()


def test_the_last_lines_of_a_log_are_kept() -> None:
    assert lines("one\ntwo\x07\nthree\n", max_lines=2) == ["two\\u0007", "three"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (45, "45s"), (425, "7m 05s"), (7200, "2h 00m"), (273600, "3d 04h"), (-61, "-1m 01s"), (None, "-")],
)
def test_a_length_of_time_has_two_units(seconds: float | None, text: str) -> None:
    assert length(None if seconds is None else timedelta(seconds=seconds)) == text


def test_local_time_stands_beside_utc() -> None:
    assert both(NOON, zone("Europe/Berlin")) == "2026-11-23 12:00:00Z (2026-11-23 13:00:00 CET)"
    assert both(NOON, None) == "2026-11-23 12:00:00Z"
    assert both(None, None) == "-"


@pytest.mark.parametrize("name", ["Mars/Olympus", "../etc/passwd", "", "America"])
def test_a_zone_that_is_not_known_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="time zone"):
        zone(name)


_TEXT = st.text(max_size=60) | st.sampled_from(
    ["1e3", "0x1", "1:20", "~", "null", "Yes", "=", "<<", "- a", "a: b", "a #b", "|", "a\n b", " a", "a\n\n", "\n"]
)
_SCALAR = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXT
_JSON = st.recursive(
    _SCALAR, lambda part: st.lists(part, max_size=4) | st.dictionaries(_TEXT, part, max_size=4), max_leaves=10
)


@settings(max_examples=300, deadline=None)
@given(_JSON)
def test_yaml_is_read_back_as_it_was_by_the_reader_with_the_most_surprises(value: Any) -> None:
    text = as_yaml(value)
    assert text.isascii()
    assert yaml.safe_load(text) == value


def test_a_script_in_a_manifest_stays_readable() -> None:
    assert as_yaml({"args": ["set -e\nrun --all\n"], "image": "shop/checkout:1.4"}) == (
        "args:\n  - |\n    set -e\n    run --all\nimage: shop/checkout:1.4\n"
    )


def test_a_difference_is_unified_and_none_where_nothing_differs() -> None:
    assert diff({"a": 1}, {"a": 1}, name="x") == ()
    assert diff({"a": 1, "b": 2}, {"a": 1, "b": 3}, name="shop/web") == (
        "--- before/shop/web",
        "+++ after/shop/web",
        "@@ -1,2 +1,2 @@",
        " a: 1",
        "-b: 2",
        "+b: 3",
    )


def test_a_rule_reads_in_the_order_in_which_people_write_it() -> None:
    text = rule_yaml({"mode": "active", "name": "r", "respond": [{"do": "rollback", "when": {"cause": "x"}}]})
    assert text == "name: r\nrespond:\n  - when:\n      cause: x\n    do: rollback\nmode: active\n"


def test_an_action_is_told_in_its_own_words() -> None:
    assert words_of("action.applied", {"action": "rollback"}).title == "Rolled back"
    assert words_of("decision.recommended", {"action": "scale", "reason": "mode-silent"}).title == "Would scale"
    assert words_of("decision.recommended", {"reason": "row-recommends"}).title == "Recommended"


def test_a_kind_of_a_later_version_is_worth_a_line_when_a_person_stands_behind_it() -> None:
    assert not words_of("step.new", {}).is_curated
    spoken = words_of("ticket.opened", {"by": "ada"})
    assert (spoken.title, spoken.lane, spoken.is_curated) == ("ticket.opened", Lane.PEOPLE, True)
    assert set(WORDS) >= {"action.applied", "decision.held", "outcome.verified"}
