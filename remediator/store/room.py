"""The cap on open remediations: which webhook bodies of a batch may begin new ones. `intake.py` asks it.

A body is taken whole or not at all: what is refused is answered with 503, and Alertmanager sends all of it again.
Repeats and resolutions begin nothing, and are always taken.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import sqlalchemy as sa

from remediator.store.episodes import Intake, Key
from remediator.store.tables import OPEN, remediations

_OPEN = sa.select(sa.func.count()).select_from(
    sa.select(remediations.c.id).where(OPEN).limit(sa.bindparam("at_most")).subquery()
)
_KEPT = 1000
"""Of the room that was found so much is used up before it is counted again: other replicas fill the same room."""
_ROOM = "room for remediations"


def fitting(connection: sa.Connection, intakes: Sequence[Intake], known: Collection[Key]) -> Sequence[bool]:
    """Whether there is room for what each intake begins, in order. `known` are the episodes that are none of that."""
    # Beside the connection, which is one writer's: counting at each batch would make each dearer the more are open.
    room: int = connection.info.get(_ROOM, 0)
    counted: int | None = None
    begun: set[Key] = set()
    answers = []
    for intake in intakes:
        new = {one.key for one in intake.received if one.firing and one.key not in known and one.key not in begun}
        if not new or intake.max_open is None:
            answers.append(True)
            continue
        if room < len(new) and counted is None:
            counted = connection.execute(_OPEN, {"at_most": intake.max_open}).scalar_one()
            room = intake.max_open - counted - len(begun)
        is_fitting = len(new) <= room
        if is_fitting:
            begun |= new
            room -= len(new)
        answers.append(is_fitting)
    connection.info[_ROOM] = min(room, _KEPT)
    return answers
