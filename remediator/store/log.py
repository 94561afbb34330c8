"""The audit log as the store keeps it: every record a leaf of the tree, the head signed with each transaction.

`transaction.py` hands over the entries of a batch, in the thread that owns the connection; head, tiles and kept
checkpoints are written with them or not at all. The head in the database is the truth: what is remembered here only
spares reading it again, and is thrown away when the two differ (a transaction that did not commit, another replica).

Tables: `log_head` is one row, the frontier of the tree and the note over its root. `log_checkpoints` holds the notes
that were made known outside. The leaves of the tree are `leaves.py`'s: in `log_tiles`, and in `log_gaps` (`gaps.py`).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from remediator.audit.commitments import sealed
from remediator.audit.note import (
    BadNote,
    Checkpoint,
    SigningKey,
    VerifyingKey,
    checkpoint,
    opened,
    signed,
    unproven_text,
)
from remediator.audit.record import encode_entry
from remediator.audit.tree import Frontier, leaf_hash
from remediator.errors import ConfigError, cut
from remediator.store.gaps import in_runs
from remediator.store.leaves import HASH_BYTES, TILE, leaves_between, recomputed, whatever_is_there, write_tiles
from remediator.store.log_base import LogStanding
from remediator.store.rows import from_micros, stored_bytes, to_micros
from remediator.store.tables import log_checkpoints, log_gaps, log_head, log_tiles, records

KEPT_KINDS = ("action.", "revert.", "restore.", "outcome.", "audit.", "switch.")
"""Records whose checkpoint is kept and made known at once: what was written, what came of it, and the log itself."""

KEEP_EVERY_MICROS = 60_000_000
"""The newest checkpoint is kept at least so often, as long as there are records."""

_THE_ONE = 1


@dataclass(frozen=True, slots=True)
class LogKeys:
    """Who signs. `present` None: nobody, and then nothing is done to the cluster. `previous` proves a rotation."""

    present: SigningKey | None = None
    previous: SigningKey | None = None

    @property
    def known(self) -> Sequence[VerifyingKey]:
        return [key.verifying for key in (self.present, self.previous) if key is not None]


@dataclass(frozen=True, slots=True)
class Entry:
    """An audit record that gets its `seq` when the transaction ends. `body` is canonical JSON, with commitments in
    place of what is free; `beside` are the disclosures of these."""

    at: datetime
    kind: str
    remediation_id: int | None
    incident_id: int | None
    body: bytes
    beside: bytes | None = None

    @classmethod
    def of(
        cls,
        at: datetime,
        kind: str,
        body: Mapping[str, Any],
        *,
        remediation: int | None = None,
        incident: int | None = None,
    ) -> Entry:
        """Raises ValueError for a body that JSON cannot hold."""
        return cls(at, kind, remediation, incident, *sealed(body))


@dataclass(frozen=True, slots=True)
class Head:
    """Where the log stands. `tile` are the leaf hashes behind the last full tile; `note` is as signed."""

    origin: str
    frontier: Frontier
    tile: tuple[bytes, ...]
    note: bytes

    @property
    def size(self) -> int:
        return self.frontier.size


class Log:
    """One log in one database; used by the store's thread alone. `problem` is why it is not signed though there is a
    key; empty: it is."""

    def __init__(self, keys: LogKeys, *, name: str = "default") -> None:
        self._keys = keys
        self._name = name
        self._remembered: Head | None = None
        self._committed: Head | None = None
        self._kept_at: int | None = None
        self.problem = ""
        self._looked_at = ""  # the name of the log that `problem` is about

    @property
    def has_key(self) -> bool:
        return self._keys.present is not None

    def sign(self, text: bytes) -> bytes:
        """The text as a note, signed as the head is."""
        present = self._keys.present
        return signed(text, [present] if present is not None and not self.problem else [])

    # -- a database that is opened again

    def committed(self) -> None:
        """What was appended is durable: no database that holds less is ours any more."""
        self._committed = self._remembered

    def rolled_back(self) -> None:
        """What was appended since the last COMMIT is not there."""
        self._remembered = self._committed

    def check_not_older(self, connection: sa.Connection, *, is_shared: bool) -> None:
        """Raises ConfigError for an older copy: what was done since then would be unknown, and done again.

        `is_shared`: it may be that another replica has begun a new epoch meanwhile, as a person decided there.
        """
        known = self._committed
        row = connection.execute(_HEAD).one_or_none()
        if known is None:
            return
        is_later = row is not None and (row.size >= known.size if row.origin == known.origin else is_shared)
        if not is_later:
            size = "no log" if row is None else f"{row.size} records of {row.origin}"
            raise ConfigError(
                f"the database that is there now holds {size}, and the one before {known.size} of {known.origin}: an "
                "older copy, or another one; stop remediator, bring back the right one, and start it again"
            )

    # -- appending

    def head(self, connection: sa.Connection) -> Head:
        """As committed, or as left by this transaction."""
        row = connection.execute(_HEAD).one()
        known = self._remembered
        if known is None or known.note != stored_bytes(row.note) or known.origin != row.origin:
            tile = leaves_between(connection, row.size - row.size % TILE, row.size)
            tile += [leaf_hash(b"")] * (row.size % TILE - len(tile))  # of a log that is broken, and not signed
            frontier = Frontier(row.size, _nodes(row.nodes))
            known = self._remembered = Head(row.origin, frontier, tuple(tile), stored_bytes(row.note))
            self._check_went_on(known)
        if row.origin != self._looked_at:  # another replica has begun a new epoch, or our own was rolled back
            self._look(connection, row)
        return known

    def _check_went_on(self, head: Head) -> None:
        """Whoever may write the tables can turn them back while we are connected, and every proof would hold again: so
        what was durable must not be missing from what others have made of it. Only a new epoch mends that."""
        ours = self._committed
        if ours is None or ours.origin != head.origin:
            return
        if head.size < ours.size:
            self.problem = f"the head knew {ours.size} records, and now knows {head.size}"
        elif head.size == ours.size and head.frontier.nodes != ours.frontier.nodes:
            self.problem = f"the {head.size} records of the head are others now"

    def append(self, connection: sa.Connection, entries: Sequence[Entry]) -> Sequence[dict[str, Any]]:
        """The rows of `records` for these entries, numbered; all else of the log is written here."""
        head = self.head(connection)
        rows = [_row(entry, head.size + number) for number, entry in enumerate(entries, start=1)]
        keep = self._is_kept(entries, rows[-1]["at"])
        self._grow(connection, head, [leaf_hash(row["canonical"]) for row in rows], at=rows[-1]["at"], keep=keep)
        return rows

    def _is_kept(self, entries: Sequence[Entry], at: int) -> bool:
        is_due = self._kept_at is None or at - self._kept_at >= KEEP_EVERY_MICROS
        return is_due or any(entry.kind.startswith(KEPT_KINDS) for entry in entries)

    def _grow(
        self,
        connection: sa.Connection,
        head: Head,
        leaves: Sequence[bytes],
        *,
        at: int,
        keep: bool,
        keys: Sequence[SigningKey] | None = None,
    ) -> None:
        frontier = head.frontier.extended(leaves)
        tile = write_tiles(connection, [*head.tile, *leaves], first=head.size // TILE)
        text = Checkpoint(head.origin, frontier.size, frontier.root()).text()
        note = self.sign(text) if keys is None else signed(text, keys)
        new = Head(head.origin, frontier, tuple(tile), note)
        values = {"origin": new.origin, "size": new.size, "nodes": b"".join(frontier.nodes), "note": note, "at": at}
        moved = connection.execute(_MOVE, {"old_size": head.size, **{f"new_{name}": values[name] for name in values}})
        if moved.rowcount != 1:  # alone in the database, this is somebody's hand in it
            raise sa.exc.OperationalError("log_head", {}, Exception("the head of the audit log moved under us"))
        if keep:
            connection.execute(_UNKEEP, {"of": new.origin, "same_size": new.size})
            connection.execute(_KEEP, {"origin": new.origin, "size": new.size, "at": at, "note": note})
            self._kept_at = at
        self._remembered = new

    # -- beginning

    def begin(self, connection: sa.Connection, *, at: datetime) -> Sequence[Entry]:
        """Look at what is there, before anything is appended. Gives what is to be recorded of it.

        Sets `problem` when the log is not as its head says, or when the head was signed by a key that is not known.
        """
        row = connection.execute(_HEAD).one_or_none()
        if row is None or not (row.size or row.note):  # an older version began it, and left it without a note
            return self._found(connection, at)
        last = self._look(connection, row)
        if last > row.size:  # rows that no head knows of: numbering has to go on behind them
            self._adopt(connection, row.size, last, at=to_micros(at))
        if self.problem:
            return [Entry.of(at, "audit.broken", {"problem": self.problem, "size": row.size, "last": last})]
        return self._keys_changed(connection, stored_bytes(row.note), at)

    def _look(self, connection: sa.Connection, row: sa.Row[Any, Any, Any, Any]) -> int:
        """Set `problem` by what is there; the number of the last record."""
        last: int = connection.execute(sa.select(sa.func.coalesce(sa.func.max(records.c.seq), 0))).scalar_one()
        self.problem = self._fault(connection, row, last)
        if not self.problem and _signers(stored_bytes(row.note), self._keys.known) is None:
            self.problem = "the head is signed by a key that is not known here; give it as the previous key"
        self._looked_at = row.origin
        return last

    def _found(self, connection: sa.Connection, at: datetime) -> Sequence[Entry]:
        """A new log, over the records that an older version may have left."""
        before: int = connection.execute(sa.select(sa.func.count()).select_from(records)).scalar_one()
        head = Head(self._new_origin(), Frontier(), (), b"")
        self._looked_at = head.origin
        connection.execute(log_head.delete())
        connection.execute(
            log_head.insert(), {"id": _THE_ONE, "origin": head.origin, "size": 0, "nodes": b"", "note": b"", "at": 0}
        )
        # Also over none: a head without a note would be taken for a broken one by whoever opens it next.
        self._grow(connection, head, leaves_between(connection, 0, before), at=to_micros(at), keep=False)
        if not before and self._keys.present is None:
            return []
        body = {"origin": head.origin, "key": self._key_line(), "records_before": before}
        return [Entry.of(at, "audit.began", body)]

    def _new_origin(self) -> str:
        name = "".join(c if c.isalnum() or c in "-._" else "-" for c in self._name)
        return f"remediator.io/audit/v1/{name}/{secrets.token_hex(4)}"

    def _key_line(self) -> str | None:
        return None if self._keys.present is None else str(self._keys.present.verifying)

    def _fault(self, connection: sa.Connection, row: sa.Row[Any, Any, Any, Any], last: int) -> str:
        if last != row.size:
            return f"the head knows {row.size} records, and the last one is number {last}"
        frontier = recomputed(connection, row.size)
        if frontier is None:
            return "tiles or records of the tree are missing"
        if frontier.nodes != _nodes(row.nodes):
            return "the records are not those of the head"
        try:
            said = checkpoint(unproven_text(stored_bytes(row.note)))
        except BadNote as error:
            return f"the head cannot be read: {error}"
        if said != Checkpoint(row.origin, row.size, frontier.root()):
            return "the head's checkpoint is not that of its tree"
        return ""

    def _adopt(self, connection: sa.Connection, size: int, last: int, *, at: int) -> None:
        leaves = leaves_between(connection, size, last)
        if len(leaves) != last - size:
            raise sa.exc.OperationalError("records", {}, Exception("the audit log has holes behind its head"))
        self._remembered = None
        self._grow(connection, self.head(connection), leaves, at=at, keep=False)

    def _keys_changed(self, connection: sa.Connection, note: bytes, at: datetime) -> Sequence[Entry]:
        signers = _signers(note, self._keys.known)
        present, previous = self._keys.present, self._keys.previous
        assert signers is not None  # `_look` said that it is broken
        if present is None or present.verifying in signers:
            return []
        if not signers:
            return [Entry.of(at, "audit.key-began", {"key": str(present.verifying)})]
        assert previous is not None  # the only other key that is known
        # The head itself says it, by both: whoever trusts the old key can come to trust the new one.
        self._grow(connection, self.head(connection), [], at=to_micros(at), keep=True, keys=[previous, present])
        body = {"old_key": str(previous.verifying), "new_key": str(present.verifying)}
        return [Entry.of(at, "audit.key-rotated", body)]

    # -- a new epoch

    def begin_epoch(self, connection: sa.Connection, *, at: datetime, by: str, comment: str) -> Entry:
        """Go on under a new name, as a person decided: what the old head promised cannot be kept any more.

        A record that is missing is stood for by its hash where a tile has it, else by that of nothing; what stands for
        it is kept, so that the log is found whole at the next start, and by other replicas.
        """
        row = connection.execute(_HEAD).one()
        last = connection.execute(sa.select(sa.func.coalesce(sa.func.max(records.c.seq), 0))).scalar_one()
        size = max(row.size, last)
        pruned: int = connection.execute(sa.select(log_head.c.pruned)).scalar_one()
        leaves, missing = whatever_is_there(connection, size, pruned=pruned)
        connection.execute(log_gaps.delete())
        if missing:
            connection.execute(log_gaps.insert(), [{"seq": seq, "hash": leaves[seq - 1]} for seq in missing])
        connection.execute(log_tiles.delete())
        head = Head(self._new_origin(), Frontier(), (), b"")
        connection.execute(log_head.update().values(origin=head.origin, size=0))
        self.problem, self._looked_at = "", head.origin
        self._grow(connection, head, leaves, at=to_micros(at), keep=False)
        body = {
            "origin": head.origin,
            "old_head": _shown(stored_bytes(row.note)),
            "missing": in_runs(missing),
            "key": self._key_line(),
            "by": by,
            "comment": comment,
        }
        return Entry.of(at, "audit.epoch", body)


_HEAD = sa.select(log_head.c.origin, log_head.c.size, log_head.c.nodes, log_head.c.note).where(
    log_head.c.id == _THE_ONE
)
_HEAD_AT = sa.select(log_head.c.at).where(log_head.c.id == _THE_ONE)
_UNKEEP = log_checkpoints.delete().where(
    log_checkpoints.c.origin == sa.bindparam("of"), log_checkpoints.c.size == sa.bindparam("same_size")
)
_KEEP = log_checkpoints.insert()
_KEPT = (
    sa.select(log_checkpoints)
    .where(log_checkpoints.c.origin == sa.bindparam("of"), log_checkpoints.c.size > sa.bindparam("after"))
    .limit(sa.bindparam("at_most"))
)
_OLDEST_KEPT = _KEPT.order_by(log_checkpoints.c.size)
_NEWEST_KEPT = _KEPT.order_by(log_checkpoints.c.size.desc())
_MOVE = (
    log_head.update()
    .where(log_head.c.id == _THE_ONE, log_head.c.size == sa.bindparam("old_size"))
    .values({name: sa.bindparam(f"new_{name}") for name in ("origin", "size", "nodes", "note", "at")})
)


def _row(entry: Entry, seq: int) -> dict[str, Any]:
    canonical = encode_entry(
        seq=seq,
        at=entry.at,
        kind=entry.kind,
        remediation=entry.remediation_id,
        incident=entry.incident_id,
        body=entry.body,
    )
    return {
        "seq": seq,
        "at": to_micros(entry.at),
        "kind": entry.kind,
        "remediation_id": entry.remediation_id,
        "incident_id": entry.incident_id,
        "canonical": canonical,
        "beside": entry.beside,
    }


def _nodes(joined: bytes | str) -> tuple[bytes, ...]:
    joined = stored_bytes(joined)
    return tuple(joined[at : at + HASH_BYTES] for at in range(0, len(joined), HASH_BYTES))


def _shown(note: bytes) -> str:
    """The text of a note as far as it is one, for people."""
    try:
        return unproven_text(note).decode()
    except BadNote:
        return ""


def _signers(note: bytes, known: Sequence[VerifyingKey]) -> Sequence[VerifyingKey] | None:
    """The known keys that signed; none for a note without signatures, None for one by others or a wrong one."""
    if note.endswith(b"\n\n"):
        return []
    try:
        return opened(note, known)[1]
    except BadNote:
        return None


def standing(log: Log, connection: sa.Connection) -> LogStanding:
    head = log.head(connection)
    at = from_micros(connection.execute(_HEAD_AT).scalar_one())
    return LogStanding(
        origin=head.origin,
        size=head.size,
        root=head.frontier.root(),
        note=head.note,
        at=at,
        has_key=log.has_key,
        problem=cut(log.problem),
    )


def kept(
    log: Log, connection: sa.Connection, *, after: int, limit: int, newest: bool
) -> Sequence[tuple[int, datetime, bytes]]:
    """The checkpoints of this log that were kept beyond a size, smallest first: size, when, note. `newest`: when there
    are more than `limit`, the newest of them instead of the oldest."""
    asked = {"of": log.head(connection).origin, "after": after, "at_most": limit}
    page = connection.execute(_NEWEST_KEPT if newest else _OLDEST_KEPT, asked)
    found = [(row.size, from_micros(row.at), stored_bytes(row.note)) for row in page]
    return sorted(found)
