"""Which label values several matchers let through together: is there one, and does one set hold the other? Pure.

Decided on the automata of their expressions, so that it is a proof and not a trial of examples. Called by the lints of
`check`; never while alerts are matched.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from remediator.rules.automaton import DEAD, Table
from remediator.rules.matcher import Matcher, Op

LINE_BREAK = 0x0A
MAX_STEPS = 200_000
"""Steps of one search; about a quarter of a second. Past that nothing is claimed."""


class TooComplex(Exception):
    """The answer would take too long: nothing is known."""


class _Walk(Protocol):
    @property
    def bounds(self) -> Iterable[int]:
        """First code points of the classes of characters that it tells apart."""

    def step(self, state: int, code: int) -> int: ...

    def accepts(self, state: int) -> bool: ...


@dataclass(frozen=True, slots=True)
class _OfTable:
    table: Table

    @property
    def bounds(self) -> Iterable[int]:
        return self.table.bounds

    def step(self, state: int, code: int) -> int:
        return self.table.rows[state][bisect_right(self.table.bounds, code) - 1]

    def accepts(self, state: int) -> bool:
        return self.table.accepting[state]


class _OfTexts:
    """A short list of texts, as the tree of their beginnings."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._after: list[dict[int, int]] = [{}]
        self._ends: set[int] = set()
        for text in texts:
            state = 0
            for code in map(ord, text):
                if code not in self._after[state]:
                    self._after[state][code] = len(self._after)
                    self._after.append({})
                state = self._after[state][code]
            self._ends.add(state)

    @property
    def bounds(self) -> Iterable[int]:
        return {bound for after in self._after for code in after for bound in (code, code + 1)}

    def step(self, state: int, code: int) -> int:
        return self._after[state].get(code, DEAD)

    def accepts(self, state: int) -> bool:
        return state in self._ends


Wanted = tuple[Matcher, bool]
"""A matcher, and whether it is to let the value through."""


def value_of(wanted: Sequence[Wanted]) -> str | None:
    """A shortest value for which each matcher says what is wanted; None: there is none. Raises TooComplex.

    The label's name does not count: all are asked about the same one. Values with line breaks are left aside: `.*`
    does not let them through (RE2), and whoever writes it means all.
    """
    parts = [_part(matcher, is_wanted) for matcher, is_wanted in wanted]
    bounds = {0x61, *(bound for walk, _ in parts for bound in walk.bounds)}
    codes = sorted(bound for bound in bounds if bound <= 0x10FFFF and bound != LINE_BREAK)
    seen, queue = {(0,) * len(parts)}, deque([((0,) * len(parts), "")])
    steps = 0
    while queue:
        states, text = queue.popleft()
        if _holds(parts, states):
            return text
        for code in codes:
            steps += len(parts)
            following = tuple(
                DEAD if state == DEAD else walk.step(state, code)
                for (walk, _), state in zip(parts, states, strict=True)
            )
            if any(state == DEAD and needed for (_, needed), state in zip(parts, following, strict=True)):
                continue
            if following not in seen:
                seen.add(following)
                queue.append((following, text + chr(code)))
        if steps > MAX_STEPS:
            raise TooComplex
    return None


def _holds(parts: Sequence[tuple[_Walk, bool]], states: Sequence[int]) -> bool:
    pairs = zip(parts, states, strict=True)
    return all((state != DEAD and walk.accepts(state)) is wanted for (walk, wanted), state in pairs)


def _part(matcher: Matcher, is_wanted: bool) -> tuple[_Walk, bool]:
    positive = matcher.op in (Op.EQUAL, Op.REGEX)
    return _walk(matcher), is_wanted is positive


def _walk(matcher: Matcher) -> _Walk:
    if matcher.pattern is None:
        return _OfTexts([matcher.value])
    if matcher.pattern.literals is not None:
        return _OfTexts(matcher.pattern.literals)
    assert matcher.pattern.table is not None
    return _OfTable(matcher.pattern.table)


def labels_of(matchers: Sequence[Matcher]) -> Mapping[str, str] | None:
    """Labels that pass all of them; None: there are none, or it cannot be told."""
    found = {}
    for name in dict.fromkeys(matcher.name for matcher in matchers):
        try:
            value = value_of([(each, True) for each in matchers if each.name == name])
        except TooComplex:
            return None
        if value is None:
            return None
        found[name] = value
    return found


def is_empty(matchers: Sequence[Matcher]) -> str | None:
    """The label of which no value passes all of them; None: every label has one, or it cannot be told."""
    for name in dict.fromkeys(matcher.name for matcher in matchers):
        try:
            if value_of([(each, True) for each in matchers if each.name == name]) is None:
                return name
        except TooComplex:
            continue
    return None


def is_contained(inner: Sequence[Matcher], outer: Sequence[Matcher]) -> bool:
    """Whether whatever passes `inner` passes `outer` too. False also where it cannot be told."""
    for one in outer:
        same = [(each, True) for each in inner if each.name == one.name]
        try:
            if value_of([*same, (one, False)]) is not None:
                return False
        except TooComplex:
            return False
    return True
