"""A bundle: records with their proof, what was disclosed of them, and the files that people read, signed as one.

`bundling.py` says what goes into one; `audit/FORMAT.md` says what comes out, and `audit/verify.py` checks it. Records
are read in pages, so that a bundle of a year needs no more memory than one of a day but for 40 bytes a record.
"""

from __future__ import annotations

import asyncio
import base64
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import BinaryIO, Protocol

from remediator.audit.bundle import MANIFEST, BundleWriter, manifest_text
from remediator.audit.verify_bundle import CHECKPOINT, DISCLOSURES, GROWTH, PROOF, RECORDS
from remediator.store.base import StoreUnavailable
from remediator.store.log_base import LogRow, LogStanding

PAGE = 500
MAX_GROWTHS = 256
"""So many of the newest checkpoints that were made known can be compared with a bundle."""

_CHUNK = 1 << 20


class BundleStore(Protocol):
    """What a bundle is made of, as the store has it."""

    async def log_standing(self) -> LogStanding: ...

    async def log_rows(self, seqs: Sequence[int]) -> Sequence[LogRow]:
        """These records, ascending, as far as they are there."""

    async def log_proof_of(self, seqs: Sequence[int], size: int) -> Sequence[bytes]: ...

    async def log_growth(self, old: int, new: int) -> Sequence[bytes]: ...

    async def checkpoints(
        self, *, after: int, limit: int = 1000, newest: bool = False
    ) -> Sequence[tuple[int, datetime, bytes]]: ...

    async def log_signed(self, text: bytes) -> bytes:
        """The text as a note, signed as the head is: by nobody where the log is not."""


async def write_bundle(
    out: BinaryIO, store: BundleStore, *, scope: str, seqs: Sequence[int], files: Iterable[tuple[str, Iterable[bytes]]]
) -> int:
    """Write the bundle of the records `seqs` (ascending) to a file that can seek; how many records it holds.

    `scope` is one line for people: what was asked for. `files` are names with their content in pieces. Raises
    ValueError for a scope that is not one line, StoreUnavailable where records were given up meanwhile.
    """
    if not scope or not scope.isprintable():
        raise ValueError("the scope of a bundle is one line")
    head = await store.log_standing()
    known = [seq for seq in seqs if seq <= head.size]
    proof = await store.log_proof_of(known, head.size)
    growth = await _growth(store, head)
    with tempfile.TemporaryFile() as records, tempfile.TemporaryFile() as disclosures:
        count = 0
        for start in range(0, len(known), PAGE):
            rows = await store.log_rows(known[start : start + PAGE])
            count += len(rows)
            records.write(b"".join(row.canonical + b"\n" for row in rows))
            disclosures.write(b"".join(_disclosure(row) for row in rows if row.beside not in (None, b"{}")))
        if count != len(known):
            raise StoreUnavailable(f"{len(known) - count} of the records were given up by retention meanwhile")
        writer = BundleWriter(out)

        def assemble() -> bytes:
            writer.add(CHECKPOINT, [head.note])
            writer.add(RECORDS, chunks_of(records))
            writer.add(DISCLOSURES, chunks_of(disclosures))
            writer.add(PROOF, [_lines(proof)])
            writer.add(GROWTH, [growth])
            for name, content in files:
                writer.add(name, content)
            return manifest_text(head.origin, scope, writer.members)

        text = await asyncio.to_thread(assemble)
    writer.add(MANIFEST, [await store.log_signed(text)])
    writer.finish()
    return count


async def _growth(store: BundleStore, head: LogStanding) -> bytes:
    kept = await store.checkpoints(after=0, limit=MAX_GROWTHS, newest=True)
    sizes = sorted({size for size, _, _ in kept if size < head.size})
    parts = [b"size %d\n%b" % (size, _lines(await store.log_growth(size, head.size))) for size in sizes]
    return b"".join(parts)


def _lines(hashes: Iterable[bytes]) -> bytes:
    return b"".join(base64.b64encode(one) + b"\n" for one in hashes)


def _disclosure(row: LogRow) -> bytes:
    return b'{"fields":%b,"seq":%d}\n' % (row.beside or b"{}", row.seq)


def chunks_of(file: BinaryIO) -> Iterator[bytes]:
    """All of the file, from its start."""
    file.seek(0)
    while chunk := file.read(_CHUNK):
        yield chunk
