"""The report `monthly`: each rule's month, who and what comes back, what is noise, and what nearly went wrong. Pure.

What counts, and why:

- A month is one of UTC. An *incident* belongs to the month in which its first alert reached us, with all that became
  of it since; an *action* to the month in which its intent was committed. An incident counts for each rule that had a
  part in it.
- *Actions* are lines of the ledger that were not given back, so a write that provably never happened is none.
  *Verified*, *failed* and *unknown* are what the first verification said; the rest is still open.
- *Time to recover* runs from when the first alert began to fire to when an action was verified or, without one, when
  the last alert was resolved (`facts.py`). The median, and the 90th percentile by rank: means hide both ends.
- *Recovered alone*: every alert of the incident was resolved while we were still deciding, so that neither we nor
  anybody whom we had told did anything. What was resolved after a recommendation or a hand-over may have been people's
  work, and is counted apart.
- *Repeat offender*: a target with `REPEATS` incidents or more. Two may be one fault in two alerts; the third is a cause
  that no restart removes.
- *Noisy alert*: at least `NOISY` episodes, of which at least half came to nothing: resolved alone, or no rule wanted
  it. Half is where a page is more often wrong than right.
- *Near miss*: `near_misses.py`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from remediator.export.facts import Recovery
from remediator.export.near_misses import NearMiss, near_misses
from remediator.model import Outcome, State
from remediator.reasons import Reason
from remediator.store.reports_base import Came, Debited, Step

REPEATS = 3
NOISY = 5
MAX_LISTED = 50

KINDS = (
    "step.planned",
    "decision.held",
    "action.intent",
    "action.applied",
    "outcome.verified",
    "outcome.temporary",
    "outcome.reverted",
)
"""The records that it is made from."""

_PROOFS = ("outcome.verified", "outcome.temporary")

T = TypeVar("T")
U = TypeVar("U", Step, Debited)


@dataclass(frozen=True, slots=True)
class RuleMonth:
    """One rule's month. `ended` is state -> alerts, `held` is reason -> how often; `would_have` are the actions that
    only the mode kept from being done."""

    rule: str
    alerts: int = 0
    incidents: int = 0
    actions: int = 0
    verified: int = 0
    failed: int = 0
    unknown: int = 0
    reverted: int = 0
    would_have: int = 0
    recovered: Mapping[str, int] = field(default_factory=dict)
    median_to_recover: timedelta | None = None
    slowest_tenth: timedelta | None = None
    ended: Mapping[str, int] = field(default_factory=dict)
    reasons: Mapping[str, int] = field(default_factory=dict)
    held: Mapping[str, int] = field(default_factory=dict)

    @property
    def settled(self) -> int:
        return self.verified + self.failed + self.unknown


@dataclass(frozen=True, slots=True)
class Offender:
    """A target that comes back."""

    target: str
    incidents: int
    actions: int
    verified: int
    rules: tuple[str, ...]
    alerts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Noise:
    """An alert that mostly comes to nothing."""

    alert: str
    episodes: int
    alone: int
    no_rule: int

    @property
    def nothing(self) -> int:
        return self.alone + self.no_rule


@dataclass(frozen=True, slots=True)
class Monthly:
    begin: datetime
    end: datetime
    rules: Sequence[RuleMonth]
    whole: RuleMonth
    offenders: Sequence[Offender]
    noise: Sequence[Noise]
    near_misses: Sequence[NearMiss]


@dataclass(frozen=True, slots=True)
class Ended:
    """How an incident became well again, and after how long."""

    recovery: Recovery
    after: timedelta | None


def monthly_of(
    came: Sequence[Came], steps: Sequence[Step], debited: Sequence[Debited], *, begin: datetime, end: datetime
) -> Monthly:
    incidents = _incidents(came)
    done = [one for one in debited if not one.is_shadow]
    ended = {number: _ended(*own) for number, own in _joined(incidents, steps, done).items()}
    rule_of = {one.remediation: one.rule for one in came}
    parts = _Parts(
        came=_grouped(came, [one.rule for one in came]),
        steps=_grouped(steps, [rule_of.get(one.remediation, "") for one in steps]),
        debited=_grouped(debited, [one.rule for one in debited]),
    )
    names = sorted({*parts.came, *parts.debited} - {""})
    return Monthly(
        begin=begin,
        end=end,
        rules=[_rule(name, parts.came[name], parts.steps[name], parts.debited[name], ended) for name in names],
        whole=_rule("", came, steps, debited, ended),
        offenders=_offenders(incidents, done),
        noise=_noise(came),
        near_misses=near_misses(came, steps, done)[:MAX_LISTED],
    )


@dataclass(frozen=True, slots=True)
class _Parts:
    """What belongs to each rule."""

    came: Mapping[str, Sequence[Came]]
    steps: Mapping[str, Sequence[Step]]
    debited: Mapping[str, Sequence[Debited]]


def _grouped(items: Iterable[T], names: Iterable[str]) -> Mapping[str, Sequence[T]]:
    found: dict[str, list[T]] = defaultdict(list)
    for item, name in zip(items, names, strict=True):
        found[name].append(item)
    return found


def _incidents(came: Sequence[Came]) -> Mapping[int, Sequence[Came]]:
    found: dict[int, list[Came]] = defaultdict(list)
    for one in came:
        if one.incident is not None:
            found[one.incident].append(one)
    return found


def _joined(
    incidents: Mapping[int, Sequence[Came]], steps: Sequence[Step], done: Sequence[Debited]
) -> Mapping[int, tuple[Sequence[Came], Sequence[Step], Sequence[Debited]]]:
    """Each incident with its own outcomes and actions."""
    place = {one.remediation: number for number, own in incidents.items() for one in own}
    outcomes = _by_incident((one for one in steps if one.kind in _PROOFS), place)
    actions = _by_incident(done, place)
    return {number: (own, outcomes[number], actions[number]) for number, own in incidents.items()}


def _by_incident(items: Iterable[U], place: Mapping[int, int]) -> Mapping[int, Sequence[U]]:
    found: dict[int, list[U]] = defaultdict(list)
    for item in items:
        if (number := place.get(item.remediation)) is not None:
            found[number].append(item)
    return found


def _ended(came: Sequence[Came], steps: Sequence[Step], done: Sequence[Debited]) -> Ended:
    began = min(one.began_at for one in came)
    if done and done[-1].outcome is Outcome.VERIFIED:
        proofs = [one.at for one in steps if one.remediation == done[-1].remediation and one.kind in _PROOFS]
        later = [one for one in came if one.received_at > done[-1].at and one.resolved_at is None]
        if proofs and not later:
            return Ended(Recovery.AFTER_ACTION, max(proofs[0] - began, timedelta(0)))
    ends = [one.resolved_at for one in came if one.resolved_at is not None]
    if len(ends) < len(came):
        return Ended(Recovery.NOT, None)
    is_alone = not done and all(map(_is_alone, came))
    return Ended(Recovery.ALONE if is_alone else Recovery.AFTER_TOLD, max(max(ends) - began, timedelta(0)))


def _is_alone(one: Came) -> bool:
    return one.state == State.CANCELLED and one.reason == Reason.ALERT_RESOLVED


def _rule(
    name: str, came: Sequence[Came], steps: Sequence[Step], debited: Sequence[Debited], ended: Mapping[int, Ended]
) -> RuleMonth:
    """All of these are the rule's; of all rules together for the empty name."""
    outcomes = Counter(one.outcome for one in debited if not one.is_shadow)
    incidents = sorted({one.incident for one in came if one.incident is not None})
    times = sorted(after for number in incidents if (after := ended[number].after) is not None)
    return RuleMonth(
        rule=name,
        alerts=len(came),
        incidents=len(incidents),
        actions=outcomes.total(),
        verified=outcomes[Outcome.VERIFIED],
        failed=outcomes[Outcome.FAILED],
        unknown=outcomes[Outcome.UNKNOWN],
        reverted=sum(one.kind == "outcome.reverted" for one in steps),
        would_have=sum(one.is_shadow for one in debited),
        recovered=Counter(ended[number].recovery.value for number in incidents),
        median_to_recover=rank(times, 0.5),
        slowest_tenth=rank(times, 0.9),
        ended=Counter(one.state for one in came),
        reasons=Counter(one.reason for one in came if one.reason),
        held=Counter(one.reason for one in steps if one.kind == "decision.held"),
    )


def rank(ordered: Sequence[timedelta], part: float) -> timedelta | None:
    """The smallest value that at least this part of them do not exceed (nearest rank); None of none."""
    if not ordered:
        return None
    return ordered[max(0, -int(-part * len(ordered) // 1) - 1)]


def _offenders(incidents: Mapping[int, Sequence[Came]], done: Sequence[Debited]) -> Sequence[Offender]:
    by_target: dict[str, list[Sequence[Came]]] = defaultdict(list)
    for own in incidents.values():
        if own[0].target:
            by_target[own[0].target].append(own)
    found = []
    for target, several in by_target.items():
        if len(several) < REPEATS:
            continue
        came, actions = [one for own in several for one in own], [one for one in done if one.target == target]
        found.append(
            Offender(
                target=target,
                incidents=len(several),
                actions=len(actions),
                verified=sum(one.outcome is Outcome.VERIFIED for one in actions),
                rules=tuple(sorted({one.rule for one in came if one.rule})),
                alerts=tuple(sorted({one.alert for one in came})),
            )
        )
    return sorted(found, key=lambda one: (-one.incidents, one.target))[:MAX_LISTED]


def _noise(came: Sequence[Came]) -> Sequence[Noise]:
    by_alert: dict[str, list[Came]] = defaultdict(list)
    for one in came:
        by_alert[one.alert].append(one)
    found = []
    for alert, own in by_alert.items():
        alone, no_rule = sum(map(_is_alone, own)), sum(one.reason == Reason.NO_RULE for one in own)
        noise = Noise(alert, len(own), alone, no_rule)
        if noise.episodes >= NOISY and 2 * noise.nothing >= noise.episodes:
            found.append(noise)
    return sorted(found, key=lambda one: (-one.nothing, one.alert))[:MAX_LISTED]
