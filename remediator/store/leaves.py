"""The leaves of the audit log's tree, as the database has them: hashes of records, tiles of them, and gaps.

`log.py` appends to them and compares them with the head, `proofs.py` makes proofs of them.

`log_tiles` holds the leaf hashes of each full run of 256 records, with their root, so that proofs need no records and
go on when those are pruned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa

from remediator.audit.tree import Frontier, leaf_hash, span_of
from remediator.store.gaps import gaps_between
from remediator.store.rows import stored_bytes
from remediator.store.tables import log_tiles, records

TILE = 256
"""Records in a tile, as in C2SP tlog-tiles."""

HASH_BYTES = 32
_PAGE = 4096

_CANONICAL = sa.select(records.c.seq, records.c.canonical).where(
    records.c.seq > sa.bindparam("after"), records.c.seq <= sa.bindparam("upto")
)


def leaves_between(connection: sa.Connection, after: int, upto: int) -> list[bytes]:
    """The leaf hashes of the records after one number up to another, as far as something is there for them."""
    leaves: list[bytes] = []
    for start in range(after, upto, _PAGE):
        found = leaves_by_number(connection, start, min(start + _PAGE, upto))
        leaves += [found[seq] for seq in sorted(found)]
    return leaves


def leaves_by_number(connection: sa.Connection, after: int, upto: int) -> dict[int, bytes]:
    """As `leaves_between`, by the number of the record."""
    return gaps_between(connection, after, upto) | _written(connection, after, upto)


def _written(connection: sa.Connection, after: int, upto: int) -> dict[int, bytes]:
    page = connection.execute(_CANONICAL, {"after": after, "upto": upto})
    return {row.seq: leaf_hash(stored_bytes(row.canonical)) for row in page}


def write_tiles(connection: sa.Connection, leaves: list[bytes], *, first: int) -> list[bytes]:
    """Write the full tiles, the first of which has this number; gives the leaves behind them."""
    number = first
    while len(leaves) >= TILE:
        full, leaves = leaves[:TILE], leaves[TILE:]
        connection.execute(log_tiles.insert(), {"number": number, "root": span_of(full), "hashes": b"".join(full)})
        number += 1
    return leaves


def recomputed(connection: sa.Connection, size: int) -> Frontier | None:
    """The frontier from tiles and the records behind them; None: some are missing."""
    roots = [row.root for row in connection.execute(sa.select(log_tiles.c.root).order_by(log_tiles.c.number))]
    behind = leaves_between(connection, size - size % TILE, size)
    if len(roots) != size // TILE or len(behind) != size % TILE:
        return None
    return over_tiles(roots).extended(behind)


def over_tiles(roots: Sequence[bytes]) -> Frontier:
    """A frontier of whole tiles: the tree over their roots is the top of the tree over their leaves."""
    return replace(Frontier().extended(roots), size=len(roots) * TILE)


def whatever_is_there(connection: sa.Connection, size: int, *, pruned: int) -> tuple[list[bytes], list[int]]:
    """All leaf hashes, and the numbers of the records that are missing: not those that retention gave up, as long as
    their tiles are there."""
    tiles = connection.execute(sa.select(log_tiles.c.number, log_tiles.c.hashes))
    known = {row.number: stored_bytes(row.hashes) for row in tiles}
    written, gaps = _written(connection, 0, size), gaps_between(connection, 0, size)
    leaves: list[bytes] = []
    missing: list[int] = []
    for seq in range(1, size + 1):
        leaf = written.get(seq)
        if leaf is None:
            tile, place = known.get((seq - 1) // TILE), (seq - 1) % TILE * HASH_BYTES
            of_tile = None if tile is None else tile[place : place + HASH_BYTES]
            leaf = of_tile or gaps.get(seq) or leaf_hash(b"")
            if seq > pruned or of_tile is None:
                missing.append(seq)
        leaves.append(leaf)
    return leaves, missing
