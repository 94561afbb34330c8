"""Episodes out of series: what is a gap, what is an end, and when it began."""

from __future__ import annotations

from dataclasses import replace

import pytest

from remediator.backtest.episodes import Episode, episodes
from remediator.backtest.history import History, Series, joined, runs_of
from tests.unit.backtest.written import STEP, at, firing, history, state, when

Times = list[tuple[float, float | None]]


def times(found: list[Episode]) -> Times:
    """Begin and end of each, in minutes."""

    def minutes(one: object) -> float:
        return round((one - when(0)).total_seconds() / 60, 3)  # type: ignore[operator]

    return [(minutes(one.begins_at), None if one.ends_at is None else minutes(one.ends_at)) for one in found]


CASES: dict[str, tuple[History, Times]] = {
    "one run: from its first step to the step after its last": (history(firing("A", (10, 20))), [(10, 21)]),
    "a gap without a state: Prometheus says that it ended": (
        history(firing("A", (10, 20), (22, 30))),
        [(10, 21), (22, 31)],
    ),
    "a gap with the same state: Prometheus was away, the alert was not": (
        history(firing("A", (10, 20), (35, 40)), states=(state("A", (0, 20, -1), (35, 40, -1)),)),
        [(10, 41)],
    ),
    "a restart that changed nothing in sight is none": (
        history(firing("A", (10, 40)), states=(state("A", (10, 20, 1), (21, 40, 1)),)),
        [(10, 41)],
    ),
    "another state after a gap: another episode": (
        history(firing("A", (10, 20), (35, 40)), states=(state("A", (0, 20, -1), (30, 40, 29.5)),)),
        [(10, 21), (35, 41)],
    ),
    "another state without a gap: it ended and began between two steps": (
        history(firing("A", (10, 30)), states=(state("A", (10, 20, 9.5), (21, 30, 20.5)),)),
        [(9.5, 20.5), (20.5, 31)],
    ),
    "a state that is missing for a while takes nothing apart": (
        history(firing("A", (10, 30)), states=(state("A", (10, 14, 1), (20, 30, 1)),)),
        [(10, 31)],
    ),
    "without `for` it began when it became active": (
        history(
            firing("A", (10, 20)),
            states=(
                state(
                    "A",
                    (10, 20, 9.25),
                ),
            ),
        ),
        [(9.25, 21)],
    ),
    "with `for` it began when it was seen to fire": (
        history(
            firing("A", (10, 20)),
            states=(
                state(
                    "A",
                    (0, 20, -5),
                ),
            ),
        ),
        [(10, 21)],
    ),
    "two replicas that overlap are one": (
        history(
            firing("A", (10, 20), prometheus_replica="a"),
            firing("A", (12, 25), prometheus_replica="b"),
            states=(
                state("A", (5, 20, 4.1), prometheus_replica="a"),
                state("A", (5, 25, 4.6), prometheus_replica="b"),
            ),
        ),
        [(10, 26)],
    ),
    "other labels are another alert": (
        history(firing("A", (10, 20), severity="warning"), firing("A", (21, 30), severity="critical")),
        [(10, 21), (21, 31)],
    ),
    "it fires to the end": (history(firing("A", (590, 600))), [(590, None)]),
    "it ended with the last step": (history(firing("A", (590, 599))), [(590, 600)]),
    "one sample": (history(firing("A", (10, 10))), [(10, 11)]),
    "pending is not firing": (
        history(Series({"alertname": "A", "alertstate": "pending"}, firing("A", (1, 5)).spans)),
        [],
    ),
    "what was over before the history began is not of it": (history(firing("A", (-20, -10))), []),
}


@pytest.mark.parametrize(("given", "expected"), CASES.values(), ids=CASES)
def test_series_become_episodes(given: History, expected: Times) -> None:
    """Minutes from the beginning."""
    assert times(episodes(given)) == expected


def test_what_fires_when_history_begins_has_no_known_begin() -> None:
    """Unless it became active with the first step."""
    [cut] = episodes(history(firing("A", (0, 10))))
    assert cut.is_cut
    [fresh] = episodes(history(firing("A", (1, 10))))
    assert not fresh.is_cut
    [exact] = episodes(history(firing("A", (1, 10)), states=(state("A", (1, 10, 0.5)),)))
    assert (exact.is_cut, exact.begins_at) == (False, when(0.5))


def test_labels_are_as_alertmanager_sees_them() -> None:
    """Without those of Prometheus' own series and of its replica, with the external ones where there is none."""
    given = history(
        firing("A", (10, 20), __name__="ALERTS", prometheus_replica="a", team="shop"),
        external={"cluster": "prod", "team": "other"},
    )
    assert [one.labels for one in episodes(given)] == [{"alertname": "A", "team": "shop", "cluster": "prod"}]


def test_a_coarse_step_says_so_in_its_times() -> None:
    """An end is known to a step."""
    coarse = replace(history(firing("A", (10, 20))), step=5 * STEP)
    assert times(episodes(coarse)) == [(10, 25)]


def test_samples_become_runs_of_one_value() -> None:
    assert runs_of([(0, 1), (60, 1), (120, 2), (240, 2), (300, 2)], 60) == [(0, 60, 1), (120, 120, 2), (240, 300, 2)]


def test_pieces_of_a_time_are_joined_where_a_run_goes_on() -> None:
    """Each day is a question of its own."""
    monday, tuesday = firing("A", (10, 19)), firing("A", (20, 30), (40, 41))
    [one] = joined([monday, tuesday], 60)
    assert one.spans == ((at(10), at(30), 1), (at(40), at(41), 1))
