"""The matcher syntax and its meaning are Alertmanager's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remediator.rules.matcher import BadExpression, Matcher, Op, matcher, parse_matchers
from remediator.rules.quoting import quote, unquote

DATA = Path(__file__).parents[2] / "data" / "rules"
UPSTREAM = [json.loads(line) for line in (DATA / "matchers-alertmanager-0.33.0.jsonl").read_text().splitlines()]
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)


def as_lists(matchers: tuple[Matcher, ...]) -> list[list[str]]:
    return [[each.name, str(each.op), each.value, str(each)] for each in matchers]


def test_reads_what_alertmanager_reads_as_it_does() -> None:
    """250 texts with the answers of Alertmanager 0.33.0's own parser (its default, both syntaxes)."""
    accepted = [case for case in UPSTREAM if case["matchers"] is not None]
    wrong = [case for case in accepted if as_lists(parse_matchers(case["text"])) != case["matchers"]]
    assert not wrong
    assert len(accepted) == 250


@pytest.mark.parametrize("text", [case["text"] for case in UPSTREAM if case["matchers"] is None])
def test_refuses_what_alertmanager_refuses(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_matchers(text)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("foo=bar", ['foo="bar"']),
        ("{foo=bar,}", ['foo="bar"']),
        ('foo = "a,b" , bar!~"x.*"', ['foo="a,b"', 'bar!~"x.*"']),
        ('"a b"="c"', ['"a b"="c"']),
        ("foo=", ['foo=""']),
        ("", []),
        ("{}", []),
        (r'foo="bar\t"', [r'foo="bar\\t"']),  # the two syntaxes disagree: the classic one holds
        (r'foo=~"\d+"', [r'foo=~"\\d+"']),  # only classic
        (r'"föö"="\U0001f642"', ['föö="🙂"']),  # only UTF-8
    ],
)
def test_canonical_text(text: str, canonical: list[str]) -> None:
    assert [str(each) for each in parse_matchers(text)] == canonical


@pytest.mark.parametrize(
    ("text", "labels", "holds"),
    [
        ('a="x"', {"a": "x"}, True),
        ('a="x"', {"a": "xx"}, False),
        ('a="x"', {}, False),
        ('a=""', {}, True),
        ('a!="x"', {}, True),
        ('a!=""', {}, False),
        ('a=~"x|y"', {"a": "y"}, True),
        ('a=~"x|y"', {"a": "xy"}, False),
        ('a=~"kube"', {"a": "kube-system"}, False),
        ('a=~"kube-.*"', {"a": "kube-system"}, True),
        ('a=~".*"', {}, True),
        ('a=~".+"', {}, False),
        ('a!~"kube-.*"', {}, True),
        ('a!~"kube-.*"', {"a": "kube-system"}, False),
        ('a=~"x.y"', {"a": "x\ny"}, False),
        ('a=~"x"', {"a": "x\n"}, False),
    ],
)
def test_meaning(text: str, labels: dict[str, str], holds: bool) -> None:
    (only,) = parse_matchers(text)
    assert only.matches(labels) is holds


@pytest.mark.parametrize(
    ("text", "accepted"),
    [('a="x"', {"x"}), ('a=~"x|yz?"', {"x", "y", "yz"}), ('a=~"x.*"', None), ('a!="x"', None), ('a!~"x"', None)],
)
def test_lists_the_values_it_lets_through(text: str, accepted: set[str] | None) -> None:
    (only,) = parse_matchers(text)
    assert only.accepted() == accepted


def test_a_bad_expression_is_told_from_bad_syntax() -> None:
    with pytest.raises(BadExpression, match="missing closing"):
        parse_matchers('a=~"(x"')


def test_an_expression_we_refuse_is_never_read_the_other_way() -> None:
    r"""Alertmanager reads `\b` here as a word boundary; the UTF-8 syntax alone would make it a backspace."""
    with pytest.raises(BadExpression, match="word boundary"):
        parse_matchers(r'foo!~"\t\bar"')


@settings(deadline=None)  # times of a shared machine are not what is tested
@given(name=TEXT.filter(bool), op=st.sampled_from([Op.EQUAL, Op.NOT_EQUAL]), value=TEXT)
def test_text_reads_back(name: str, op: Op, value: str) -> None:
    written = matcher(name, op, value)
    assert parse_matchers(str(written)) == (written,)


@settings(deadline=None)  # times of a shared machine are not what is tested
@given(st.lists(st.tuples(TEXT.filter(bool), TEXT), min_size=1, max_size=4))
def test_a_list_reads_back(pairs: list[tuple[str, str]]) -> None:
    written = tuple(matcher(name, Op.EQUAL, value) for name, value in pairs)
    text = "{" + ",".join(f"{quote(each.name)}={quote(each.value)}" for each in written) + "}"
    assert parse_matchers(text) == written


@settings(deadline=None)  # times of a shared machine are not what is tested
@given(st.text(max_size=30))
def test_never_anything_but_a_value_error(text: str) -> None:
    try:
        parse_matchers(text)
    except ValueError:
        return


@settings(deadline=None)  # times of a shared machine are not what is tested
@given(TEXT)
def test_quoted_text_reads_back(text: str) -> None:
    assert unquote(quote(text)) == text
