"""`queries`: placeholders that cannot break out of where they stand, and one number or unknown."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.diagnose.queries import fill_in
from remediator.prometheus.base import BadQuery, Sample
from tests.fakes import ScriptedMetrics
from tests.unit.diagnose.scenes import collect, scene

VALUES = {"namespace": "shop", "workload": "check.out", "pod": 'a"b\\c\'d', "kind": "Deployment"}

FILLED: list[tuple[str, str, str]] = [
    ("in double quotes", 'up{namespace="$namespace"}', 'up{namespace="shop"}'),
    ("outside of quotes", "up{namespace=$namespace}", 'up{namespace="shop"}'),
    ("part of a string", 'up{pod="$workload-0"}', 'up{pod="check.out-0"}'),
    ("in a regular expression", 'up{pod=~"$workload-.*"}', 'up{pod=~"check\\\\.out-.*"}'),
    ("in a negative one", 'up{pod!~"$workload-.*"}', 'up{pod!~"check\\\\.out-.*"}'),
    ("a regular expression without quotes", "up{pod=~$workload}", 'up{pod=~"check\\\\.out"}'),
    ("not in the string after one", 'up{a=~"x",pod="$workload"}', 'up{a=~"x",pod="check.out"}'),
    ("quotes in double quotes", 'up{pod="$pod"}', 'up{pod="a\\"b\\\\c\'d"}'),
    ("quotes in single quotes", "up{pod='$pod'}", "up{pod='a\"b\\\\c\\'d'}"),
    ("in backquotes", "up{pod=`$workload`}", "up{pod=`check.out`}"),
    ("a regular expression in backquotes", "up{pod=~`$workload-.*`}", "up{pod=~`check\\.out-.*`}"),
    ("twice", 'a{n="$namespace"} / b{n="$namespace"}', 'a{n="shop"} / b{n="shop"}'),
    ("a group of label_replace stays", 'label_replace(up,"a","$1","b","x")', 'label_replace(up,"a","$1","b","x")'),
    ("an end of line in a regular expression stays", 'up{pod=~"x$"}', 'up{pod=~"x$"}'),
    ("a longer name is another name", 'up{pod="$pods"}', 'up{pod="$pods"}'),
    ("in a comment", "up # $namespace", "up # $namespace"),
    ("behind an escaped quote", 'up{a="\\"",n="$namespace"}', 'up{a="\\"",n="shop"}'),
]


@pytest.mark.parametrize(("expression", "expected"), [row[1:] for row in FILLED], ids=[row[0] for row in FILLED])
def test_a_placeholder_becomes_a_value_where_it_stands(expression: str, expected: str) -> None:
    assert fill_in(expression, VALUES) == expected


@given(st.text())
def test_no_value_ends_the_string_that_it_stands_in(value: str) -> None:
    """Whatever a label holds: behind the value comes the rest of the expression, in the string it was written in."""
    filled = fill_in('up{pod="<$pod>"}', {"pod": value})

    inner = filled.removeprefix('up{pod="<').removesuffix('>"}')
    assert filled == f'up{{pod="<{inner}>"}}'
    assert '"' not in inner.replace("\\\\", "").replace('\\"', "")
    assert "\n" not in inner


@pytest.mark.parametrize(
    ("expression", "values"), [('up{c="$container"}', VALUES), ("up{c=`$container`}", {"container": "a`b"})]
)
def test_without_a_usable_value_there_is_no_query(expression: str, values: dict[str, str]) -> None:
    with pytest.raises(LookupError, match="container"):
        fill_in(expression, values)


RESULTS: list[tuple[str, list[Sample], float | None, str]] = [
    ("one number", [Sample({}, 0.25)], 0.25, "0.25"),
    ("nothing", [], None, "no series"),
    ("several", [Sample({"a": "1"}, 1), Sample({"a": "2"}, 2)], None, "2 series"),
    ("a division by zero", [Sample({}, math.inf)], None, "inf"),
]


@pytest.mark.parametrize(("samples", "value", "words"), [row[1:] for row in RESULTS], ids=[row[0] for row in RESULTS])
async def test_a_query_gives_one_number_or_is_unknown(
    samples: list[Sample], value: float | None, words: str
) -> None:
    metrics = ScriptedMetrics({"errors": samples})

    [found] = await collect("queries", scene(metrics=metrics, queries={"ratio": 'errors{pod="$pod"}'}))

    assert found.facts == {"name": "ratio", "value": value}
    assert words in found.summary
    assert metrics.asked == ['errors{pod="checkout-3-a"}']


async def test_one_bad_query_costs_no_other() -> None:
    metrics = ScriptedMetrics({"bad": BadQuery("parse error"), "good": [Sample({}, 1.0)]})

    found = await collect("queries", scene(metrics=metrics, queries={"one": "bad(", "two": "good"}))

    assert [(one.facts["name"], one.facts["value"]) for one in found] == [("one", None), ("two", 1.0)]
    assert "parse error" in found[0].summary


async def test_a_label_that_the_alert_lacks_makes_the_query_unknown_and_nothing_is_asked() -> None:
    metrics = ScriptedMetrics({"up": [Sample({}, 1.0)]})

    [found] = await collect(
        "queries", scene(metrics=metrics, labels={"container": ""}, queries={"one": 'up{c="$container"}'})
    )

    assert (found.facts["value"], metrics.asked) == (None, [])


async def test_without_prometheus_every_query_is_unknown() -> None:
    [found] = await collect("queries", scene(queries={"one": "up"}))

    assert found.facts == {"name": "one", "value": None}
