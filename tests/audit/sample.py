"""A real bundle to be attacked: an incident's records out of a longer log, with its keys and its anchor."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from remediator.audit.bundle import MANIFEST, BundleWriter, content, manifest_text, read_members
from remediator.audit.note import SigningKey, signed, unproven_text
from remediator.export.bundle import write_bundle
from remediator.store.base import Record
from remediator.store.database import Database
from remediator.store.opening import open_database
from tests.clocks import FakeClock
from tests.logkeys import KEYS
from tests.unit.store.examples import NOW

HELD = 120
TOTAL = 300
FILES = (("timeline.md", [b"# Incident\n"]), ("rule.yaml", [b"name: ", b"crash-loop\n"]))


@dataclass(frozen=True, slots=True)
class Sample:
    """`path` is the bundle; `keys` and `anchor` are files as a verifier's user has them."""

    path: Path
    keys: Path
    anchor: Path
    database: Path


async def make(folder: Path, *, held: int = HELD, total: int = TOTAL) -> Sample:
    """A bundle of `held` of `total` records, here and there in runs, and the stopped database beside it."""
    database = folder / "remediator.db"
    store = await open_database(f"sqlite:///{database}", clock=FakeClock(), keys=KEYS, log_name="lab")
    half = total // 2
    await fill(store, half)
    anchor = folder / "anchor"
    anchor.write_bytes((await store.checkpoints(after=0, newest=True, limit=1))[0][2])
    await fill(store, total - half)
    seqs = [seq for seq in range(2, total + 2) if seq % 7 < 3][:held]
    assert len(seqs) == held
    path = folder / "bundle.zip"
    with path.open("wb") as out:
        await write_bundle(out, store, scope="incident 7", seqs=seqs, files=FILES)
    await store.close()
    keys = folder / "keys.txt"
    keys.write_text(f"# of the lab\n{KEYS.known[0]}\n")
    return Sample(path, keys, anchor, database)


async def fill(store: Database, count: int) -> None:
    """Small records, every third with something free, the last one kept as a checkpoint."""
    bodies: list[dict[str, object]] = [
        {"n": number, **({"comment": f"said {number}"} if number % 3 == 0 else {})} for number in range(count - 1)
    ]
    await store.note([Record("test.noted", body) for body in bodies], at=NOW)
    await store.note([Record("action.applied", {"n": count})], at=NOW)


def rebuilt(
    bundle: bytes, change: Callable[[str, bytes], bytes], *, key: SigningKey | None = None, new: Iterable[str] = ()
) -> bytes:
    """The archive written anew with changed contents, and a manifest that fits them: signed by `key`, or with the old
    signature when there is none."""
    source = io.BytesIO(bundle)
    members = read_members(source)
    out = io.BytesIO()
    writer = BundleWriter(out)
    for name, member in members.items():
        if name != MANIFEST:
            writer.add(name, [change(name, content(source, member))])
    note = content(source, members[MANIFEST])
    origin, scope = unproven_text(note).decode().split("\n")[1:3]
    text = manifest_text(origin, scope, writer.members)
    old_signature = note[len(unproven_text(note)) + 1 :]
    whole = text + b"\n" + old_signature if key is None else signed(text, [key])
    writer.add(MANIFEST, [change(MANIFEST, whole)])
    writer.finish()
    return out.getvalue()


def lines_of(bundle: bytes, name: str) -> Sequence[bytes]:
    source = io.BytesIO(bundle)
    return content(source, read_members(source)[name]).splitlines(keepends=True)
