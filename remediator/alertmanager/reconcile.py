"""Reconcile: what Alertmanager lists against what reached us, at start-up, now and then, and when a body was cut off.

A webhook can lose an alert for good: a redirect and a 4xx that somebody in between gave, `max_alerts`, an outage that
began before the first delivery (design: `alertmanager.md` 1.3, 2.1, 5); and a resolution may never come (2.5). So the
list of all replicas is compared with the store. What fires for our receivers and is unknown is offered as the webhook
would have delivered it, through the same door, and is counted apart; what fires for us only, and is listed by no
replica, is offered as resolved. `app.py` runs it.

Source: prometheus/alertmanager `api/v2/openapi.yaml`. Alerts are not gossiped, so all replicas are asked; one that
started a moment ago lists nothing until Prometheus has sent all again, so its silence proves nothing. Names of
receivers are quoted in webhooks (Go's `regexp.QuoteMeta`) and not in the API.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from remediator.alertmanager.base import Lists
from remediator.clock import Clock, parse_rfc3339, rfc3339
from remediator.errors import RemediatorError, cut
from remediator.model import Json
from remediator.store.base import StoreUnavailable
from remediator.store.episodes import RETURNS_AFTER
from remediator.store.known_base import KnownAlert, KnownAlerts

OURS = "remediator"
"""What the names of our receivers have in them where settings name none."""

MAX_OFFERED = 500
"""Alerts offered in one round, and episodes asked about; what is beyond waits for the next."""

LEAST_UPTIME = timedelta(minutes=2)
"""A replica that started later may not list what fires: Prometheus sends each alert once a minute."""

ROUND_SECONDS = 60.0
TAKEOVER_SECONDS = 5.0
"""Pause before a replica looks again whether comparing has become its duty."""
NEVER = "0001-01-01T00:00:00Z"
VERSION = "4"
GROUP_KEY = "reconciled"
_META = re.compile(r"[\\.+*?()|\[\]{}^$]")


@dataclass(frozen=True, slots=True)
class Pace:
    """`every` is the pause between two rounds, and how long an alert is left to the webhook: one that began later is
    under way."""

    every: timedelta
    least_uptime: timedelta = LEAST_UPTIME


@dataclass(frozen=True, slots=True)
class Offer:
    """A webhook body as Alertmanager would have sent it, and how many it holds of what was found and what is gone."""

    body: Json
    found: int = 0
    gone: int = 0


Take = Callable[[Offer], Awaitable[int | None]]
"""Admits an offer; returns how many of its alerts were new to us, or ended; None: it may not be taken."""


def unknown(
    listed: Sequence[Json],
    known: Sequence[KnownAlert],
    *,
    is_ours: Callable[[str], bool],
    begun_before: datetime,
    ended_before: datetime,
) -> Sequence[tuple[str, Json]]:
    """(receiver, alert) of what is active for us and was never heard of. Pure.

    An episode that is known is not new, also when it was resolved after `ended_before`: longer ago, what is listed as
    active is a resolution taken back. Neither is a fingerprint that fires already, since the beginning of an episode
    moves when Alertmanager restarts (`alertmanager.md` 2.6). The API cuts times to milliseconds.
    """
    firing = {one.fingerprint for one in known if one.is_firing}
    began = {
        (one.fingerprint, _milliseconds(one.starts_at))
        for one in known
        if one.resolved_at is None or one.resolved_at > ended_before
    }
    found = []
    for item in listed:
        receiver = next((name for name in receivers_of(item) if is_ours(name)), None)
        starts_at = _begin(item)
        if receiver is None or starts_at is None or starts_at > begun_before or not _is_active(item):
            continue
        fingerprint = str(item.get("fingerprint"))
        if fingerprint not in firing and (fingerprint, _milliseconds(starts_at)) not in began:
            found.append((receiver, item))
    return found


def absent(listed: Sequence[Json], firing: Sequence[KnownAlert]) -> Sequence[KnownAlert]:
    """What fires for us and that no replica lists, for whatever receiver and however quiet. Pure."""
    there = {str(item.get("fingerprint")) for item in listed}
    return [one for one in firing if one.fingerprint not in there]


def receivers_of(item: Json) -> Sequence[str]:
    named = item.get("receivers")
    return [str(one.get("name", "")) for one in named if isinstance(one, dict)] if isinstance(named, list) else []


def quoted(receiver: str) -> str:
    r"""As a webhook names it: `team\.a/default` for `team.a/default` (Go's `regexp.QuoteMeta`)."""
    return _META.sub(lambda found: "\\" + found[0], receiver)


def ours_by(names: Sequence[str]) -> Callable[[str], bool]:
    """Whether a receiver is one of ours. The operator puts `namespace/object/` before a name."""
    if names:
        return frozenset(names).__contains__
    return lambda name: OURS in name.rpartition("/")[2].lower()


def offered_as_found(alerts: Sequence[tuple[str, Json]]) -> Sequence[Offer]:
    """One body for each receiver."""
    by_receiver: dict[str, list[Json]] = {}
    for receiver, item in alerts:
        by_receiver.setdefault(quoted(receiver), []).append(_element(item))
    return [Offer(_body(receiver, items), found=len(items)) for receiver, items in by_receiver.items()]


def offered_as_gone(alerts: Sequence[KnownAlert], *, at: datetime) -> Sequence[Offer]:
    by_receiver: dict[str, list[Json]] = {}
    for one in alerts:
        ended = {"status": "resolved", "labels": dict(one.labels), "annotations": {}, "fingerprint": one.fingerprint}
        ended |= {"startsAt": rfc3339(one.starts_at), "endsAt": rfc3339(at)}
        by_receiver.setdefault(one.receiver, []).append(ended)
    return [Offer(_body(receiver, items), gone=len(items)) for receiver, items in by_receiver.items()]


class Reconciler:
    """Compares until cancelled. `take` is the door; `count` is told what came of it (found, gone), `is_left_out` says
    which alerts are not compared (the watchdog: that Alertmanager lists it does not prove that it reaches us)."""

    def __init__(
        self,
        alertmanager: Lists,
        known: KnownAlerts,
        *,
        take: Take,
        count: Callable[[int, int], None],
        is_left_out: Callable[[Mapping[str, str]], bool],
        receivers: Sequence[str],
        clock: Clock,
        pace: Pace,
        is_duty: Callable[[], bool] = lambda: True,
        went: Callable[[bool], None] = lambda _: None,
    ) -> None:
        """`is_duty`: it is this replica's duty now to compare; what it is asked for it compares in any case. `went`
        hears whether Alertmanager could be asked."""
        self._is_duty = is_duty
        self._went = went
        self._alertmanager = alertmanager
        self._known = known
        self._take = take
        self._count = count
        self._is_left_out = is_left_out
        self._is_ours = ours_by(receivers)
        self._clock = clock
        self._pace = pace
        self._asked = asyncio.Event()
        self._absent: frozenset[tuple[str, datetime]] = frozenset()
        self._refused: frozenset[tuple[str, str]] = frozenset()
        self._problem = ""
        self._log = structlog.get_logger("remediator.reconcile")

    def ask(self) -> None:
        """A body said that alerts were cut off: fetch the rest now, the young ones too."""
        self._asked.set()

    async def run(self) -> None:
        while True:
            is_asked = self._asked.is_set()
            self._asked.clear()
            pause = self._pace.every.total_seconds()
            if is_asked or self._is_duty():
                await self._round(is_asked=is_asked)
            else:
                pause = min(pause, TAKEOVER_SECONDS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._asked.wait()

    async def _round(self, *, is_asked: bool) -> None:
        try:
            async with asyncio.timeout(ROUND_SECONDS):
                await self.look(is_asked=is_asked)
        except StoreUnavailable as error:
            self._failed(cut(str(error)))
        except (RemediatorError, TimeoutError) as error:
            self._failed(cut(str(error)) or "no end in time")
            self._went(False)
        else:
            self._problem = ""
            self._went(True)

    async def look(self, *, is_asked: bool = False) -> None:
        """One round. Raises AlertmanagerUnavailable, StoreUnavailable."""
        now = self._clock.now()
        listing = await self._alertmanager.listing()
        listed = [one for one in listing.alerts if not self._is_left_out(_texts(one.get("labels")))]
        known = await self._known.of({str(one.get("fingerprint")) for one in listed})
        old_enough = now if is_asked else now - self._pace.every
        ended = now - RETURNS_AFTER
        found = unknown(listed, known, is_ours=self._is_ours, begun_before=old_enough, ended_before=ended)
        self._refused &= {_key(item) for _, item in found}
        found = [(receiver, item) for receiver, item in found if _key(item) not in self._refused]
        if len(found) > MAX_OFFERED:
            self._log.warning("more unknown alerts than one round offers", left=len(found) - MAX_OFFERED)
        offers = [*offered_as_found(found[:MAX_OFFERED])]
        started = listing.started_at
        is_proof = started is not None and now - started >= self._pace.least_uptime
        offers += offered_as_gone(await self._gone(listing.alerts, now) if is_proof else (), at=now)
        for offer in offers:
            taken = await self._take(offer)
            if taken is None:
                continue
            if offer.found:
                # What was set aside at the door is not carried there again.
                self._refused |= {_key(item) for item in offer.body["alerts"]}
                self._log.warning("alerts fire that never reached us", alerts=offer.found, taken=taken)
            else:
                self._log.info("alerts are gone whose resolution never reached us", alerts=offer.gone, taken=taken)
            self._count(taken if offer.found else 0, taken if offer.gone else 0)
        self._count(0, 0)

    async def _gone(self, listed: Sequence[Json], now: datetime) -> Sequence[KnownAlert]:
        """Absent now, and in the round before: between two sendings of Prometheus one may be missing for a while."""
        firing = await self._known.firing(received_before=now - self._pace.every, limit=MAX_OFFERED)
        missing = absent(listed, firing)
        before, self._absent = self._absent, frozenset((one.fingerprint, one.starts_at) for one in missing)
        return [one for one in missing if (one.fingerprint, one.starts_at) in before]

    def _failed(self, problem: str) -> None:
        if not self._problem:
            self._log.warning("what Alertmanager lists is not compared now, trying again", problem=problem)
        self._problem = problem


def _key(item: Json) -> tuple[str, str]:
    return str(item.get("fingerprint")), str(item.get("startsAt"))


def _body(receiver: str, alerts: Sequence[Json]) -> Json:
    return {"version": VERSION, "receiver": receiver, "groupKey": GROUP_KEY, "alerts": list(alerts)}


def _element(item: Json) -> Json:
    kept = {name: item.get(name) for name in ("labels", "annotations", "startsAt", "generatorURL", "fingerprint")}
    return {name: value for name, value in kept.items() if value is not None} | {"status": "firing", "endsAt": NEVER}


def _begin(item: Json) -> datetime | None:
    """None: it says no time that could be compared; such an alert is not offered."""
    try:
        return parse_rfc3339(str(item.get("startsAt")))
    except ValueError:
        return None


def _is_active(item: Json) -> bool:
    """Neither silenced nor inhibited: a person asked for quiet, and nothing would have been delivered."""
    status = item.get("status")
    return isinstance(status, dict) and status.get("state") == "active"


def _texts(labels: Json) -> Mapping[str, str]:
    return {name: str(value) for name, value in labels.items()} if isinstance(labels, dict) else {}


def _milliseconds(instant: datetime) -> datetime:
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)
