"""What a month suggests: sentences that follow from its numbers, each with the numbers that led to it. Pure.

Each is a rule of thumb with a threshold, so that the same month always says the same. None is a change: what they
name is a person's to decide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from remediator.export.monthly import Monthly, RuleMonth
from remediator.reasons import Reason

MIN_ACTIONS = 3
"""Fewer actions than this say nothing of a rule."""

MIN_WOULD_HAVE = 5
OFTEN = 3


@dataclass(frozen=True, slots=True)
class Suggestion:
    """`about` is the rule, target or alert; `because` holds the numbers."""

    about: str
    text: str
    because: str


def suggestions_of(month: Monthly) -> Sequence[Suggestion]:
    """In the order of what matters most: what does harm, what comes back, what is noise, what lacks something."""
    found = [one for each in _OF_RULES for rule in month.rules for one in each(rule)]
    return [*_of_harm(month), *_of_offenders(month), *_of_noise(month), *_of_misses(month), *found]


def _of_harm(month: Monthly) -> Iterator[Suggestion]:
    for rule in month.rules:
        if rule.settled >= MIN_ACTIONS and 3 * rule.verified < 2 * rule.settled:
            text = "Set its mode to approve until it is understood why its actions do not help."
            taken = f", {rule.reverted} taken back" if rule.reverted else ""
            yield Suggestion(rule.rule, text, f"{rule.verified} of {rule.settled} actions verified{taken}")


def _of_offenders(month: Monthly) -> Iterator[Suggestion]:
    for one in month.offenders:
        text = "Look for the cause that stays: what was done helps until the next time."
        done = f", {one.actions} actions, {one.verified} verified" if one.actions else ", no action"
        yield Suggestion(one.target, text, f"{one.incidents} incidents{done}")


def _of_noise(month: Monthly) -> Iterator[Suggestion]:
    for one in month.noise:
        if one.no_rule > one.alone:
            text = "Write a rule for it, or do not send it here."
        else:
            text = "Raise its for:, or the wait of its severity: it mostly goes by itself."
        yield Suggestion(
            one.alert,
            text,
            f"{one.nothing} of {one.episodes} came to nothing ({one.alone} went alone, {one.no_rule} without a rule)",
        )


def _of_misses(month: Monthly) -> Iterator[Suggestion]:
    for rule in month.rules:
        own = [one for one in month.near_misses if one.rule == rule.rule]
        if len(own) >= 2:
            by = ", ".join(sorted({one.stopped_by for one in own}))
            text = "Narrow its conditions: it wanted to do what was not needed."
            yield Suggestion(rule.rule, text, f"{len(own)} near misses, stopped by {by}")


def _of_budgets(rule: RuleMonth) -> Iterator[Suggestion]:
    count = rule.held.get(Reason.LIMIT_USED, 0)
    if count >= OFTEN:
        text = "Ask why it is needed so often before raising its limits."
        yield Suggestion(rule.rule, text, f"held {count} times with its budgets used up")


def _of_evidence(rule: RuleMonth) -> Iterator[Suggestion]:
    lacking = {
        reason.value: count
        for reason in (Reason.FACT_MISSING, Reason.EVIDENCE_MISSING, Reason.TARGET_UNREADABLE)
        if (count := rule.reasons.get(reason, 0))
    }
    if sum(lacking.values()) >= OFTEN:
        text = "Look at Prometheus and at the permissions: it often could not see what it needs."
        yield Suggestion(rule.rule, text, ", ".join(f"{count} times {reason}" for reason, count in lacking.items()))


def _of_answers(rule: RuleMonth) -> Iterator[Suggestion]:
    if (count := rule.reasons.get(Reason.APPROVAL_EXPIRED, 0)) >= OFTEN:
        text = "Say who approves it: nobody answered within the time."
        yield Suggestion(rule.rule, text, f"{count} decisions ran out")


def _of_silence(rule: RuleMonth) -> Iterator[Suggestion]:
    if rule.would_have >= MIN_WOULD_HAVE and not rule.actions:
        text = "Compare what it recommended with what people did; if it was the same, try mode approve."
        yield Suggestion(rule.rule, text, f"would have acted {rule.would_have} times; only the mode forbade it")


_OF_RULES: tuple[Callable[[RuleMonth], Iterator[Suggestion]], ...] = (
    _of_budgets,
    _of_evidence,
    _of_answers,
    _of_silence,
)
