"""An expression that a line may hold anywhere: an automaton that grows by what it meets. Called by `patterns.py`.

As a whole table (`automaton.py`) the shipped log patterns are ten thousand states, of which the logs of a cluster meet
some hundreds; to build them all took half a second after each start, and some MiB. Here a state is made when a line
first leads to it, and kept. A line costs a step for each of its characters, and a transition that none took
before a step for each node that it leaves. All that can ever be made is less than the whole table, which is what is
bounded at load. Source: R. Cox, "Regular Expression Matching in the Wild" (RE2's cached states).

Several threads may search at once: what two of them make at the same time is the same, and one of both is kept.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

from remediator.rules.automaton import Builder, closure, of_ascii, told_apart
from remediator.rules.regex import Parser

_END = -1
"""Stands among the nodes of a state for a match that only holds if the line ends there (`$`)."""


@dataclass(frozen=True, slots=True, eq=False)
class _State:
    """The nodes that wait for a character. `after`: class of the character -> the next state, None: found."""

    nodes: frozenset[int]
    after: dict[int, _State | None] = field(default_factory=dict)


class Search:
    """Looks for one expression. Raises ValueError: bad syntax, or more than MAX_NODES characters."""

    def __init__(self, text: str) -> None:
        self._nodes = Builder().build(Parser(text).parse())
        self._bounds, classes = told_apart(self._nodes)
        self._ascii = of_ascii(self._bounds)
        self._classes = {ranges: frozenset(kinds) for ranges, kinds in classes.items()}
        self._states: dict[frozenset[int], _State] = {}
        self._reached: dict[int, frozenset[int]] = {}
        start = self._nodes.start
        self._first = self._state(self._reach(start, at_start=True))
        self._anew = self._reach(start, at_start=False)

    def matches(self, value: str) -> bool:
        """Whether the expression holds for some part of the value."""
        ascii_classes, bounds, state = self._ascii, self._bounds, self._first
        if state is None:
            return True
        for char in value:
            code = ord(char)
            kind = ascii_classes[code] if code < 0x80 else bisect_right(bounds, code) - 1
            try:
                following = state.after[kind]
            except KeyError:
                following = state.after[kind] = self._following(state, kind)
            if following is None:
                return True
            state = following
        return _END in state.nodes

    def _following(self, state: _State, kind: int) -> _State | None:
        goal = set(self._anew)  # it may also begin here
        for node in state.nodes:
            ranges = self._nodes.ranges[node] if node != _END else None
            if ranges is not None and kind in self._classes[ranges]:
                goal |= self._reached_from(self._nodes.after[node])
        return self._state(frozenset(goal))

    def _state(self, nodes: frozenset[int]) -> _State | None:
        return None if self._nodes.final in nodes else self._states.setdefault(nodes, _State(nodes))

    def _reached_from(self, node: int) -> frozenset[int]:
        if node not in self._reached:
            self._reached[node] = self._reach(node, at_start=False)
        return self._reached[node]

    def _reach(self, node: int, *, at_start: bool) -> frozenset[int]:
        """The nodes behind this one that wait for a character, the final one, and `_END`."""
        nodes, seeds = self._nodes, frozenset({node})
        there = closure(nodes, seeds, at_start=at_start, at_end=False)
        found = {one for one in there if nodes.ranges[one] is not None or one == nodes.final}
        if nodes.final not in found and nodes.final in closure(nodes, seeds, at_start=at_start, at_end=True):
            found.add(_END)
        return frozenset(found)
