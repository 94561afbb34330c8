"""Hashes of spans of the tree, from tiles and records: what proofs are made of. Reads only; `database.py` calls it."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from remediator.audit.tree import EMPTY_ROOT, growth, left_out, path, span_of
from remediator.store.leaves import HASH_BYTES, TILE, leaves_between, leaves_by_number, over_tiles
from remediator.store.log_base import LogRow
from remediator.store.rows import stored_bytes
from remediator.store.tables import log_head, log_tiles, records
from remediator.store.transaction import Transaction


def root_at(connection: sa.Connection, size: int) -> bytes:
    """The root over the first `size` records. Raises ValueError beyond the end, or where hashes are missing."""
    return Spans(connection)(0, size) if size else EMPTY_ROOT


def proof_of(connection: sa.Connection, held: Sequence[int], size: int) -> list[bytes]:
    """What proves the records of these indices, ascending, in the tree of `size` (`tree.root_with` checks it)."""
    spans = Spans(connection)
    return [spans(low, high) for low, high in left_out(held, size)]


def growth_of(connection: sa.Connection, old: int, new: int) -> list[bytes]:
    """What proves that the tree of `new` begins with that of `old` (`tree.grew`)."""
    spans = Spans(connection)
    return [spans(low, high) for low, high in growth(old, new)]


def rows(connection: sa.Connection, seqs: Sequence[int]) -> Sequence[LogRow]:
    """These records, ascending, as far as they are there."""
    page = sa.select(records.c.seq, records.c.canonical, records.c.beside).where(records.c.seq.in_(seqs))
    return [
        LogRow(row.seq, stored_bytes(row.canonical), None if row.beside is None else stored_bytes(row.beside))
        for row in connection.execute(page.order_by(records.c.seq))
    ]


def one(transaction: Transaction, seq: int) -> tuple[bytes, int, Sequence[bytes], bytes] | None:
    """A record's bytes, its index, its inclusion proof (RFC 6962 2.1.1), and the checkpoint of the head."""
    row = transaction.connection.execute(sa.select(records.c.canonical).where(records.c.seq == seq)).one_or_none()
    if row is None:
        return None
    head, spans = transaction.log.head(transaction.connection), Spans(transaction.connection)
    hashes = [spans(low, high) for low, high in path(seq - 1, head.size)]
    return stored_bytes(row.canonical), seq - 1, hashes, head.note


def look_over(connection: sa.Connection, first: int, count: int) -> tuple[int | None, str]:
    """Compare so many full tiles with their records; the tile to go on with (None: that was all) and what is wrong.

    What retention has given up has no records to be compared with; its tiles are compared with their own roots.
    """
    pruned: int = connection.execute(sa.select(log_head.c.pruned)).scalar_one()
    page = sa.select(log_tiles).where(log_tiles.c.number >= first).order_by(log_tiles.c.number).limit(count)
    tiles = connection.execute(page).all()
    for row in tiles:
        hashes, low = stored_bytes(row.hashes), row.number * TILE
        leaves = [hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)]
        if span_of(leaves) != stored_bytes(row.root):
            return None, f"the tile of records {low + 1} to {low + TILE} is not that of its root"
        if low >= pruned and (wrong := _first_wrong(connection, low, hashes)) is not None:
            return None, f"record {wrong} is not the one that was written"
    return (tiles[-1].number + 1 if len(tiles) == count else None), ""


def _first_wrong(connection: sa.Connection, low: int, hashes: bytes) -> int | None:
    found = leaves_by_number(connection, low, low + TILE)
    places = enumerate(range(0, len(hashes), HASH_BYTES), start=low + 1)
    return next((seq for seq, at in places if found.get(seq) != hashes[at : at + HASH_BYTES]), None)


class Spans:
    """The hash of any span that the tree divides into. Roots of tiles are read once."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._roots: list[bytes] | None = None

    def __call__(self, low: int, high: int) -> bytes:
        """Raises ValueError when a record of it is missing."""
        if high - low <= TILE and low // TILE == (high - 1) // TILE:
            return span_of(self._leaves(low, high))
        # A span of the tree that is more than a tile begins where a tile begins.
        roots = self._tile_roots()[low // TILE : high // TILE]
        full = low + len(roots) * TILE
        if full != high - high % TILE:
            raise ValueError(f"tiles are missing before record {high}")
        return over_tiles(roots).extended(self._leaves(full, high)).root()

    def _tile_roots(self) -> list[bytes]:
        if self._roots is None:
            rows = self._connection.execute(sa.select(log_tiles.c.root).order_by(log_tiles.c.number))
            self._roots = [stored_bytes(row.root) for row in rows]
        return self._roots

    def _leaves(self, low: int, high: int) -> list[bytes]:
        """Of one tile: from it when it is full, so that pruned records are no obstacle, else from the records."""
        number = low // TILE
        tile = self._connection.execute(
            sa.select(log_tiles.c.hashes).where(log_tiles.c.number == number)
        ).scalar_one_or_none()
        if tile is not None:
            hashes = stored_bytes(tile)
            places = range((low - number * TILE) * HASH_BYTES, (high - number * TILE) * HASH_BYTES, HASH_BYTES)
            return [hashes[place : place + HASH_BYTES] for place in places]
        leaves = leaves_between(self._connection, low, high)
        if len(leaves) != high - low:
            raise ValueError(f"records {low + 1} to {high} are not all there")
        return leaves


