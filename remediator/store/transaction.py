"""One transaction under way: its connection, the ids it gives out, and the audit records it will write.

The writer (`writer.py`) makes one for each batch of calls and hands it to each of them. Ids continue from the highest
committed ones, also of what retention gave up: a transaction that does not commit leaves no hole, and a number in the
audit log is never that of something else. The writer is alone in the database
(SQLite: exclusive lock; PostgreSQL: advisory lock) while it holds one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

from remediator.store.log import Entry, Log
from remediator.store.rows import require_zone
from remediator.store.tables import (
    alerts,
    debits,
    escalations,
    incidents,
    numbers,
    records,
    remediations,
    resets,
    rollouts,
    template_events,
)

_NUMBERED = {
    "alerts": alerts.c.id,
    "incidents": incidents.c.id,
    "remediations": remediations.c.id,
    "template_events": template_events.c.id,
    "debits": debits.c.id,
    "resets": resets.c.id,
    "rollouts": rollouts.c.id,
    "escalations": escalations.c.id,
}


_GIVEN_UP = ("alerts", "incidents", "remediations", "escalations")
"""Whose rows retention deletes (`retention.py`)."""


def _highest_of(name: str, column: sa.Column[Any]) -> sa.Label[int]:
    if name not in _GIVEN_UP:
        return sa.select(sa.func.coalesce(sa.func.max(column), 0)).scalar_subquery().label(name)
    present = sa.select(sa.func.max(column).label("number"))
    given_up = sa.select(numbers.c.highest.label("number")).where(numbers.c.name == sa.literal_column(f"'{name}'"))
    either = sa.union_all(present, given_up).subquery()
    return sa.select(sa.func.coalesce(sa.func.max(either.c.number), 0)).scalar_subquery().label(name)


_HIGHEST = sa.select(*(_highest_of(name, column) for name, column in _NUMBERED.items()))


@dataclass(frozen=True, slots=True)
class Mark:
    """What the transaction had given out before a call, to go back to when that call fails."""

    entries: int
    highest: dict[str, int]


@lru_cache(maxsize=64)
def _insert_text(table: sa.Table, columns: tuple[str, ...], dialect: sa.Dialect) -> tuple[str, Sequence[str]]:
    """The statement for these columns, and the order in which its placeholders take them."""
    compiled = table.insert().compile(dialect=dialect, column_keys=columns)
    order = compiled.positiontup
    assert order is not None, "a driver whose placeholders have names"
    return str(compiled), order


class Transaction:
    """Lives as long as one batch; never shared between tasks."""

    def __init__(self, connection: sa.Connection, log: Log) -> None:
        self.connection = connection
        self.log = log
        self._highest: dict[str, int] = {}
        self._entries: list[Entry] = []

    def next_id(self, table: sa.Table) -> int:
        self._read_highest()
        self._highest[table.name] += 1
        return self._highest[table.name]

    def keep_highest(self) -> None:
        """Before rows are given up: the numbers after them go on from theirs."""
        self._read_highest()
        self.connection.execute(numbers.delete())
        lines = [{"name": name, "highest": self._highest[name]} for name in _GIVEN_UP]
        self.connection.execute(numbers.insert(), lines)

    def _read_highest(self) -> None:
        if not self._highest:
            self._highest = dict(self.connection.execute(_HIGHEST).mappings().one())

    def insert(self, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows that all name the same columns, in the driver's own types, as those of `tables.py` are.

        The hot path: SQLAlchemy's own way looks at every value of every row again, which costs as much as SQLite does.
        """
        if not rows:
            return
        text, order = _insert_text(table, tuple(rows[0]), self.connection.dialect)
        self.connection.exec_driver_sql(text, list(map(itemgetter(*order), rows)))

    def record(self, entry: Entry) -> None:
        """Write the record with the rest of the transaction: at its end, all of a batch in one statement.

        Raises ValueError for what could not be written then: a time without a zone, a kind that is not Unicode.
        """
        require_zone(entry.at)
        entry.kind.encode("utf-8")
        self._entries.append(entry)

    def mark(self) -> Mark:
        return Mark(len(self._entries), dict(self._highest))

    def go_back(self, mark: Mark) -> None:
        del self._entries[mark.entries :]
        self._highest = dict(mark.highest)

    def write_records(self) -> None:
        if self._entries:
            self.insert(records, self.log.append(self.connection, self._entries))
            self._entries.clear()
