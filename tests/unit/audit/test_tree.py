"""The tree, against the definitions of RFC 6962 written down once more, naively."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.audit.tree import (
    EMPTY_ROOT,
    BadProof,
    Frontier,
    grew,
    growth,
    leaf_hash,
    left_out,
    node_hash,
    path,
    root_with,
    span_of,
)

ENTRIES = [f"entry {number}".encode() for number in range(70)]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]


def mth(entries: Sequence[bytes]) -> bytes:
    """RFC 6962 2.1, word for word."""
    if not entries:
        return hashlib.sha256().digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    k = 1
    while k * 2 < len(entries):
        k *= 2
    return hashlib.sha256(b"\x01" + mth(entries[:k]) + mth(entries[k:])).digest()


def span(low: int, high: int) -> bytes:
    return mth(ENTRIES[low:high])


def test_the_roots_of_the_rfc_examples() -> None:
    """The seven-leaf tree of RFC 6962 2.1.3 and the empty one."""
    d = [leaf_hash(bytes([number])) for number in range(7)]
    g, h, i = node_hash(d[0], d[1]), node_hash(d[2], d[3]), node_hash(d[4], d[5])
    assert span_of(d) == node_hash(node_hash(g, h), node_hash(i, d[6]))
    assert Frontier().root() == EMPTY_ROOT == mth([])
    # The published root of one empty leaf.
    assert leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"


@given(st.lists(st.integers(1, 20), max_size=6))
def test_a_frontier_grows_to_the_same_root_however_it_is_fed(batches: list[int]) -> None:
    frontier, done = Frontier(), 0
    for count in batches:
        frontier = frontier.extended([leaf_hash(b"%d" % n) for n in range(done, done + count)])
        done += count
    assert frontier.size == done
    assert frontier.root() == mth([b"%d" % n for n in range(done)])


@given(st.integers(0, 70), st.data())
def test_what_is_held_and_the_proof_of_the_rest_give_the_root(size: int, data: st.DataObject) -> None:
    held = sorted(data.draw(st.sets(st.integers(0, size - 1)))) if size else []
    proof = [span(low, high) for low, high in left_out(held, size)]
    assert root_with({index: LEAVES[index] for index in held}, size, proof) == mth(ENTRIES[:size])


@given(st.integers(1, 70), st.data())
def test_a_wrong_record_index_or_proof_gives_another_root_or_is_refused(size: int, data: st.DataObject) -> None:
    held = sorted(data.draw(st.sets(st.integers(0, size - 1), min_size=1)))
    proof = [span(low, high) for low, high in left_out(held, size)]
    given_leaves = {index: LEAVES[index] for index in held}
    victim = data.draw(st.sampled_from(held))
    wrong = [
        {**given_leaves, victim: leaf_hash(b"forged")},
        {index: leaf for index, leaf in given_leaves.items() if index != victim},
    ]
    for leaves in wrong:
        try:
            assert root_with(leaves, size, proof) != mth(ENTRIES[:size])
        except BadProof:
            continue
    with pytest.raises(BadProof):
        root_with(given_leaves, size, [*proof, LEAVES[0]])
    if proof:
        with pytest.raises(BadProof):
            root_with(given_leaves, size, proof[:-1])
    with pytest.raises(BadProof):
        root_with({**given_leaves, size: LEAVES[0]}, size, proof)


@given(st.integers(0, 70), st.integers(0, 70))
def test_growth_is_proven_and_nothing_else_is(one: int, other: int) -> None:
    old, new = sorted((one, other))
    proof = [span(low, high) for low, high in growth(old, new)]
    was, now = mth(ENTRIES[:old]), mth(ENTRIES[:new])
    assert grew(old, was, new, now, proof)
    forged = leaf_hash(b"forged")
    assert not grew(old, forged, new, now, proof)
    assert not grew(old, was, new, forged, proof) or old == 0
    assert not grew(old, was, new, now, [*proof, forged])
    for number in range(len(proof)):
        assert not grew(old, was, new, now, [*proof[:number], forged, *proof[number + 1 :]])
        assert not grew(old, was, new, now, proof[:number] + proof[number + 1 :])
    if old < new:
        assert not grew(new, now, old, was, proof)


@given(st.integers(1, 70), st.data())
def test_the_path_of_one_record_leads_to_the_root_by_the_rule_of_the_rfc(size: int, data: st.DataObject) -> None:
    """RFC 9162 2.1.3.2: the verification that every C2SP tool does."""
    index = data.draw(st.integers(0, size - 1))
    proof = [span(low, high) for low, high in path(index, size)]
    fn, sn, root = index, size - 1, LEAVES[index]
    for sibling in proof:
        assert sn != 0
        if fn & 1 or fn == sn:
            root = node_hash(sibling, root)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            root = node_hash(root, sibling)
        fn, sn = fn >> 1, sn >> 1
    assert sn == 0
    assert root == mth(ENTRIES[:size])
