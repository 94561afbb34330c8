"""A database in memory for one caller who is alone with it and keeps no record: the SQL of the store, and nothing else.

For the backtest, which asks it a hundred thousand times: no queue, no thread, one transaction that is never committed,
no audit log. A call that fails leaves half of what it did, so its error ends the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import sqlalchemy as sa

from remediator.store.log import Entry, Log
from remediator.store.quick import QuickConnection
from remediator.store.transaction import Transaction
from remediator.store.writer import Writer

_R = TypeVar("_R")
_A = TypeVar("_A")


class _Unrecorded(Transaction):
    """One in which nothing is written down; it knows its highest ids for as long as it lives."""

    def record(self, entry: Entry) -> None: ...


class Direct(Writer):
    """Runs each call at once, in the caller's task. Made by `database.direct_in_memory`."""

    def __init__(self, connection: sa.Connection, log: Log) -> None:
        self._only = connection
        quick = QuickConnection(connection)
        self._begun = quick.begin()
        self._transaction = _Unrecorded(quick, log)

    @property
    def is_merging(self) -> bool:
        return False

    async def read(self, run: Callable[[Transaction], _R]) -> _R:
        return run(self._transaction)

    async def write(self, run: Callable[[Transaction], _R]) -> _R:
        return run(self._transaction)

    async def merge(self, run: Callable[[Transaction, Sequence[_A]], Sequence[_R]], argument: _A, *, weight: int) -> _R:
        [result] = run(self._transaction, [argument])
        return result

    async def close(self) -> None:
        self._begun.rollback()
        self._only.close()


