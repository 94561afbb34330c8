"""Step 1 of the way of an alert: many webhook bodies become rows in a handful of statements.

`database.py` hands it to the writer as the one call that is merged: all bodies that wait together are stored together,
so the cost of a commit is shared. This is the hot path.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from remediator.model import AlertStatus, State
from remediator.reasons import Reason
from remediator.store import escalations
from remediator.store.base import Accepted
from remediator.store.episodes import MILLISECOND, Episode, Event, Intake, Kind, Sorted, sort
from remediator.store.log import Entry
from remediator.store.room import fitting
from remediator.store.rows import to_micros
from remediator.store.tables import OPEN, WAITING, alerts, remediations
from remediator.store.transaction import Transaction

_CHUNK = 1000
"""Values in one IN list; far below the limit on bound variables of either database."""

_ACTION_ID_BYTES = 16

# Not `(fingerprint, starts_at) IN (...)`: for that SQLite reads the whole table. This searches the unique index.
_BY_KEY = sa.select(alerts.c.id, alerts.c.fingerprint, alerts.c.starts_at, alerts.c.status, alerts.c.resolved_at).where(
    alerts.c.fingerprint.in_(sa.bindparam("fingerprints", expanding=True)),
    alerts.c.starts_at.between(sa.bindparam("earliest"), sa.bindparam("latest")),
)
_FIRING = sa.select(alerts.c.id, alerts.c.fingerprint, alerts.c.starts_at, alerts.c.status, alerts.c.resolved_at).where(
    alerts.c.status == sa.literal_column("'firing'"),
    alerts.c.fingerprint.in_(sa.bindparam("fingerprints", expanding=True)),
)
_HOLDERS = sa.select(alerts.c.fingerprint, alerts.c.labels).where(
    alerts.c.id.in_(
        sa.select(sa.func.max(alerts.c.id))
        .where(alerts.c.fingerprint.in_(sa.bindparam("fingerprints", expanding=True)))
        .group_by(alerts.c.fingerprint)
    )
)
_TOUCH = (
    alerts.update()
    .where(alerts.c.id == sa.bindparam("alert_id"))
    .values(
        status=sa.bindparam("new_status"),
        resolved_at=sa.func.coalesce(sa.bindparam("new_resolved_at"), alerts.c.resolved_at),
        ends_at=sa.func.coalesce(sa.bindparam("new_ends_at"), alerts.c.ends_at),
        times_received=alerts.c.times_received + sa.bindparam("times"),
        last_received_at=sa.func.coalesce(sa.bindparam("last_at"), alerts.c.last_received_at),
    )
)
_RETURN = alerts.update().where(alerts.c.id == sa.bindparam("alert_id")).values(resolved_at=None, ends_at=None)
_UNDER_WAY = sa.select(remediations.c.id, remediations.c.alert_id, remediations.c.incident_id).where(
    remediations.c.alert_id.in_(sa.bindparam("alerts", expanding=True)), OPEN
)
_OF_ALERTS = sa.select(remediations.c.id, remediations.c.alert_id, remediations.c.incident_id).where(
    remediations.c.alert_id.in_(sa.bindparam("alerts", expanding=True))
)
_HURRY = (
    remediations.update()
    .where(remediations.c.alert_id == sa.bindparam("of_alert"), WAITING, remediations.c.due_at > sa.bindparam("now"))
    .values(due_at=sa.bindparam("now"))
)


def accept(transaction: Transaction, intakes: Sequence[Intake]) -> Sequence[Accepted | None]:
    """One answer for each intake, in order; None: there is no room for it. What each alert is to us is decided in
    `episodes.py`."""
    connection = transaction.connection
    known = _known(connection, intakes)
    fits = fitting(connection, intakes, {episode.key for episode in known})
    accepted = iter(_keep(transaction, [intake for intake, fit in zip(intakes, fits, strict=True) if fit], known))
    return [next(accepted) if fit else None for fit in fits]


def _keep(transaction: Transaction, intakes: Sequence[Intake], known: Sequence[Episode]) -> Sequence[Accepted]:
    if not intakes:
        return ()
    connection = transaction.connection
    result = sort(intakes, known, _holders(connection, intakes))
    old = [episode for episode in result.touched if episode.first is None]
    ended = [episode for episode in old if episode.resolution]
    _insert_alerts(transaction, result.touched)
    _return_alerts(connection, old)
    _touch_alerts(connection, old)
    ended_places = _places(connection, ended)
    places = ended_places | _queue(transaction, result)
    for event in result.events:
        remediation_id, incident_id = places.get(event.episode.id, (None, None))
        transaction.record(Entry(event.at, event.kind, remediation_id, incident_id, event.body, event.beside))
    for at, body, beside in result.foreign:
        transaction.record(Entry(at, Kind.FOREIGN, None, None, body, beside))
    _hurry(connection, ended)
    _end_escalations(transaction, {incident for _, incident in ended_places.values() if incident}, ended)
    return result.accepted


def _known(connection: sa.Connection, intakes: Sequence[Intake]) -> list[Episode]:
    received = [received for intake in intakes for received in intake.received]
    wanted = {(r.key[0], r.key[1] // MILLISECOND) for r in received}
    starts = [starts_at for _, starts_at in wanted]
    between = {"earliest": min(starts) * MILLISECOND, "latest": (max(starts) + 1) * MILLISECOND - 1}
    ended = {r.key[0] for r in received if not r.firing}
    rows: list[sa.Row[int, str, int, str, int]] = []
    for chunk in _chunks(list({fingerprint for fingerprint, _ in wanted})):
        found = connection.execute(_BY_KEY, {"fingerprints": chunk, **between})
        rows += [row for row in found if (row.fingerprint, row.starts_at // MILLISECOND) in wanted]
    for chunk in _chunks(list(ended)):
        rows += connection.execute(_FIRING, {"fingerprints": chunk})
    known = {(row.fingerprint, row.starts_at): row for row in rows}
    return [
        Episode(key, row.id, row.status == AlertStatus.FIRING, resolved_at=row.resolved_at)
        for key, row in known.items()
    ]


def _holders(connection: sa.Connection, intakes: Sequence[Intake]) -> dict[str, str]:
    """Fingerprint -> labels of its newest episode, for what limited senders name; nothing is asked for the others."""
    wanted = {r.key[0] for intake in intakes if intake.authority.is_limited for r in intake.received}
    found: dict[str, str] = {}
    for chunk in _chunks(list(wanted)):
        found |= {row.fingerprint: row.labels for row in connection.execute(_HOLDERS, {"fingerprints": chunk})}
    return found


def _insert_alerts(transaction: Transaction, episodes: Sequence[Episode]) -> None:
    rows = []
    for episode in episodes:
        if episode.first is not None:
            episode.id = transaction.next_id(alerts)
            now = to_micros(episode.first.at)
            rows.append(
                episode.first.received.columns
                | {
                    "id": episode.id,
                    "resolved_at": None,
                    "times_received": episode.times,
                    "first_received_at": now,
                    "last_received_at": now if episode.last_at is None else to_micros(episode.last_at),
                }
                | _end(episode)
            )
    transaction.insert(alerts, rows)


def _return_alerts(connection: sa.Connection, episodes: Sequence[Episode]) -> None:
    """What fires again is not over, and has no end."""
    rows = [{"alert_id": episode.id} for episode in episodes if episode.returned]
    if rows:
        connection.execute(_RETURN, rows)


def _touch_alerts(connection: sa.Connection, episodes: Sequence[Episode]) -> None:
    rows = []
    for episode in episodes:
        end = _end(episode)
        rows.append(
            {
                "alert_id": episode.id,
                "new_status": (AlertStatus.FIRING if episode.firing else AlertStatus.RESOLVED).value,
                "new_resolved_at": end.get("resolved_at"),
                "new_ends_at": end.get("ends_at"),
                "times": episode.times,
                "last_at": None if episode.last_at is None else to_micros(episode.last_at),
            }
        )
    if rows:
        connection.execute(_TOUCH, rows)


def _end(episode: Episode) -> dict[str, Any]:
    """The columns that say how the episode ended; none if this batch did not end it."""
    if episode.resolution is None:
        return {}
    return {
        "status": AlertStatus.RESOLVED.value,
        "resolved_at": to_micros(episode.resolution.at),
        "ends_at": episode.resolution.received.columns["ends_at"],
    }


def _places(connection: sa.Connection, episodes: Sequence[Episode]) -> dict[int | None, tuple[int, int | None]]:
    """Alert id -> (remediation id, incident id), so that a resolution shows up in the incident's timeline."""
    places: dict[int | None, tuple[int, int | None]] = {}
    for chunk in _chunks([episode.id for episode in episodes]):
        for row in connection.execute(_OF_ALERTS, {"alerts": chunk}):
            places[row.alert_id] = (row.id, row.incident_id)
    return places


def _queue(transaction: Transaction, result: Sorted) -> dict[int | None, tuple[int, int | None]]:
    places: dict[int | None, tuple[int, int | None]] = {}
    new = [event for event in result.events if event.kind is Kind.RECEIVED]
    returned = [event.episode.id for event in new if event.episode.returned]
    if returned:  # what still waits for it goes on, and no other begins
        for one in transaction.connection.execute(_UNDER_WAY, {"alerts": returned}):
            places[one.alert_id] = (one.id, one.incident_id)
        new = [event for event in new if event.episode.id not in places]
    chance = os.urandom(_ACTION_ID_BYTES * len(new)).hex()
    rows = []
    for number, event in enumerate(new):
        action_id = chance[2 * _ACTION_ID_BYTES * number : 2 * _ACTION_ID_BYTES * (number + 1)]
        row = _new_remediation(transaction.next_id(remediations), action_id, event)
        rows.append(row)
        places[event.episode.id] = (row["id"], None)
    transaction.insert(remediations, rows)
    return places


def _new_remediation(remediation_id: int, action_id: str, event: Event) -> dict[str, Any]:
    now = to_micros(event.at)
    return {
        "id": remediation_id,
        "action_id": action_id,
        "alert_id": event.episode.id,
        "fingerprint": event.episode.key[0],
        "state": State.QUEUED.value,
        "severity": event.severity,
        "reason": Reason.NONE.value,
        "progress": "{}",
        "created_at": now,
        "due_at": now,
        "epoch": 0,
        "tries": 0,
    }


def _hurry(connection: sa.Connection, episodes: Sequence[Episode]) -> None:
    # What waits for a later time would sit there until then: let a worker look now and cancel it.
    rows = [{"of_alert": e.id, "now": to_micros(e.resolution.at)} for e in episodes if e.resolution]
    if rows:
        connection.execute(_HURRY, rows)


def _end_escalations(transaction: Transaction, incidents: set[int], episodes: Sequence[Episode]) -> None:
    last = max((episode.resolution.at for episode in episodes if episode.resolution), default=None)
    for chunk in _chunks(sorted(incidents)):
        assert last is not None
        escalations.end_what_is_over(transaction, chunk, escalations.ALL_RESOLVED, at=last)


def _chunks(values: Sequence[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(values), _CHUNK):
        yield list(values[start : start + _CHUNK])
