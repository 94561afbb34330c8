"""What the examinations of these tests go by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from remediator.clock import Clock, SystemClock
from remediator.doctor.base import Answer, Asked, Examination, Result
from remediator.doctor.examine import examine
from remediator.rules.load import load_rules
from remediator.rules.ruleset import RuleSet
from remediator.rules.shipped import shipped_rules
from remediator.settings import Settings

SHIPPED = load_rules(shipped_rules())
LIMIT_SECONDS = 10.0


def asked(
    *, clock: Clock | None = None, rules: RuleSet | None = SHIPPED, limit: float = LIMIT_SECONDS, **fields: Any
) -> Asked:
    """`fields` are settings, or fields of `Asked` by their name."""
    of_asked = {name: fields.pop(name) for name in ("namespaces", "receiver", "running") if name in fields}
    settings = Settings.load(None, fields)
    return Asked(settings=settings, rules=rules, clock=clock or SystemClock(), limit_seconds=limit, **of_asked)


async def answers(examination: Examination, given: Asked) -> dict[str, Result]:
    """Name -> what was found."""
    return {result.name: result for result in await examine(given, examinations=[examination])}


async def only(examination: Examination, given: Asked) -> tuple[Answer, str]:
    """Of one with a single result: the answer, and detail and remedy as one text."""
    [result] = (await answers(examination, given)).values()
    return said(result)


def said(result: Result) -> tuple[Answer, str]:
    return result.answer, f"{result.detail} -> {result.remedy}"


def written(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file
