"""The scorecard of each rule: recommendations as they were judged -> counts and shares. Pure; read by `api/`.

- *Decisions* are recommendations with a plan that nothing but the mode (or the word of a person) kept from being done.
- *Precision* is the share of right ones among those of which it is known: right / (right + wrong).
- *Agreement* is how often people, where they did something, did that: (the same + approved) / (these + something else).
- *Would have been harmful* is of all whose end is known, also where right or wrong is not: it is no part of precision.

A person's word takes the place of our judgement in precision and harm, and changes nothing in what happened.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from remediator.score.wilson import Share, share
from remediator.store.scores_base import Happened, Scored

AGREED = (Happened.SAME, Happened.APPROVED)


@dataclass(frozen=True, slots=True)
class Card:
    """One rule's. `awaited` are those whose end is not known yet, `undecided` those of which it does not tell;
    `by_people` had a person's word. `happened` is word -> count. `saved` is all time saved, `saved_median` of each."""

    rule: str
    decisions: int
    awaited: int
    happened: Mapping[str, int]
    right: int
    wrong: int
    undecided: int
    by_people: int
    precision: Share
    agreement: Share
    harmful: Share
    saved: timedelta
    saved_median: timedelta | None

    @property
    def known(self) -> int:
        """Those of which it is known whether they were right."""
        return self.right + self.wrong


def cards_of(scored: Iterable[Scored]) -> Sequence[Card]:
    """One for each rule, by name."""
    by_rule: dict[str, list[Scored]] = defaultdict(list)
    for one in scored:
        by_rule[one.rule].append(one)
    return [card_of(rule, by_rule[rule]) for rule in sorted(by_rule)]


def card_of(rule: str, scored: Sequence[Scored]) -> Card:
    """All of these are the rule's."""
    ended = [one for one in scored if one.judgement is not None or one.word is not None]
    happened = Counter(one.judgement.happened for one in scored if one.judgement is not None)
    agreed = sum(happened[word] for word in AGREED)
    right = sum(one.is_right is True for one in ended)
    wrong = sum(one.is_right is False for one in ended)
    saved = [one.judgement.saved for one in scored if one.judgement is not None and one.judgement.saved is not None]
    return Card(
        rule=rule,
        decisions=len(scored),
        awaited=len(scored) - len(ended),
        happened={word.value: happened[word] for word in Happened},
        right=right,
        wrong=wrong,
        undecided=len(ended) - right - wrong,
        by_people=sum(one.word is not None for one in scored),
        precision=share(right, right + wrong),
        agreement=share(agreed, agreed + happened[Happened.OTHER]),
        harmful=share(sum(one.is_harmful for one in ended), len(ended)),
        saved=sum(saved, timedelta()),
        saved_median=_median(saved),
    )


def _median(times: Sequence[timedelta]) -> timedelta | None:
    ordered, middle = sorted(times), len(times) // 2
    if not ordered:
        return None
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
