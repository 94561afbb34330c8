"""What a rule has earned: its card against the bar -> each criterion with its numbers, and the change to make. Pure.

Only decisions of the rule's present sense and mode count: what it decided by another text proves nothing of this one,
and what was earned in silence does not carry it past the mode in which people approve. A decision counts once it is
known whether it was right; what does not tell is no evidence either way. Nothing here edits a file. The bar is coarse
on purpose (settings): after 20 of 20 the interval still begins at 84 %, and that is shown beside it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from remediator.model import Mode
from remediator.score.card import Card
from remediator.score.wilson import Share

NEXT = {Mode.OFF: Mode.SILENT, Mode.SILENT: Mode.APPROVE, Mode.APPROVE: Mode.ACTIVE}
"""The mode after each; `active` has none."""


@dataclass(frozen=True, slots=True)
class Bar:
    """What a rule must have shown (settings `promote_...`)."""

    min_decisions: int
    min_right_ratio: float
    max_harmful: int


@dataclass(frozen=True, slots=True)
class Criterion:
    name: str
    is_met: bool
    detail: str


def criteria_of(card: Card, bar: Bar, *, mode: Mode, acts: bool) -> Sequence[Criterion]:
    """In the order in which people want to know them."""
    following = NEXT.get(mode)
    ahead = f"from {mode} to {following}" if following is not None else f"it is {mode} already"
    known = f"{card.known} of the {bar.min_decisions} decisions needed are known to be right or wrong"
    rest = f"{card.decisions} made, {card.awaited} still awaited, {card.undecided} do not tell"
    needed = f"{bar.min_right_ratio:.0%} needed"
    return [
        Criterion("mode", following is not None, ahead),
        Criterion("action", acts, "it can act" if acts else "no row of it acts: there is nothing to allow"),
        Criterion("decisions", card.known >= bar.min_decisions, f"{known} ({rest})"),
        Criterion("right", _is_right_enough(card.precision, bar), f"{shown(card.precision)} right, {needed}"),
        Criterion(
            "harmful",
            card.harmful.count <= bar.max_harmful,
            f"{shown(card.harmful)} would have been harmful, {bar.max_harmful} allowed",
        ),
    ]


def _is_right_enough(precision: Share, bar: Bar) -> bool:
    return precision.ratio is not None and precision.ratio >= bar.min_right_ratio


def shown(one: Share) -> str:
    """`19 of 20 (95 %, 76 to 99 %)`."""
    if one.ratio is None or one.low is None or one.high is None:
        return "none of none"
    return f"{one.count} of {one.of} ({one.ratio:.0%}, 95 % interval {one.low:.0%} to {one.high:.0%})"


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a rule stands in its file, lines and columns from 1: its fields, its name, and the value of `mode`, None
    where it has none."""

    column: int
    name_line: int
    mode: tuple[int, int] | None


def mode_diff(text: str, spot: Spot, *, file: str, mode: Mode, to: Mode) -> str | None:
    """The unified diff of the file's text that gives the rule its next mode, as `patch` takes it; None: the file is not
    as it was loaded, or is written in a way that a line cannot be put into."""
    lines = text.splitlines(keepends=True)
    changed = _replaced(lines, spot.mode, mode, to) if spot.mode is not None else _inserted(lines, spot, to)
    if changed is None:
        return None
    return "".join(map(_ended, difflib.unified_diff(lines, changed, file, file)))


def _ended(line: str) -> str:
    """As `diff` writes the last line of a file that does not end."""
    return line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def _replaced(lines: Sequence[str], place: tuple[int, int], mode: Mode, to: Mode) -> list[str] | None:
    line, column = place
    if line > len(lines):
        return None
    head, tail = lines[line - 1][: column - 1], lines[line - 1][column - 1 :]
    if not (found := re.match(rf"([\"']?){mode.value}\1(?![\w-])", tail)):
        return None
    return [*lines[: line - 1], f"{head}{found[1]}{to.value}{found[1]}{tail[found.end() :]}", *lines[line:]]


def _inserted(lines: Sequence[str], spot: Spot, to: Mode) -> list[str] | None:
    """Below the name, which every rule has, in a line of its own."""
    if spot.name_line > len(lines):
        return None
    name = lines[spot.name_line - 1]
    if not re.fullmatch(r"(\s|-)*name:\s+[\w\"'-]+\s*(#.*)?\r?\n", name) or name.find("name:") != spot.column - 1:
        return None
    ending = "\r\n" if name.endswith("\r\n") else "\n"
    added = f"{' ' * (spot.column - 1)}mode: {to.value}{ending}"
    return [*lines[: spot.name_line], added, *lines[spot.name_line :]]
