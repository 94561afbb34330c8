"""What stands for records of the audit log that are missing, where a person decided that it goes on without them.

`log.py` writes it as a new epoch begins; `leaves.py` reads it wherever a record is not there. One row of `log_gaps` is
the leaf hash of one record.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from remediator.audit.record import decode_body
from remediator.store.rows import stored_bytes
from remediator.store.tables import log_gaps, records

_GAPS = sa.select(log_gaps).where(log_gaps.c.seq > sa.bindparam("after"), log_gaps.c.seq <= sa.bindparam("upto"))
_EPOCHS = sa.select(records.c.canonical).where(records.c.kind == "audit.epoch")


def gaps_between(connection: sa.Connection, after: int, upto: int) -> dict[int, bytes]:
    """What stands for missing records, where the record of an epoch says that they are missing: who takes a record out
    of the database and puts its hash here has no such record, and the tree would not fit to one."""
    found = {row.seq: stored_bytes(row.hash) for row in connection.execute(_GAPS, {"after": after, "upto": upto})}
    if not found:
        return {}
    try:
        runs = [run for row in connection.execute(_EPOCHS) for run in decode_body(row.canonical)["missing"]]
        return {seq: leaf for seq, leaf in found.items() if any(first <= seq <= last for first, last in runs)}
    except (ValueError, LookupError, TypeError):  # somebody's hand: no epoch of ours says so
        return {}


def in_runs(numbers: Sequence[int]) -> list[list[int]]:
    """Ascending numbers as [first, last] of what follows on."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return runs
