"""What stops every write at once: the kill switch, in our store and as a ConfigMap, and the pauses of people.

Asked by two guards, and by `pipeline.py` immediately before every write. What cannot be read stops: a ConfigMap that
does not answer is engaged, and a store that does not answer raises, and then nothing is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from remediator.anchor.base import Doubt
from remediator.clock import parse_rfc3339, rfc3339
from remediator.errors import RemediatorError, cut
from remediator.kube.base import Cluster, NotFound, path_of
from remediator.kube.permissions import Permission, to
from remediator.model import Json, Target
from remediator.reasons import Reason
from remediator.store.base import KillSwitch, Store
from remediator.store.pauses_base import Pause

ENGAGED, COMMENT, BY, UNTIL = "engaged", "comment", "by", "until"
"""Keys of the ConfigMap. `engaged` is `true` or `false`; anything else is taken for `true`."""


LOOK_AGAIN = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Stop:
    """Why nothing may be written now. `until` is when that ends by itself, None: when a person says so, which may be at
    any time; it is asked again after `look_again`."""

    reason: Reason
    detail: str
    until: datetime | None = None
    look_again: timedelta = LOOK_AGAIN

    def ask_again_at(self, now: datetime) -> datetime:
        latest = now + self.look_again
        return min(self.until or latest, latest)


class ProvableLog(Protocol):
    """The audit log, as `anchor/keeper.py` keeps it."""

    async def why_not(self) -> Doubt | None: ...


def permissions_for_switch(name: str) -> tuple[Permission, ...]:
    """Without it the switch cannot be read, and is taken for engaged."""
    return (to("ConfigMap", "get", names=(name,)),)


@dataclass(frozen=True, slots=True)
class SwitchInCluster:
    """The kill switch that `kubectl` can turn: one ConfigMap, which need not exist."""

    namespace: str
    name: str
    cluster: Cluster

    async def stop(self, now: datetime) -> Stop | None:
        place = f"ConfigMap {self.namespace}/{self.name}"
        try:
            found = await self.cluster.get(path_of("ConfigMap", namespace=self.namespace, name=self.name))
        except NotFound:
            return None
        except RemediatorError as error:
            return Stop(Reason.KILL_SWITCH, f"{place} cannot be read, so it is taken for engaged: {cut(str(error))}")
        return _said_by(found.get("data") or {}, place, now)


def _said_by(data: Json, place: str, now: datetime) -> Stop | None:
    word = str(data.get(ENGAGED, "")).strip().lower()
    if word == "false":
        return None
    detail = f"engaged by {place}"
    if by := str(data.get(BY, "")).strip():
        detail += f", {cut(by, max_length=200)}"
    detail += f": {cut(str(data.get(COMMENT, '')) or 'no comment', max_length=1000)}"
    if word != "true":
        return Stop(Reason.KILL_SWITCH, f"{detail} ({ENGAGED}: {cut(word, max_length=40)!r} is not true or false)")
    if not (text := str(data.get(UNTIL, "")).strip()):
        return Stop(Reason.KILL_SWITCH, detail)
    try:
        until = parse_rfc3339(text)
    except ValueError:
        return Stop(Reason.KILL_SWITCH, f"{detail} ({UNTIL}: {cut(text, max_length=40)!r} is no RFC 3339 time)")
    return Stop(Reason.KILL_SWITCH, detail, until) if until > now else None


async def stopped_by_switch(store: Store, in_cluster: SwitchInCluster | None, *, now: datetime) -> Stop | None:
    """The kill switch of everything; the store's first."""
    switch = await store.kill_switch()
    if switch.engaged and (switch.until is None or switch.until > now):
        return Stop(Reason.KILL_SWITCH, _said_in_store(switch), switch.until)
    return None if in_cluster is None else await in_cluster.stop(now)


async def stopped_by_pause(store: Store, *, rule: str, target: Target, now: datetime) -> Stop | None:
    """The pauses of people that hold for this rule or target; the one that ends last."""
    return _longest([one for one in await store.pauses() if one.holds(rule, target, now)])


async def stopped_by_log(log: ProvableLog | None) -> Stop | None:
    """Why the audit log forbids it; None: it does not, and it is known outside what it holds by now."""
    doubt = None if log is None else await log.why_not()
    return None if doubt is None else Stop(doubt.reason, doubt.detail)


async def stop_of(
    store: Store,
    in_cluster: SwitchInCluster | None,
    log: ProvableLog | None,
    *,
    rule: str,
    target: Target,
    now: datetime,
) -> Stop | None:
    """Whatever stops a write for this rule on this target now. What people say is asked last."""
    stop = await stopped_by_log(log) or await stopped_by_switch(store, in_cluster, now=now)
    return stop or await stopped_by_pause(store, rule=rule, target=target, now=now)


def _longest(pauses: Sequence[Pause]) -> Stop | None:
    if not pauses:
        return None
    endless = [one for one in pauses if one.until is None]
    last = endless[0] if endless else max(pauses, key=lambda one: one.until or one.at)
    until = f" until {rfc3339(last.until)}" if last.until else ""
    what = f"{last.what} {last.subject}"
    return Stop(Reason.PAUSED_BY_PERSON, f"{what} paused by {last.by}{until}: {last.comment}", last.until)


def _said_in_store(switch: KillSwitch) -> str:
    until = f" until {rfc3339(switch.until)}" if switch.until else ""
    return f"kill switch engaged by {switch.by} at {rfc3339(switch.at)}{until}: {switch.comment}"


