"""What an examination is: names, and a function that tries one integration and says what it found, without a change.

Each file beside this one is one of them; `__init__.py` holds their table, in the order of importance.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from enum import StrEnum

from remediator.clock import Clock
from remediator.rules.ruleset import RuleSet
from remediator.settings import Settings


class Answer(StrEnum):
    OK = "ok"
    WARNING = "warning"
    """It works, with less than there could be."""
    FAILED = "failed"
    """Something that is needed does not work."""
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Result:
    """What was found. `remedy` says what to do about it; `lines` are what it consists of, for whoever wants all."""

    name: str
    answer: Answer
    detail: str
    remedy: str = ""
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Running:
    """A service that is said to run: the `Authorization` header for it, and how its certificate is verified."""

    url: str
    authorization: str | None = None
    context: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What the examinations go by. `rules` None: they could not be loaded.

    `namespaces` are those in which the right to act is asked for, besides all; `receiver` is ours in Alertmanager,
    None: known by its address or its name.
    """

    settings: Settings
    rules: RuleSet | None
    clock: Clock
    limit_seconds: float
    namespaces: tuple[str, ...] = ()
    receiver: str | None = None
    running: Running | None = None


@dataclass(frozen=True, slots=True)
class Examination:
    """`names` are the results that `run` gives, in order; when one of them ends it early, the others are skipped."""

    names: tuple[str, ...]
    run: Callable[[Asked], AsyncIterator[Result]]


def ok(name: str, detail: str, *, lines: tuple[str, ...] = ()) -> Result:
    return Result(name, Answer.OK, detail, lines=lines)


def warning(name: str, detail: str, remedy: str, *, lines: tuple[str, ...] = ()) -> Result:
    return Result(name, Answer.WARNING, detail, remedy, lines)


def failed(name: str, detail: str, remedy: str, *, lines: tuple[str, ...] = ()) -> Result:
    return Result(name, Answer.FAILED, detail, remedy, lines)


def skipped(name: str, detail: str, remedy: str = "") -> Result:
    return Result(name, Answer.SKIPPED, detail, remedy)
