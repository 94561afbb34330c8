"""One story tried: played, compared, and what came of it as a value that travels between processes.

Called by `cli/testing.py` and the catalogue's test.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from remediator.errors import RemediatorError
from remediator.rules.ruleset import RuleSet
from remediator.simulate.answers import Refused
from remediator.simulate.outcome import Difference, Outcome, Standing, outcome_of
from remediator.simulate.replay import play
from remediator.simulate.stories import Placed
from remediator.simulate.tables import table_of


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of one story. `problem`: why it could not be played; then there is nothing else."""

    name: str
    file: str
    line: int
    differences: Sequence[Difference] = ()
    standings: Sequence[Standing] = ()
    writes: Sequence[str] = ()
    harm: Sequence[str] = ()
    problem: str = ""

    @property
    def is_good(self) -> bool:
        return not self.differences and not self.problem


def tried(placed: Placed, table: RuleSet | None = None) -> Trial:
    """Play it by its own table, or by this one."""
    name, file = placed.story.name, str(placed.file)
    try:
        chosen = table or table_of(placed)
        outcome = asyncio.run(_outcome(placed, chosen))
    except (RemediatorError, Refused) as error:
        return Trial(name, file, placed.line, problem=str(error))
    return Trial(name, file, placed.line, outcome.differences, outcome.standings, outcome.writes, outcome.harm)


async def _outcome(placed: Placed, table: RuleSet) -> Outcome:
    return outcome_of(placed.story, await play(placed.story, table), table)
