"""promtool's notation, and what a course says between and beyond its values."""

from datetime import timedelta

import pytest

from remediator.simulate.values import Course, parse_values

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1 2 3", (1, 2, 3)),
        ("1+2x3", (1, 3, 5, 7)),
        ("5-1x2", (5, 4, 3)),
        ("7x2", (7, 7, 7)),
        ("1 _x2 2", (1, None, None, 2)),
        ("1Mi+1Kix1", (2**20, 2**20 + 1024)),
        ("0.5 250m", (0.5, 0.25)),
    ],
)
def test_the_notation(text: str, values: tuple[float | None, ...]) -> None:
    assert parse_values(text) == values


@pytest.mark.parametrize("text", ["", "x", "1+x3", "1x20000", "1,2"])
def test_what_is_no_value_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="value"):
        parse_values(text)


def test_a_course_holds_from_its_beginning_and_its_last_value_stays() -> None:
    course = Course((1.0, None, 3.0), begins=-MINUTE, every=MINUTE)
    seen = [course.at(n * MINUTE) for n in (-2, -1, 0, 1, 99)]
    assert seen == [None, 1.0, None, 3.0, 3.0]
    assert course.highest(-5 * MINUTE, timedelta()) == 1.0
    assert course.highest(-5 * MINUTE, 5 * MINUTE) == 3.0
    assert course.highest(-5 * MINUTE, -2 * MINUTE) is None
