"""What a received alert is to us, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from remediator.model import Alert
from remediator.store.base import Accepted
from remediator.store.episodes import Episode, Kind, prepare, sort
from remediator.store.rows import to_micros
from tests.unit.store.examples import NOW, SECOND, STARTED, firing, resolved

KEY = (firing().fingerprint, to_micros(STARTED))
EARLIER = (firing().fingerprint, to_micros(STARTED - SECOND))
LATER = (firing().fingerprint, to_micros(STARTED + SECOND))
OTHER = (firing(2).fingerprint, to_micros(STARTED))


@pytest.mark.parametrize(
    ("known", "alerts", "accepted", "events"),
    [
        ([], [firing()], Accepted(queued=1), [(Kind.RECEIVED, KEY)]),
        ([(KEY, True)], [firing()], Accepted(repeated=1), []),
        ([(KEY, False)], [firing()], Accepted(repeated=1), []),
        ([(EARLIER, True)], [firing()], Accepted(queued=1), [(Kind.RECEIVED, KEY)]),
        ([(LATER, False)], [firing()], Accepted(queued=1), [(Kind.RECEIVED, KEY)]),
        ([], [resolved()], Accepted(resolved=1), [(Kind.RESOLVED, KEY)]),
        ([(KEY, True)], [resolved()], Accepted(resolved=1), [(Kind.RESOLVED, KEY)]),
        ([(KEY, False)], [resolved()], Accepted(repeated=1), []),
        ([(KEY, False), (EARLIER, True)], [resolved()], Accepted(resolved=1), [(Kind.RESOLVED, EARLIER)]),
        ([(KEY, True), (LATER, True)], [resolved()], Accepted(resolved=1), [(Kind.RESOLVED, KEY)]),
        ([(KEY, True), (OTHER, True)], [resolved()], Accepted(resolved=1), [(Kind.RESOLVED, KEY)]),
        (
            [],
            [firing(), resolved()],
            Accepted(queued=1, resolved=1),
            [(Kind.RECEIVED, KEY), (Kind.RESOLVED, KEY)],
        ),
        ([], [resolved(), firing()], Accepted(resolved=1, repeated=1), [(Kind.RESOLVED, KEY)]),
    ],
    ids=[
        "first sight",
        "repeat",
        "late repeat of a resolved one",
        "new start",
        "start before a resolved one",
        "resolved without firing",
        "resolved",
        "resolved again",
        "resolution reaches an older one",
        "resolution leaves a newer one",
        "resolution leaves another fingerprint",
        "fired and resolved at once",
        "reordered",
    ],
)
def test_sorts_an_alert_by_what_is_known(
    known: Sequence[tuple[tuple[str, int], bool]],
    alerts: Sequence[Alert],
    accepted: Accepted,
    events: Sequence[tuple[Kind, tuple[str, int]]],
) -> None:
    episodes = [Episode(key, number, is_firing) for number, (key, is_firing) in enumerate(known)]
    result = sort([prepare(alerts, NOW)], episodes)
    assert result.accepted == [accepted]
    assert [(event.kind, event.episode.key) for event in result.events] == list(events)


def test_each_body_gets_its_own_answer() -> None:
    intakes = [prepare([firing(1)], NOW), prepare([firing(1), firing(2)], NOW)]
    assert sort(intakes, []).accepted == [Accepted(queued=1), Accepted(queued=1, repeated=1)]


def test_counts_how_often_an_episode_was_received() -> None:
    result = sort([prepare([firing(), firing()], NOW), prepare([firing()], NOW + SECOND)], [])
    assert [(episode.times, episode.last_at) for episode in result.touched] == [(3, NOW + SECOND)]


@pytest.mark.parametrize(
    ("alert", "at"),
    [
        (replace(firing(), starts_at=STARTED.replace(tzinfo=None)), NOW),
        (replace(firing(), receiver="\ud800"), NOW),
        (firing(), NOW.replace(tzinfo=None)),
    ],
    ids=["start without a zone", "not Unicode", "received without a zone"],
)
def test_refuses_what_could_not_be_stored(alert: Alert, at: object) -> None:
    with pytest.raises(ValueError, match=r"zone|surrogates"):
        prepare([alert], at)  # type: ignore[arg-type]
