"""What the writer asks of a kind of database beside SQL, and which kind a storage URL names.

`sqlite.py` and `postgres.py` each make one `Backend`; everything else of this folder is the same for both.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from typing import Any

import sqlalchemy as sa


class Work(Enum):
    """What a transaction is for."""

    READS = "reads"
    WRITES = "writes"
    """Alone: no other transaction of any replica writes before it has ended."""

    MIGRATES = "migrates"
    """As `WRITES`, and may take as long as it needs, also to begin."""


@dataclass(frozen=True, slots=True)
class Backend:
    """`connect` opens a connection that has been found durable; raises ConfigError. `begin` begins a transaction, which
    its context ends. `roll_back` ends one that a failed COMMIT may have left open. `is_doubtful`: whether what the
    connection believes may differ from what the disk holds, so that it must be opened anew. `errors` are the driver's
    own, beside SQLAlchemy's.

    `give_up` lets the call that waits for an answer on the connection fail, whatever thread it is in; it is used after
    `patience_seconds`. None: nothing is waited for here that could hang by itself.

    `check_there` is asked before it is opened again; raises ConfigError where that would begin an empty one.
    `check_in_place` is asked after each commit; raises where what was committed is not what a restart would open.
    `is_shared`: other processes write it too.
    """

    connect: Callable[[sa.URL], sa.Connection]
    begin: Callable[[sa.Connection, Work], AbstractContextManager[Any]]
    roll_back: Callable[[sa.Connection], None]
    is_doubtful: Callable[[sa.exc.SQLAlchemyError], bool]
    errors: tuple[type[Exception], ...]
    give_up: Callable[[sa.Connection], None] | None = None
    patience_seconds: float = 0.0
    check_there: Callable[[sa.URL], None] = lambda _: None
    check_in_place: Callable[[sa.Connection], None] = lambda _: None
    is_shared: bool = False
