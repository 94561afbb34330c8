"""Counts, shares and their intervals."""

from __future__ import annotations

from datetime import timedelta
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.model import RemediationId
from remediator.score.card import card_of, cards_of
from remediator.score.wilson import Z, share
from remediator.store.scores_base import Happened, Judgement, Scored, Word
from tests.workloads import NOW, TARGET


def scored(
    happened: Happened | None = Happened.SAME,
    right: bool | None = True,
    *,
    harmful: bool = False,
    saved: int | None = None,
    word: bool | None = None,
    rule: str = "crash-loop",
) -> Scored:
    judgement = None
    if happened is not None:
        judgement = Judgement(happened, right, harmful, "", None if saved is None else timedelta(seconds=saved))
    said = None if word is None else Word(RemediationId(1), word, False, "ada", "looked", NOW)
    return Scored(RemediationId(1), None, rule, "s", "silent", "rollback", TARGET, NOW, judgement, None, said)


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [
        # By Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        # and of what is asked for here
        (20, 20, 0.8389, 1.0),
        (19, 20, 0.7639, 0.9911),
    ],
)
def test_the_interval_is_wilsons(count: int, of: int, low: float, high: float) -> None:
    found = share(count, of)
    assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


@given(st.integers(1, 5000).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))))
def test_the_ends_of_the_interval_solve_wilsons_equation(pair: tuple[int, int]) -> None:
    """Each end is the share from which the one that was seen is exactly Z standard errors away."""
    count, of = pair
    found = share(count, of)
    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low <= count / of <= found.high <= 1
    for end in (found.low, found.high):
        if 0 < end < 1:
            assert abs(count / of - end) == pytest.approx(Z * sqrt(end * (1 - end) / of), rel=1e-6, abs=1e-9)


def test_of_none_nothing_is_said() -> None:
    found = share(0, 0)
    assert (found.ratio, found.low, found.high) == (None, None, None)
    with pytest.raises(ValueError, match="3 of 2"):
        share(3, 2)


def test_a_card_counts_what_happened() -> None:
    card = card_of(
        "crash-loop",
        [
            scored(saved=60),
            scored(saved=600),
            scored(Happened.APPROVED),
            scored(Happened.OTHER, False),
            scored(Happened.OTHER, None),
            scored(Happened.ALONE, False, harmful=True),
            scored(Happened.WORSE, None),
            scored(Happened.UNKNOWN, None),
            scored(None),
        ],
    )
    assert (card.decisions, card.awaited, card.right, card.wrong, card.undecided) == (9, 1, 3, 2, 3)
    assert (card.precision.count, card.precision.of) == (3, 5)
    assert (card.agreement.count, card.agreement.of) == (3, 5)
    assert (card.harmful.count, card.harmful.of) == (1, 8)
    assert (card.saved, card.saved_median) == (timedelta(seconds=660), timedelta(seconds=330))
    assert sum(card.happened.values()) == 8


@pytest.mark.parametrize(
    ("one", "right", "harmful"),
    [
        (scored(Happened.OTHER, False, harmful=True, word=True), True, False),
        (scored(Happened.OTHER, False, harmful=True, word=False), False, True),
        (scored(Happened.SAME, True, word=False), False, False),
        (scored(Happened.UNKNOWN, None, word=True), True, False),
        (scored(None, word=False), False, False),
    ],
)
def test_a_persons_word_beats_the_judgement(one: Scored, right: bool, harmful: bool) -> None:
    assert (one.is_right, one.is_harmful) == (right, harmful)
    card = card_of("crash-loop", [one])
    assert (card.right, card.wrong, card.by_people, card.awaited) == (int(right), int(not right), 1, 0)


def test_each_rule_has_its_card() -> None:
    cards = cards_of([scored(rule="b"), scored(rule="a"), scored(rule="b")])
    assert [(card.rule, card.decisions) for card in cards] == [("a", 1), ("b", 2)]
