"""`label_value`: whatever an alert's label holds, it stays one value in the query."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from remediator.prometheus.base import label_value
from remediator.rules.matcher import parse_matchers

SINGLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"'}
DIGITS = {"x": 2, "u": 4, "U": 8}


def unquote(text: str) -> tuple[str, str]:
    """The first double-quoted string of `text` as the PromQL lexer and Go's `strconv.Unquote` read it, and the rest.

    Raises ValueError where they would refuse it. `\\x` stands for a byte, so several make one character.
    """
    if text[0] != '"':
        raise ValueError("no quote")
    out, at = bytearray(), 1
    while at < len(text):
        char = text[at]
        if char == '"':
            return out.decode(), text[at + 1 :]
        if char == "\n":
            raise ValueError("unterminated")
        if char != "\\":
            out += char.encode()
            at += 1
            continue
        kind = text[at + 1]
        if kind in SINGLE:
            out += SINGLE[kind].encode()
            at += 2
        elif kind in DIGITS:
            digits = text[at + 2 : at + 2 + DIGITS[kind]]
            out += bytes([int(digits, 16)]) if kind == "x" else chr(int(digits, 16)).encode()
            at += 2 + DIGITS[kind]
        elif kind in "01234567":
            out += bytes([int(text[at + 1 : at + 4], 8)])
            at += 4
        else:
            raise ValueError(f"unknown escape {kind!r}")
    raise ValueError("unterminated")


characters = st.characters(exclude_categories=["Cs"])
nasty = st.text(st.one_of(st.sampled_from("\"'`\\\n\r\t\0\x7f\x85\u2028{}[]()#"), characters))


@given(nasty)
@example('x"} or vector(1) #')
@example("\\")
@example('\\"')
@example("\n")
def test_a_quoted_value_reads_back_and_ends_where_it_should(value: str) -> None:
    """Nothing in it closes the quote early, so what follows is still the query."""
    assert unquote(label_value(value) + '} == 1') == (value, '} == 1')


@pytest.mark.parametrize("value", ["a\tb", "a\rb", "\x1b[2J", 'a"b\\c\nd', "\x7f", "ends with \\"])
def test_both_parsers_of_alertmanager_read_the_same_value(value: str) -> None:
    """The older one knows three escapes only, and wins where the two differ."""
    [found] = parse_matchers(f"alertname={label_value(value)}")
    assert (found.name, found.value) == ("alertname", value)


@pytest.mark.parametrize("text", ['"a', '"a\nb"', '"\\q"', "a"])
def test_the_reader_of_this_test_refuses_what_prometheus_refuses(text: str) -> None:
    """Or the property above would prove nothing."""
    with pytest.raises(ValueError, match=r"unterminated|unknown escape|no quote"):
        unquote(text)
