"""All examinations side by side, under one time limit. Called by `cli/doctor.py`.

One that does not end in time, or meets what it does not understand, is a failed result of its own; the others go on.
"""

from __future__ import annotations

import asyncio
import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from remediator.doctor import EXAMINATIONS
from remediator.doctor.base import Answer, Asked, Examination, Result, failed, ok, skipped, warning
from remediator.errors import ConfigError, RemediatorError, cut
from remediator.rules.ruleset import RuleSet
from remediator.rules.table import rule_table
from remediator.settings import Settings

SETTINGS, RULES = "settings", "rules"
PREFIX = "REMEDIATOR_"
OF_COMMANDS = ("REMEDIATOR_URL", "REMEDIATOR_TOKEN_FILE", "REMEDIATOR_HTTP_CONFIG_FILE")
"""Variables of the commands that ask a service."""


def read_settings(config_file: Path | None, overrides: Mapping[str, Any]) -> tuple[Settings | None, Result]:
    """The settings as `serve` would take them; None: they cannot be used, and nothing else can be looked at."""
    try:
        settings = Settings.load(config_file, overrides)
    except ConfigError as error:
        return None, failed(
            SETTINGS, str(error), "correct it there; `remediator generate schema settings` helps editors"
        )
    source = str(config_file) if config_file is not None else "no file, flags and environment only"
    told = f"{source}: mode {settings.mode}, cluster {settings.cluster_name}"
    if misspelt := tuple(_misspelt(os.environ)):
        return settings, warning(SETTINGS, f"{told}; {misspelt[0]}", "correct the name of the variable", lines=misspelt)
    return settings, ok(SETTINGS, told)


def _misspelt(environment: Mapping[str, str]) -> Iterator[str]:
    """Variables that were probably meant for us. The service ignores what it does not know, since Kubernetes itself
    sets such names for a Service that is called like us."""
    known = [f"{PREFIX}{name.upper()}" for name in Settings.model_fields]
    for name in sorted(environment):
        if not name.startswith(PREFIX) or name in known or name in OF_COMMANDS:
            continue
        if near := difflib.get_close_matches(
            name.removeprefix(PREFIX), [one.removeprefix(PREFIX) for one in known], 1, 0.8
        ):
            yield f"{name} is no setting and is ignored; did you mean {PREFIX}{near[0]}?"


def read_rules(settings: Settings) -> tuple[RuleSet | None, Result]:
    """The table as `serve` would take it."""
    try:
        table = rule_table(settings.rules).current
    except (ConfigError, OSError) as error:
        first, _, rest = str(error).partition("\n")
        more = tuple(rest.splitlines())
        return None, failed(RULES, first, "correct it; `remediator check rules` shows every mistake", lines=more)
    where = ", ".join(map(str, settings.rules)) or "the shipped table"
    acting = sum(rule.acts and rule.mode != "silent" for rule in table.rules)
    return table, ok(RULES, f"{len(table.rules)} rules in {where}; {acting} of them may act, by their own mode")


def unexamined(why: str) -> Sequence[Result]:
    """What is left when the settings cannot be read."""
    return [skipped(RULES, why), *(skipped(name, why) for one in EXAMINATIONS for name in one.names)]


async def examine(asked: Asked, *, examinations: Sequence[Examination] = EXAMINATIONS) -> Sequence[Result]:
    """A result for each name, in the order of importance."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_ended(one, asked)) for one in examinations]
    return [result for task in tasks for result in task.result()]


async def _ended(examination: Examination, asked: Asked) -> Sequence[Result]:
    found: list[Result] = []
    try:
        async with asyncio.timeout(asked.limit_seconds):
            async for result in examination.run(asked):
                found.append(result)
    except TimeoutError:
        found.append(_broken(examination, found, f"no answer within {asked.limit_seconds:g} s"))
    except (RemediatorError, OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        # What comes from outside may have any shape; a fault here is one result, never the end of all.
        found.append(_broken(examination, found, cut(str(error)) or type(error).__name__))
    given = {result.name for result in found}
    last = next((one for one in reversed(found) if one.answer is Answer.FAILED), None)
    why = f"since {last.name} failed" if last is not None else "there is nothing to look at"
    return [*found, *(skipped(name, why) for name in examination.names if name not in given)]


def _broken(examination: Examination, found: Sequence[Result], why: str) -> Result:
    given = {result.name for result in found}
    name = next((name for name in examination.names if name not in given), examination.names[-1])
    return failed(name, why, "look at the way there: address, DNS, network policy, proxy")
