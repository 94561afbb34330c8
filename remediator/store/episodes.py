"""What received alerts are to us: new episodes, repeats or resolutions. Pure; `intake.py` calls it.

An episode is (fingerprint, starts_at). Alertmanager repeats itself, reorders, and reports some resolutions late or
never, so the rules are: a known episode is not new again, also when it was resolved, unless that is long ago; a
resolution covers all episodes of the fingerprint that began no later than the resolved one. An episode belongs to no
credential, and keeps the one it was first seen by: whoever may speak of it repeats and resolves it, and nobody else.

A fingerprint is 64 bits of FNV-1a, which is no cryptographic hash: who may choose labels in one namespace can choose
them so that they have the fingerprint of an alert in another. So of a limited sender it is asked what the fingerprint
already stands for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

from remediator.audit.commitments import COMMITTED, hidden, sealed
from remediator.audit.record import canonical_object, canonical_texts, quoted
from remediator.authority import UNLIMITED, Authority
from remediator.clock import rfc3339
from remediator.model import Alert, AlertStatus
from remediator.store.base import Accepted
from remediator.store.rows import alert_columns, to_micros

NO_HOLDERS: Mapping[str, str] = MappingProxyType({})
Key = tuple[str, int]
"""(fingerprint, starts_at in microseconds)."""

MILLISECOND = 1000
"""In microseconds."""

RETURNS_AFTER = timedelta(minutes=10)
"""So long after its resolution an episode that fires is no old body any more: those are as old as a group_interval (5 m
where nobody changed it), and what a pair's second replica waits. It is a resolution taken back: the way from Prometheus
to Alertmanager was cut for longer than a lease, and what fired all the time comes with its old beginning."""


class Received(NamedTuple):  # as are those below: made for each alert, and a frozen dataclass takes three times as long
    """One alert of one body, ready to be stored: its columns, the body of its audit record, and what stands beside."""

    key: Key
    firing: bool
    columns: dict[str, Any]
    body: bytes
    beside: bytes
    severity: int | None


@dataclass(frozen=True, slots=True)
class Intake:
    """The alerts of one webhook body and when they came in. `max_open`: how many remediations may be open for it to
    begin more, None: any number."""

    received: Sequence[Received]
    at: datetime
    authority: Authority = UNLIMITED
    max_open: int | None = None


class Sighting(NamedTuple):
    """An alert, and when it came in."""

    received: Received
    at: datetime


@dataclass(slots=True)
class Episode:
    """An episode as the database has it, and what this batch does to it.

    `id` is None until it has a row; `first` is what the row will be made of, None when there is one. `times` and
    `last_at` are of this batch: an episode that only ended with a later one was not received itself (0 and None).
    `resolved_at` is when it ended before, in microseconds; `returned`: it fires again all the same.
    """

    key: Key
    id: int | None
    firing: bool
    first: Sighting | None = None
    resolution: Sighting | None = None
    times: int = 0
    last_at: datetime | None = None
    resolved_at: int | None = None
    returned: bool = False


class Kind(StrEnum):
    """The record that a change leaves in the audit log."""

    RECEIVED = "alert.received"
    RESOLVED = "alert.resolved"
    FOREIGN = "alert.quarantined"


class Event(NamedTuple):
    """One change, in the order in which the alerts came."""

    kind: Kind
    episode: Episode
    at: datetime
    body: bytes
    beside: bytes
    severity: int | None


@dataclass(slots=True)
class Sorted:
    """The answer: one `Accepted` for each intake, the changes in order, and every episode that was touched. `foreign`
    are the records (when, body, what stands beside it) of what touches none."""

    accepted: list[Accepted] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    foreign: list[tuple[datetime, bytes, bytes | None]] = field(default_factory=list)
    touched: list[Episode] = field(default_factory=list)


def prepare(
    alerts: Sequence[Alert],
    at: datetime,
    authority: Authority = UNLIMITED,
    severity: Callable[[Alert], int | None] = lambda _: None,
    max_open: int | None = None,
) -> Intake:
    """Raises ValueError for a time without a zone and for text that is not Unicode, before anything is stored."""
    to_micros(at)
    return Intake([_received(alert, severity(alert)) for alert in alerts], at, authority, max_open)


def sort(intakes: Iterable[Intake], known: Iterable[Episode], holders: Mapping[str, str] = NO_HOLDERS) -> Sorted:
    """Decide for each alert in order. `known` are the stored episodes that the intakes' alerts can meet; `holders` are
    fingerprint -> labels (JSON) of its newest episode, of those fingerprints that limited senders name."""
    held = dict(holders)
    by_fingerprint: dict[str, dict[int, Episode]] = {}
    for episode in known:
        by_fingerprint.setdefault(episode.key[0], {})[episode.key[1]] = episode
    result = Sorted()
    touched: dict[Key, Episode] = {}
    for intake in intakes:
        counts = {"queued": 0, "repeated": 0, "resolved": 0, "foreign": 0}
        is_limited = intake.authority.is_limited
        for received in intake.received:
            fingerprint, starts_at = received.key
            if is_limited and (holder := held.get(fingerprint)) and not intake.authority.holds(json.loads(holder)):
                counts["foreign"] += 1
                result.foreign.append((intake.at, *_foreign(received)))
                continue
            episodes = by_fingerprint.setdefault(fingerprint, {})
            own = episodes.get(starts_at) or _same(episodes, starts_at)
            is_new = own is None
            if own is None:
                own = episodes[starts_at] = Episode(received.key, None, True, first=Sighting(received, intake.at))
                held[fingerprint] = received.columns["labels"]
            own.times += 1
            own.last_at = intake.at
            touched[own.key] = own
            if received.firing:
                if not is_new and _returns(own, intake.at):
                    own.firing = own.returned = is_new = True
                counts["queued" if is_new else "repeated"] += 1
                if is_new:
                    result.events.append(Event(Kind.RECEIVED, own, intake.at, *received[3:]))
                continue
            ended = [e for start, e in episodes.items() if (start <= starts_at or e is own) and e.firing]
            counts["resolved" if ended else "repeated"] += 1
            for episode in ended:
                episode.firing, episode.resolution = False, Sighting(received, intake.at)
                touched[episode.key] = episode
                result.events.append(Event(Kind.RESOLVED, episode, intake.at, *received[3:]))
        result.accepted.append(Accepted(**counts))
    result.touched = list(touched.values())
    return result


def _returns(episode: Episode, now: datetime) -> bool:
    if episode.firing or episode.resolved_at is None or episode.resolution is not None:
        return False
    return to_micros(now) - episode.resolved_at >= RETURNS_AFTER // timedelta(microseconds=1)


def _same(episodes: Mapping[int, Episode], starts_at: int) -> Episode | None:
    """The episode whose beginning is this one cut to milliseconds, or the other way round: Alertmanager's API cuts the
    times that its webhook has whole."""
    began = starts_at // MILLISECOND
    for start, one in episodes.items():
        if start // MILLISECOND == began and 0 in (start % MILLISECOND, starts_at % MILLISECOND):
            return one
    return None


_MEMBERS = (
    COMMITTED,
    "credential",
    "ends_at",
    "fingerprint",
    "group_key",
    "labels",
    "receiver",
    "starts_at",
    "status",
    "truncated",
)


def _foreign(received: Received) -> tuple[bytes, bytes | None]:
    """As an alert that the receiver sets aside (`receive/base.py` `Quarantined`)."""
    credential, labels = received.columns["credential"], received.columns["labels"]
    problem = f"credential {credential}: {received.key[0]} stands for an alert that is outside of what it may speak of"
    return sealed({"credential": credential, "element": labels[:1024], "place": "fingerprint", "problem": problem})


def _received(alert: Alert, severity: int | None = None) -> Received:
    columns = alert_columns(alert)
    free = {"annotations": columns["annotations"].encode(), "generator_url": quoted(alert.generator_url).encode()}
    hashes, beside = hidden(free)
    values = (
        canonical_texts(hashes),
        quoted(alert.credential),
        "null" if alert.ends_at is None else f'"{rfc3339(alert.ends_at)}"',
        quoted(alert.fingerprint),
        quoted(alert.group_key),
        columns["labels"],
        quoted(alert.receiver),
        f'"{rfc3339(alert.starts_at)}"',
        f'"{alert.status.value}"',
        str(alert.truncated),
    )
    is_firing = alert.status is AlertStatus.FIRING
    body = canonical_object(_MEMBERS, values)
    return Received((alert.fingerprint, columns["starts_at"]), is_firing, columns, body, beside, severity)
