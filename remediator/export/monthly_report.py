"""The report `monthly` as sections: what `monthly.py` counted and `suggestions.py` makes of it. Reads, then pure."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

from remediator.export.as_json import plain
from remediator.export.facts import Recovery
from remediator.export.monthly import KINDS, NOISY, REPEATS, Monthly, RuleMonth, monthly_of
from remediator.export.near_misses import NEAR
from remediator.export.report import Cell, Own, Report, Section, share
from remediator.export.suggestions import suggestions_of
from remediator.export.times import length, utc
from remediator.store.reports_base import ReportReader


def next_month(begin: datetime) -> datetime:
    return (begin.replace(day=1) + timedelta(days=32)).replace(day=1)


async def read_monthly(reader: ReportReader, *, begin: datetime, now: datetime) -> Monthly:
    """The month that begins then, until now. What became of its alerts is followed for a week more.

    Raises StoreUnavailable.
    """
    end = min(next_month(begin), now)
    until = min(end + timedelta(days=7), now)
    came = await reader.came(begin, end)
    steps = await reader.steps(begin, until, KINDS)
    debited = await reader.debited(begin, end)
    return await asyncio.to_thread(monthly_of, came, steps, debited, begin=begin, end=end)


def monthly_report(month: Monthly, *, made_at: datetime, version: str) -> Report:
    whole, suggested = month.whole, suggestions_of(month)
    return Report(
        title=f"{month.begin:%B %Y}",
        lead=f"From {utc(month.begin)} until {utc(month.end)}.",
        numbers=[
            ("incidents", whole.incidents),
            ("actions", whole.actions),
            ("verified", share(whole.verified, whole.settled)),
            ("recovered after an action", whole.recovered.get(Recovery.AFTER_ACTION, 0)),
            ("recovered alone", whole.recovered.get(Recovery.ALONE, 0)),
            ("median to recover", whole.median_to_recover),
            ("near misses", len(month.near_misses)),
        ],
        sections=[
            Section(
                "Suggestions",
                ("about", "suggestion", "because"),
                [(one.about, Own(one.text), Own(one.because)) for one in suggested],
                "The numbers of this month suggest nothing.",
                "Each follows from the numbers beside it; none is a change by itself.",
            ),
            *_rules(month),
            *_rest(month),
        ],
        as_json={
            "format": "remediator.io/monthly/v1",
            **plain(month),
            "suggestions": plain(list(suggested)),
        },
        made_at=made_at,
        version=version,
    )


def _rules(month: Monthly) -> Sequence[Section]:
    return [
        Section(
            "Rules: what they did",
            ("rule", "incidents", "actions", "verified", "failed", "unknown", "taken back", "would have acted"),
            [_done(one) for one in month.rules],
            "No rule matched anything.",
            "Actions of the month by the ledger; would have acted: in silent mode, where nothing else forbade it.",
        ),
        Section(
            "Rules: how incidents ended",
            ("rule", *(f"{one}" for one in Recovery), "median", "slowest tenth from", "held for"),
            [_ended(one) for one in month.rules],
            "No rule matched anything.",
            "Time to recover from when the first alert began to fire. Alone: before we did or asked for anything.",
        ),
    ]


def _done(one: RuleMonth) -> Sequence[Cell]:
    counts = (one.incidents, one.actions, one.verified, one.failed, one.unknown, one.reverted, one.would_have)
    return (one.rule, *counts)


def _ended(one: RuleMonth) -> Sequence[Cell]:
    held = ", ".join(f"{reason} {count}" for reason, count in sorted(one.held.items(), key=lambda item: -item[1]))
    recovered = [one.recovered.get(kind.value, 0) for kind in Recovery]
    return (one.rule, *recovered, one.median_to_recover, one.slowest_tenth, Own(held or "-"))


def _rest(month: Monthly) -> Sequence[Section]:
    return [
        Section(
            "Repeat offenders",
            ("target", "incidents", "actions", "verified", "rules", "alerts"),
            [
                (one.target, one.incidents, one.actions, one.verified, ", ".join(one.rules), ", ".join(one.alerts))
                for one in month.offenders
            ],
            "No target came back so often.",
            f"Targets with {REPEATS} incidents or more.",
        ),
        Section(
            "Noisy alerts",
            ("alert", "episodes", "came to nothing", "went alone", "no rule"),
            [(one.alert, one.episodes, one.nothing, one.alone, one.no_rule) for one in month.noise],
            "No alert was mostly noise.",
            f"At least {NOISY} episodes, half of which came to nothing.",
        ),
        Section(
            "Near misses",
            ("when", "rule", "target", "stopped by", "went alone after", "incident"),
            [
                (
                    one.at,
                    one.rule,
                    one.target,
                    Own(one.stopped_by),
                    one.resolved_after,
                    Own("-" if one.incident is None else f"inc-{one.incident}"),
                )
                for one in month.near_misses
            ],
            "Nothing was stopped that later proved not to have been needed.",
            "Planned and stopped, and then "
            f"the alert went within {length(NEAR)} without an action, or it was stopped between intent and write.",
        ),
    ]
