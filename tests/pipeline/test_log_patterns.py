"""The log patterns of the rule set in force reach the diagnosis: who has no dependency is not blamed for it."""

from __future__ import annotations

import pytest

from remediator.model import State
from remediator.rules.patterns import LogPatternRow
from remediator.rules.ruleset import rule_set
from tests.pipeline.world import rule, world

OWN = LogPatternRow(
    name="vault-sealed",
    cause="dependency-down",
    pattern="(?i)vault is sealed",
    why="our secrets store",
    matches=("Vault is sealed",),
    passes=("sealed",),
)


@pytest.mark.parametrize(
    ("words", "state", "writes"),
    [("Error: Vault is sealed", State.ESCALATED, 0), ("TypeError: boom", State.VERIFIED, 1)],
    ids=["a dependency is away", "the code is to blame"],
)
async def test_what_a_container_wrote_last_decides_whether_its_release_is_rolled_back(
    words: str, state: State, writes: int
) -> None:
    async with world(rules=rule_set([rule()], log_patterns=[OWN])) as one:
        for previous in (True, False):
            one.shop.log_texts["shop", "checkout-3-a", "app", previous] = f"starting\n{words}\n"
        await one.receive()

        assert await one.run() is state
        assert len(one.shop.writes()) == writes
