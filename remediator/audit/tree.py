"""The Merkle tree over the records: RFC 6962 section 2.1, SHA-256, pure.

`store/log.py` appends to it as records are committed, the exports take proofs from it, and `verify.py` checks them. A
*span* is a run of leaves `[low, high)` as the tree itself divides them, and its hash is the RFC's `MTH` of them.

What proves an export is not one path for each record but one list for all: the hashes of the largest spans that hold
no record of the export, from left to right. Whoever has the records and the list can compute the root.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

EMPTY_ROOT = hashlib.sha256().digest()

_sha256 = hashlib.sha256


class BadProof(ValueError):
    """A proof that does not fit: too few hashes, too many, or records out of order."""


def leaf_hash(entry: bytes) -> bytes:
    return _sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return _sha256(b"\x01" + left + right).digest()


def split(count: int) -> int:
    """Where a span of `count` > 1 leaves is divided: the largest power of two that is less."""
    return 1 << (count - 1).bit_length() - 1


@dataclass(frozen=True, slots=True)
class Frontier:
    """What is needed of a tree of `size` leaves to go on: the hashes of its largest perfect subtrees, left to right."""

    size: int = 0
    nodes: tuple[bytes, ...] = ()

    def extended(self, leaves: Iterable[bytes]) -> Frontier:
        """The same with these leaf hashes behind; about one more hash for each."""
        size, nodes = self.size, list(self.nodes)
        for leaf in leaves:
            rest = size
            while rest & 1:
                leaf = node_hash(nodes.pop(), leaf)
                rest >>= 1
            nodes.append(leaf)
            size += 1
        return Frontier(size, tuple(nodes))

    def root(self) -> bytes:
        if not self.nodes:
            return EMPTY_ROOT
        root = self.nodes[-1]
        for node in reversed(self.nodes[:-1]):
            root = node_hash(node, root)
        return root


def span_of(leaves: Sequence[bytes]) -> bytes:
    """The hash of a span, from the hashes of all its leaves."""
    return Frontier().extended(leaves).root()


def left_out(held: Sequence[int], size: int) -> Iterator[tuple[int, int]]:
    """The spans whose hashes prove the leaves `held` (ascending indices) in a tree of `size`, from left to right."""
    return _left_out(held, 0, size)


def _left_out(held: Sequence[int], low: int, high: int) -> Iterator[tuple[int, int]]:
    if low == high:
        return
    first = bisect_left(held, low)
    if first == len(held) or held[first] >= high:
        yield low, high
    elif high - low > 1 and bisect_left(held, high) - first < high - low:
        middle = low + split(high - low)
        yield from _left_out(held, low, middle)
        yield from _left_out(held, middle, high)


def root_with(held: Mapping[int, bytes], size: int, proof: Sequence[bytes]) -> bytes:
    """The root of a tree of `size` from the leaf hashes that one holds, by index, and the proof of the rest.

    Raises BadProof. A right root proves that each leaf is in the tree at its index.
    """
    indices = sorted(held)
    if indices and not 0 <= indices[0] <= indices[-1] < size:
        raise BadProof(f"a record outside the tree of {size}")
    rest = iter(proof)

    def root_of(low: int, high: int) -> bytes:
        first, last = bisect_left(indices, low), bisect_left(indices, high)
        if first == last:
            return _next(rest)
        if last - first == high - low:
            return span_of([held[index] for index in range(low, high)])
        middle = low + split(high - low)
        return node_hash(root_of(low, middle), root_of(middle, high))

    root = root_of(0, size) if size else EMPTY_ROOT
    if next(rest, None) is not None:
        raise BadProof("more hashes than the tree has room for")
    return root


def growth(old: int, new: int) -> Iterator[tuple[int, int]]:
    """The spans whose hashes prove that the tree of `new` leaves begins with the tree of `old` (RFC 6962 2.1.2)."""
    if 0 < old < new:
        yield from _growth(old, 0, new, is_old_root=True)


def _growth(old: int, low: int, high: int, *, is_old_root: bool) -> Iterator[tuple[int, int]]:
    if old == high - low:
        if not is_old_root:
            yield low, high
        return
    half = split(high - low)
    if old <= half:
        yield from _growth(old, low, low + half, is_old_root=is_old_root)
        yield low + half, high
    else:
        yield from _growth(old - half, low + half, high, is_old_root=False)
        yield low, low + half


def grew(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows that the tree of `new` leaves begins with the one of `old`.

    An empty tree is the beginning of all; equal sizes need equal roots and an empty proof. That a root is of a tree of
    that size is not proven by this, but by the signature over both. Source: RFC 9162 2.1.4.2.
    """
    if not 0 <= old <= new or (old in (0, new) and proof):
        return False
    if old == new:
        return old_root == new_root
    if old == 0:
        return old_root == EMPTY_ROOT
    rest = iter(proof)
    try:
        found_old, found_new = _both_roots(old, new, old_root, rest, is_old_root=True)
    except BadProof:
        return False
    return found_old == old_root and found_new == new_root and next(rest, None) is None


def leads_to(old: int, new: int, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """What can be told of such a proof without the root of the smaller tree: how long it is, and, unless that tree is
    perfect (then its root is part of the way), that it leads to the root of the larger."""
    if len(proof) != sum(1 for _ in growth(old, new)):
        return False
    if old in (0, new) or old & (old - 1) == 0:
        return True
    return _both_roots(old, new, b"", iter(proof), is_old_root=True)[1] == new_root


def _both_roots(
    old: int, new: int, old_root: bytes, rest: Iterator[bytes], *, is_old_root: bool
) -> tuple[bytes, bytes]:
    if old == new:
        known = old_root if is_old_root else _next(rest)
        return known, known
    half = split(new)
    if old <= half:
        was, now = _both_roots(old, half, old_root, rest, is_old_root=is_old_root)
        return was, node_hash(now, _next(rest))
    was, now = _both_roots(old - half, new - half, old_root, rest, is_old_root=False)
    left = _next(rest)
    return node_hash(left, was), node_hash(left, now)


def path(index: int, size: int) -> Iterator[tuple[int, int]]:
    """The spans whose hashes lead from one leaf to the root, its sibling first (RFC 6962 2.1.1)."""
    low, high = 0, size
    spans: list[tuple[int, int]] = []
    while high - low > 1:
        middle = low + split(high - low)
        if index < middle:
            spans.append((middle, high))
            high = middle
        else:
            spans.append((low, middle))
            low = middle
    return reversed(spans)


def _next(rest: Iterator[bytes]) -> bytes:
    found = next(rest, None)
    if found is None:
        raise BadProof("fewer hashes than the tree needs")
    return found
