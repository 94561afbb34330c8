"""A regular expression as a table: matched whole, in time linear in the value. Called by `matcher.py`.

Alertmanager's RE2 cannot backtrack; Python's `re` can, for minutes, on a label that anybody may set. So a pattern
becomes a deterministic automaton when the rules are loaded, and a match is one table look-up for each character
(0.1 us; 4 KiB, the longest label value that is accepted, take 0.5 ms). What would need too large a table is refused at
load, never at match. Construction: Thompson's automaton, then subsets (Aho, Sethi, Ullman, "Compilers", 3.7).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence as Seq
from dataclasses import dataclass, field

from remediator.rules.regex import Chars, Edge, Either, Node, Parser, Ranges, Repeat, Sequence

MAX_NODES = 20_000
"""Largest automaton before it is made deterministic: about as many characters, with repeats written out."""
MAX_WORK = 300_000
"""Steps to build the table; about half a second."""
MAX_LITERALS = 2_000
DEAD = -1


@dataclass(frozen=True, slots=True)
class Table:
    """Transitions: `rows[state][class]`, where `bounds` are the first code points of the character classes."""

    bounds: tuple[int, ...]
    ascii_classes: bytes
    rows: tuple[tuple[int, ...], ...]
    accepting: tuple[bool, ...]

    def matches(self, value: str) -> bool:
        state, rows, ascii_classes, bounds = 0, self.rows, self.ascii_classes, self.bounds
        for char in value:
            code = ord(char)
            state = rows[state][ascii_classes[code] if code < 0x80 else bisect_right(bounds, code) - 1]
            if state == DEAD:
                return False
        return self.accepting[state]


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled expression. `literals` are all the texts it matches, or None where they are not a short list."""

    literals: frozenset[str] | None
    table: Table | None

    def matches(self, value: str) -> bool:
        if self.literals is not None:
            return value in self.literals
        return self.table is not None and self.table.matches(value)


def compile_pattern(text: str) -> Pattern:
    """Compile `^(?:text)$` as RE2 reads it. Raises ValueError: bad syntax, or too large a table."""
    tree = Parser(text).parse()
    literals = _literals(tree)
    if literals is not None:
        return Pattern(frozenset(literals), None)
    return Pattern(None, _determine(Builder().build(tree)))


def _literals(node: Node) -> list[str] | None:
    """Every text of the language if there are at most MAX_LITERALS, else None."""
    match node:
        case Chars(ranges):
            if sum(high - low + 1 for low, high in ranges) > 16:
                return None
            return [chr(code) for low, high in ranges for code in range(low, high + 1)]
        case Edge():
            return None
        case Either(branches):
            found: list[str] = []
            for branch in branches:
                more = _literals(branch)
                if more is None or len(found) + len(more) > MAX_LITERALS:
                    return None
                found += more
            return found
        case Repeat(part, least, most):
            parts = _literals(part)
            if parts is None or most is None or most > 16:
                return None
            out: list[str] = []
            for count in range(least, most + 1):
                texts = _joined([parts] * count)
                if texts is None or len(out) + len(texts) > MAX_LITERALS:
                    return None
                out += texts
            return out
        case Sequence(parts_):
            lists = [_literals(part) for part in parts_]
            return None if None in lists else _joined([texts for texts in lists if texts is not None])


def _joined(lists: Seq[Seq[str]]) -> list[str] | None:
    texts = [""]
    for more in lists:
        if len(texts) * len(more) > MAX_LITERALS:
            return None
        texts = [text + end for text in texts for end in more]
    return texts


@dataclass(slots=True)
class Nodes:
    """Thompson's automaton: a node consumes (`ranges`, then `after`) or goes on (`free`, some only at an edge)."""

    ranges: list[Ranges | None] = field(default_factory=list)
    after: list[int] = field(default_factory=list)
    free: list[list[int]] = field(default_factory=list)
    edge: list[Edge | None] = field(default_factory=list)
    start: int = 0
    final: int = 0


class Builder:
    """Makes Thompson's automaton of a parsed expression. Raises ValueError past MAX_NODES."""

    def __init__(self) -> None:
        self.nodes = Nodes()

    def build(self, tree: Node) -> Nodes:
        final = self.add()
        self.nodes.start, self.nodes.final = self.before(tree, final), final
        return self.nodes

    def add(self, *free: int, ranges: Ranges | None = None, after: int = DEAD, edge: Edge | None = None) -> int:
        nodes = self.nodes
        if len(nodes.free) >= MAX_NODES:
            raise ValueError(f"expression too large: more than {MAX_NODES} characters with repeats written out")
        nodes.ranges.append(ranges)
        nodes.after.append(after)
        nodes.free.append(list(free))
        nodes.edge.append(edge)
        return len(nodes.free) - 1

    def before(self, tree: Node, goal: int) -> int:
        """The node from which `tree` leads to `goal`."""
        match tree:
            case Chars(ranges):
                return self.add(ranges=ranges, after=goal)
            case Edge():
                return self.add(goal, edge=tree)
            case Either(branches):
                return self.add(*[self.before(branch, goal) for branch in branches])
            case Sequence(parts):
                for part in reversed(parts):
                    goal = self.before(part, goal)
                return goal
            case Repeat(part, least, most):
                if most is None:
                    loop = self.add(goal)
                    self.nodes.free[loop].append(self.before(part, loop))
                    goal = loop
                else:
                    end = goal
                    for _ in range(most - least):
                        goal = self.add(end, self.before(part, goal))
                for _ in range(least):
                    goal = self.before(part, goal)
                return goal


def closure(nodes: Nodes, seeds: frozenset[int], *, at_start: bool, at_end: bool) -> frozenset[int]:
    """All nodes reachable without a character; `^` and `$` let through only where they hold."""
    seen, stack = set(seeds), list(seeds)
    while stack:
        node = stack.pop()
        edge = nodes.edge[node]
        if edge is not None and not (at_start if edge.at_start else at_end):
            continue
        for following in nodes.free[node]:
            if following not in seen:
                seen.add(following)
                stack.append(following)
    return frozenset(seen)


def told_apart(nodes: Nodes) -> tuple[tuple[int, ...], dict[Ranges, tuple[int, ...]]]:
    """The first code points of the classes of characters that no range tells apart, and the classes of each range."""
    limits = {0}
    for ranges in nodes.ranges:
        for low, high in ranges or ():
            limits |= {low, high + 1}
    bounds = tuple(sorted(limits))
    classes = {
        ranges: tuple(i for low, high in ranges for i in range(bisect_left(bounds, low), bisect_right(bounds, high)))
        for ranges in set(nodes.ranges)
        if ranges is not None
    }
    return bounds, classes


def of_ascii(bounds: tuple[int, ...]) -> bytes:
    """The class of each ASCII character."""
    return bytes(bisect_right(bounds, code) - 1 for code in range(0x80))


def _determine(nodes: Nodes) -> Table:
    """Subset construction over the classes of characters. Raises ValueError past MAX_WORK."""
    bounds, classes = told_apart(nodes)
    first = frozenset({nodes.start})
    index, queue = {(first, True): 0}, [(first, True)]
    rows, accepting, work = [], [], 0
    for seeds, at_start in queue:  # grows while it is walked
        goals: dict[int, set[int]] = {}
        closed = closure(nodes, seeds, at_start=at_start, at_end=False)
        for node in closed:
            ranges = nodes.ranges[node]
            for kind in classes[ranges] if ranges is not None else ():
                goals.setdefault(kind, set()).add(nodes.after[node])
                work += 1
        work += len(closed) + len(bounds) // 8
        if work > MAX_WORK:
            raise ValueError("expression too complex: it needs too large a table; simplify it or use several matchers")
        row = [DEAD] * len(bounds)
        for kind, goal in goals.items():
            key = (frozenset(goal), False)
            if key not in index:
                index[key] = len(queue)
                queue.append(key)
            row[kind] = index[key]
        rows.append(tuple(row))
        accepting.append(nodes.final in closure(nodes, seeds, at_start=at_start, at_end=True))
    return Table(bounds, of_ascii(bounds), tuple(rows), tuple(accepting))
