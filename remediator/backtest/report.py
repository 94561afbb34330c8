"""A backtest for people and for machines: counts by rule and day, and what they rest on. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime

from remediator.backtest.against import Change, Kind, by_rule
from remediator.backtest.decided import Decided, Result, Would
from remediator.backtest.known import FACTS
from remediator.clock import rfc3339
from remediator.model import Json
from remediator.units import format_duration

NO_RULE = "(no rule)"
ALL = "all"
SHOWN = 20
"""Changes that are shown one by one; the others are in the JSON."""

ASSUMED = (
    "every rule that is not off is active",
    "each alert reaches the service when it is first seen to fire, whatever routes, silences and inhibitions say",
    "history goes on as it did, whatever would have been done",
    "an action helps, and is under way until the alert was over for the rule's stable_for, its `within` at most",
    "what could have been done is counted in budgets as done, so they are those of the most that was possible",
    "an alert without a target that is told counts in no storm and no shared cause",
    "protected are the namespaces that are so by default, and critical pods; labels of workloads are not told",
    "the preconditions of actions (owners, strategies, disruption budgets, former releases) are not looked at",
)


def lines(result: Result) -> Iterator[str]:
    """As people read it."""
    words = result.decided
    yield f"{result.table}: {_count(len(result.rules), 'rule')}, {rfc3339(result.begins)} to {rfc3339(result.ends)}"
    cut = f"; {result.cut} more fired before it began and are left out" if result.cut else ""
    yield f"{_count(len(words), 'alert')}, exact to {format_duration(result.step)}{cut}"
    yield ""
    yield from _table(words)
    for title, some in (
        ("done", _tally(words, lambda one: f"{one.action} ({one.would})" if one.acts else "")),
        (
            "kept back by",
            _tally(words, lambda one: f"{one.guard or one.reason}: {one.reason}" if _is_kept(one) else ""),
        ),
        ("nothing, because of", _tally(words, lambda one: one.reason if one.would is Would.NOTHING else "")),
    ):
        if some:
            yield ""
            yield f"{title:<20} {', '.join(f'{name} {count}' for name, count in some.most_common())}"
    needs = Counter(need for one in words for need in one.needs)
    if needs:
        yield ""
        yield "needed, and history does not tell it:"
        for need, count in needs.most_common():
            rules = Counter(one.rule or NO_RULE for one in words if need in one.needs)
            shown = ", ".join(f"{rule} {number}" for rule, number in rules.most_common(5))
            yield f"  {need}: {_count(count, 'decision')} ({shown})"
    yield ""
    yield f"guards asked: {', '.join(result.asked)}"
    yield "guards not asked, since history does not tell:"
    for guard, why in result.not_asked.items():
        yield f"  {guard:<14} {why}"
    if result.not_told:
        told = ", ".join(f"{name} ({FACTS[name].metric})" for name in result.not_told)
        yield f"not told by kube-state-metrics: {told}"
    yield "assumed:"
    yield from (f"  - {one}" for one in ASSUMED)


def against_lines(found: Sequence[Change], *, before: str, after: str) -> Iterator[str]:
    """What changes from one table to the other."""
    yield f"from {before} to {after}: {_count(len(found), 'decision')} changed"
    if not found:
        return
    counts = by_rule(found)
    width = max(len(NO_RULE), *(len(rule) for rule in counts))
    yield f"{'rule':<{width}}  gained  lost  different"
    for rule, kinds in counts.items():
        row = f"{kinds[Kind.GAINED]:>6}  {kinds[Kind.LOST]:>4}  {kinds[Kind.DIFFERENT]:>9}"
        yield f"{rule or NO_RULE:<{width}}  {row}"
    order = list(Kind)
    for one in sorted(found, key=lambda change: order.index(change.kind))[:SHOWN]:
        about = " ".join(
            part for part in (one.after.labels.get("alertname", ""), one.after.target or one.before.target) if part
        )
        yield f"  {one.kind:<9}  {rfc3339(one.after.began_at)}  {about}: {shown(one.before)} -> {shown(one.after)}"
    if len(found) > SHOWN:
        yield f"  and {len(found) - SHOWN} more: -o json has all"


def shown(word: Decided) -> str:
    """One word on an alert, in a line."""
    parts = [word.would.value, word.action]
    parts += [f"({word.rule}: {word.reason})" if word.reason else f"({word.rule or NO_RULE})"]
    parts += [f"needs {'; '.join(word.needs)}"] if word.needs else []
    return " ".join(part for part in parts if part)


def as_json(result: Result) -> dict[str, Json]:
    """All of it: counts by rule and day, and every decision."""
    return {
        "table": result.table,
        "digest": result.digest,
        "begins": rfc3339(result.begins),
        "ends": rfc3339(result.ends),
        "step_seconds": result.step.total_seconds(),
        "fact_step_seconds": result.fact_step.total_seconds(),
        "alerts": len(result.decided),
        "cut": result.cut,
        "rules": [_rule_as_json(rule, some) for rule, some in _by_rule(result.decided).items()],
        "guards_asked": list(result.asked),
        "guards_not_asked": dict(result.not_asked),
        "facts_not_told": {name: FACTS[name].metric for name in result.not_told},
        "assumed": list(ASSUMED),
        "decisions": [word_as_json(one) for one in result.decided],
    }


def changes_as_json(found: Sequence[Change]) -> dict[str, Json]:
    rules = {
        rule or NO_RULE: {kind.value: count for kind, count in kinds.items()} for rule, kinds in by_rule(found).items()
    }
    changed = [
        {
            "change": one.kind.value,
            "rule": one.rule,
            "before": word_as_json(one.before),
            "after": word_as_json(one.after),
        }
        for one in found
    ]
    return {"rules": rules, "changes": changed}


def word_as_json(word: Decided) -> dict[str, Json]:
    times = {name: _time(getattr(word, name)) for name in ("began_at", "ended_at", "at")}
    return {**asdict(word), **times, "labels": dict(word.labels), "would": word.would.value}


def _time(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)


def _by_rule(words: Sequence[Decided]) -> Mapping[str, list[Decided]]:
    found: dict[str, list[Decided]] = {}
    for one in words:
        found.setdefault(one.rule, []).append(one)
    return dict(sorted(found.items(), key=lambda pair: (not pair[0], pair[0])))


def _by_day(words: Sequence[Decided]) -> Mapping[str, list[Decided]]:
    found: dict[str, list[Decided]] = {}
    for one in words:
        found.setdefault(one.began_at.date().isoformat(), []).append(one)
    return dict(sorted(found.items()))


def _counts(words: Sequence[Decided]) -> Mapping[Would, int]:
    counts = Counter(one.would for one in words)
    return {would: counts[would] for would in Would}


def _rule_as_json(rule: str, words: Sequence[Decided]) -> Json:
    days = [{"day": day, "alerts": len(some), **_named(some)} for day, some in _by_day(words).items()]
    mode = next((one.mode for one in words if one.mode), None)
    return {"rule": rule or None, "mode": mode, "alerts": len(words), **_named(words), "days": days}


def _named(words: Sequence[Decided]) -> dict[str, int]:
    return {would.value: count for would, count in _counts(words).items()}


def _table(words: Sequence[Decided]) -> Iterator[str]:
    """A line for each rule and day, one for each rule, one for all."""
    rules = _by_rule(words)
    width = max([len(NO_RULE), *(len(rule) for rule in rules)])
    yield f"{'rule':<{width}}  {'day':<10}  {'alerts':>6}" + "".join(f"  {would.value:>7}" for would in Would)
    for rule, some in rules.items():
        days = _by_day(some)
        for day, few in days.items():
            yield _row(f"{rule or NO_RULE:<{width}}  {day}", few)
        if len(days) > 1:
            yield _row(f"{rule or NO_RULE:<{width}}  {ALL:<10}", some)
    if len(rules) > 1:
        yield _row(f"{'all rules':<{width}}  {ALL:<10}", words)


def _row(head: str, words: Sequence[Decided]) -> str:
    return f"{head}  {len(words):>6}" + "".join(f"  {count:>7}" for count in _counts(words).values())


def _is_kept(word: Decided) -> bool:
    return word.would in (Would.HELD, Would.REFUSED)


def _tally(words: Sequence[Decided], named: Callable[[Decided], str]) -> Counter[str]:
    return Counter(name for one in words if (name := named(one)))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
