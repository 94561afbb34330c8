"""What several matchers let through together is decided on their automata, and agrees with trying values."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remediator.rules.inclusion import TooComplex, is_contained, is_empty, labels_of, value_of
from remediator.rules.matcher import Matcher, parse_matchers

VALUES = ["".join(chars) for length in range(5) for chars in itertools.product("ab", repeat=length)]
EXPRESSIONS = ["a", "b", "a*", "a|b", ".*", "ab?", "(ab)*", "[ab]a.*", "", "a.*", "b+", "aab|ba"]


def of(*lines: str) -> list[Matcher]:
    return [matcher for line in lines for matcher in parse_matchers(line)]


@pytest.mark.parametrize(
    ("inner", "outer", "holds"),
    [
        (['a="x"'], ['a=~"x|y"'], True),
        (['a=~"x|y"'], ['a="x"'], False),
        (['a=~"Kube.*"'], ['a=~"K.*"'], True),
        (['a=~"K.*"'], ['a=~"Kube.*"'], False),
        (['a="x"', 'b="y"'], ['a="x"'], True),
        (['a="x"'], ['a="x"', 'b="y"'], False),
        (['a="x"'], ['a="x"', 'b=~".*"'], True),
        (['a="x"'], ['b!="y"'], False),
        (['a=~"shop-.*"'], ['a!~"kube-.*"'], True),
        (['a!~"kube-.*"'], ['a!="kube-system"'], True),
        (['a!="kube-system"'], ['a!~"kube-.*"'], False),
        (['a=~"a.*"', 'a=~".*z"'], ['a=~"a.*z"'], True),
        (['a=~"[0-9]+"'], ['a=~"[0-9a-f]+"'], True),
    ],
)
def test_containment(inner: list[str], outer: list[str], holds: bool) -> None:
    assert is_contained(of(*inner), of(*outer)) is holds


@pytest.mark.parametrize(
    ("lines", "label"),
    [
        (['a="x"', 'a="y"'], "a"),
        (['a="x"', 'a!="x"'], "a"),
        (['b="1"', 'a=~"x.*"', 'a!~"x.*"'], "a"),
        (['a=~"x.*"', 'a!~"x.+"'], None),
        (['a=~"x.*"', 'a!~"x.+"', 'a!="x"'], "a"),
        (['a!=""', 'a=~".?"'], None),
    ],
)
def test_emptiness(lines: list[str], label: str | None) -> None:
    assert is_empty(of(*lines)) == label


@pytest.mark.parametrize(
    ("lines", "labels"),
    [
        (['a="x"', 'b!=""', 'c=~"y.*"'], {"a": "x", "b": "a", "c": "y"}),
        (['a="x"', 'a!="x"'], None),
        ([], {}),
    ],
)
def test_labels_that_pass(lines: list[str], labels: dict[str, str] | None) -> None:
    assert labels_of(of(*lines)) == labels


def test_what_takes_too_long_is_not_claimed() -> None:
    """Products of large automata: nothing is said, in either direction."""
    hard = [f'a=~".*{"a" * 3}.{{{length}}}b.{{7}}"' for length in (3, 4, 5, 6, 7)]
    with pytest.raises(TooComplex):
        value_of([*((each, True) for each in of(*hard)), *((each, False) for each in of('a=~".*"'))])
    assert is_contained(of(*hard), of('a!~".*"')) is False


@settings(deadline=None, max_examples=150)
@given(
    st.lists(
        st.tuples(st.sampled_from(["=~", "!~", "=", "!="]), st.sampled_from(EXPRESSIONS), st.booleans()), max_size=3
    )
)
def test_agrees_with_trying(parts: list[tuple[str, str, bool]]) -> None:
    """A value that is found passes, and none is found only where no short one does."""
    wanted = [(of(f'a{op}"{text}"')[0], is_wanted) for op, text, is_wanted in parts]
    found = value_of(wanted)
    tried = [value for value in VALUES if all(each.matches_value(value) is good for each, good in wanted)]
    if found is None:
        assert tried == []
    else:
        assert all(each.matches_value(found) is good for each, good in wanted)
