"""Durations and limits are written as Prometheus users write them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remediator.units import Limit, format_duration, parse_duration, parse_limit


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("0s", 0), ("90s", 90), ("10m", 600), ("1h30m", 5400), ("2d", 172800), ("1w", 604800), ("1500ms", 1.5)],
)
def test_parses_durations(text: str, seconds: float) -> None:
    assert parse_duration(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "10", "-1m", "1.5h", "30m1h", "1 h", "2 hours", "1h1h", "99999999y", "\u0661m"])
def test_refuses_what_prometheus_refuses(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|too long"):
        parse_duration(text)


@settings(deadline=None)  # times of a shared machine are not what is tested
@given(st.integers(min_value=0, max_value=10**11))
def test_a_duration_reads_back(milliseconds: int) -> None:
    value = timedelta(milliseconds=milliseconds)
    assert parse_duration(format_duration(value)) == value


@pytest.mark.parametrize(
    ("text", "limit"), [("1 per 10m", Limit(1, timedelta(minutes=10))), ("7 per 1d", Limit(7, timedelta(days=1)))]
)
def test_parses_limits(text: str, limit: Limit) -> None:
    assert parse_limit(text) == limit
    assert str(limit) == text


@pytest.mark.parametrize("text", ["", "per 1h", "1 per", "0 per 1h", "1 per 0s", "1/h", "-1 per 1h", "1 per hour"])
def test_refuses_limits_that_limit_nothing(text: str) -> None:
    with pytest.raises(ValueError, match=r"limit|allows nothing|no window"):
        parse_limit(text)
