"""The watchdog: an alert that always fires, routed to us, proves the path Prometheus -> Alertmanager -> us.

It begins no incident. The pipeline takes it out of what is delivered; it, a guard and the verification ask what a
resolution, and the silence of other alerts, is worth by it. Where none ever came, everything counts as if it were not
for this module: a watchdog is awaited from its first firing on.

Prometheus that dies lets the leases of all its alerts run out, and Alertmanager reports them as resolved; the watchdog
among them. So a resolution is confirmed by a watchdog that fires after it (prometheus/prometheus `rules/alerting.go`
`sendAlerts`: each alert is sent with a lease of its own, and again once a `--rules.alert.resend-delay`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from remediator.authority import Authority
from remediator.clock import rfc3339
from remediator.errors import ConfigError, cut
from remediator.model import Alert, AlertStatus
from remediator.rules.matcher import Matcher, Op, parse_matchers
from remediator.settings import Settings
from remediator.store.watchdog_base import Heard, WatchdogStore
from remediator.units import format_duration

LONGEST_GROUP, LONGEST_REPEAT = timedelta(seconds=30), timedelta(minutes=2)
SHORTEST = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Turns:
    """`group_interval` and `repeat_interval` of the route by which it comes. Alertmanager looks at the second when a
    turn of the first comes, so that two deliveries may be as far apart as both together (`dispatch/dispatch.go`,
    `notify/dedup_stage.go`)."""

    group: timedelta
    repeat: timedelta


@dataclass(frozen=True, slots=True)
class Patience:
    """`absent_after`: how long without it is absence. `confirm_after`: how much later than a resolution it must fire
    to confirm it: the leases of two alerts do not end at the same moment, and a body may be as old as its retries."""

    absent_after: timedelta
    confirm_after: timedelta

    def is_often_enough(self, turns: Turns) -> bool:
        """Whether one delivery may be lost, and it is not called missing yet."""
        return 2 * (turns.group + turns.repeat) < self.absent_after

    def is_fresh_enough(self, turns: Turns) -> bool:
        """Whether a body, which is tried for as long as a turn lasts, cannot confirm what ended after it was made."""
        return turns.group < self.confirm_after

    def fitting(self) -> Turns:
        """What to route it with, in whole seconds; where there is less patience than seconds, the shortest."""
        group = min(LONGEST_GROUP, self.absent_after / 8, self.confirm_after / 2)
        repeat = min(LONGEST_REPEAT, self.absent_after / 4)
        return Turns(_whole(group), _whole(repeat))


def _whole(value: timedelta) -> timedelta:
    return max(SHORTEST, timedelta(seconds=int(value.total_seconds())))


@dataclass(frozen=True, slots=True)
class Awaited:
    """The alert as the settings name it, and how long they wait for it. Make it with `awaited`."""

    matchers: tuple[Matcher, ...]
    patience: Patience

    @property
    def name(self) -> str:
        """Its alertname."""
        return next(each.value for each in self.matchers if each.name == "alertname" and each.op is Op.EQUAL)


class Watchdog:
    """Knows the alert by its matchers, and remembers in the store when it came."""

    def __init__(self, store: WatchdogStore, matchers: Sequence[Matcher], *, patience: Patience) -> None:
        self._store = store
        self._matchers = matchers
        self._patience = patience

    @property
    def patience(self) -> Patience:
        return self._patience

    def is_it(self, alert: Alert) -> bool:
        return self.is_meant_by(alert.labels)

    def is_meant_by(self, labels: Mapping[str, str]) -> bool:
        return all(each.matches(labels) for each in self._matchers)

    def split(self, alerts: Sequence[Alert], authority: Authority) -> tuple[Sequence[Alert], Sequence[Alert]]:
        """What is to be admitted, and what is the watchdog. Who may speak of some namespaces only cannot vouch for the
        path of all alerts: theirs is an alert like any other."""
        if authority.namespaces is not None:
            return alerts, ()
        heard = [one for one in alerts if self.is_it(one)]
        return ([one for one in alerts if not self.is_it(one)], heard) if heard else (alerts, ())

    async def heard(self, watchdogs: Sequence[Alert], *, at: datetime) -> None:
        """Remember it, durably. Of several (two Prometheus servers) one that fires is enough."""
        if watchdogs:
            fires = any(one.status is AlertStatus.FIRING for one in watchdogs)
            await self._store.heard(at=at, fires=fires, confirm=self._patience.confirm_after)

    async def last(self) -> Heard | None:
        return await self._store.read()

    async def absence(self, now: datetime) -> str | None:
        """Why alerts, and that they are over, may not reach us now; None: they do, or nobody ever proved it."""
        heard = await self._store.read()
        return None if heard is None else absence_of(heard, now, after=self._patience.absent_after)

    async def unconfirmed(self, fingerprint: str, starts_at: datetime) -> str | None:
        """Why it is not known yet whether a resolved alert is over; None: it is over, or it was not resolved."""
        heard = await self._store.read()
        if heard is None:
            return None
        resolved_at = await self._store.resolved_at(fingerprint, starts_at)
        return None if resolved_at is None else doubt_of(heard, resolved_at)


def absence_of(heard: Heard, now: datetime, *, after: timedelta) -> str | None:
    if heard.resolved_at is not None and heard.resolved_at > heard.seen_at:
        return f"the watchdog was reported as resolved at {rfc3339(heard.resolved_at)}: its Prometheus fell silent"
    silent = now - heard.seen_at
    if silent > after:
        return f"the watchdog has not been heard for {format_duration(timedelta(seconds=int(silent.total_seconds())))}"
    return None


def doubt_of(heard: Heard, resolved_at: datetime) -> str | None:
    if resolved_at <= heard.confirmed_to:
        return None
    return (
        f"reported as resolved at {rfc3339(resolved_at)}, and the watchdog has not fired long enough after that "
        f"(last at {rfc3339(heard.seen_at)}): it would say so as well if Prometheus had died"
    )


def watchdog_of(settings: Settings, store: WatchdogStore) -> Watchdog | None:
    """The one that the settings name; None: none is awaited. Raises ConfigError."""
    found = awaited(settings)
    return None if found is None else Watchdog(store, found.matchers, patience=found.patience)


def awaited(settings: Settings) -> Awaited | None:
    """What the settings say of it; None: none is awaited. Raises ConfigError."""
    if not settings.watchdog.strip():
        return None
    absent = timedelta(seconds=settings.watchdog_absent_seconds)
    confirm = timedelta(seconds=settings.watchdog_confirm_seconds)
    return Awaited(watchdog_matchers(settings.watchdog), Patience(absent, confirm))


def watchdog_matchers(text: str) -> tuple[Matcher, ...]:
    """Raises ConfigError. It has to name one alert: what it matches begins no incident."""
    try:
        matchers = parse_matchers(text)
    except ValueError as error:
        raise ConfigError(f"watchdog: {cut(str(error))}") from error
    if not any(each.name == "alertname" and each.op is Op.EQUAL and each.value for each in matchers):
        raise ConfigError(f"watchdog: expected matchers with alertname=\"NAME\", not {cut(text, max_length=80)!r}")
    return matchers
