"""An audit log with its keeper, and an anchor in memory."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from remediator.anchor.base import Anchor, AnchorUnavailable
from remediator.anchor.keeper import LogKeeper
from remediator.audit.note import checkpoint, opened
from remediator.reasons import Reason
from remediator.store.base import Record
from remediator.store.database import Database
from remediator.store.log import LogKeys
from remediator.store.opening import open_database
from tests.clocks import FakeClock
from tests.logkeys import KEYS


class Memory:
    """An anchor in memory, that can be away."""

    name = "memory"

    def __init__(self, note: bytes | None = None) -> None:
        self.note = note
        self.is_away = False
        self.written: list[bytes] = []

    async def read(self) -> bytes | None:
        if self.is_away:
            raise AnchorUnavailable("away")
        return self.note

    async def write(self, note: bytes, *, unless: Callable[[bytes], bool]) -> None:
        if self.is_away:
            raise AnchorUnavailable("away")
        if self.note is not None and unless(self.note):
            return
        self.note = note
        self.written.append(note)


@asynccontextmanager
async def kept(
    anchors: Sequence[Anchor], *, path: Path | None = None, keys: LogKeys = KEYS, said: list[str] | None = None
) -> AsyncIterator[tuple[Database, LogKeeper]]:
    clock = FakeClock()
    url = "sqlite:///:memory:" if path is None else f"sqlite:///{path}"
    store = await open_database(url, clock=clock, keys=keys, log_name="lab")
    out = said if said is not None else []
    keeper = LogKeeper(store, anchors, trusted=keys.known, clock=clock, say=out.append, seen=lambda *_: None)
    await keeper.begin()
    try:
        yield store, keeper
    finally:
        await store.close()


async def note(store: Database, kind: str = "test.noted") -> None:
    await store.note([Record(kind, {})], at=FakeClock().now())


def size_of(one: bytes) -> int:
    return checkpoint(opened(one, KEYS.known)[0]).size


def never(_: bytes) -> bool:
    return False


async def reason(keeper: LogKeeper) -> Reason | None:
    doubt = await keeper.why_not()
    return None if doubt is None else doubt.reason


async def confirmed(keeper: LogKeeper) -> str:
    begun = keeper.standing_at_start
    assert begun is not None
    root = base64.b64encode(begun.root).decode()
    return await keeper.confirm(size=begun.size, root=root, by="ann", comment="as it was")
