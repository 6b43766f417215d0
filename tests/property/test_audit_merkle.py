"""The Merkle tree against the definition itself, and against the known answers of RFC 6962 and RFC 9162 logs."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.audit.domain.canonical import leaf_hash
from apps.audit.domain.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    inclusion_proof,
    node_hash,
    root_from_subset,
    root_of,
    subset_proof,
    verify_consistency,
    verify_inclusion,
)

# Leaves and roots that Certificate Transparency implementations test against (certificate-transparency-go, Trillian).
LEAVES = [
    leaf_hash(bytes.fromhex(text))
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def naive_root(leaves: list[bytes]) -> bytes:
    """RFC 9162 section 2.1.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return node_hash(naive_root(leaves[:k]), naive_root(leaves[k:]))


def made(count: int) -> list[bytes]:
    return [leaf_hash(str(index).encode()) for index in range(count)]


sizes = st.integers(1, 130)


@pytest.mark.parametrize("size", range(1, 9))
def test_known_roots(size: int) -> None:
    assert root_of(LEAVES[:size]).hex() == ROOTS[size - 1]


def test_the_empty_root_is_the_hash_of_nothing() -> None:
    assert root_of([]) == EMPTY_ROOT == Frontier().root()


def test_a_known_inclusion_proof() -> None:
    proof = [node.hex() for node in inclusion_proof(LEAVES, 5)]
    assert proof == [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]


def test_a_known_consistency_proof() -> None:
    assert [node.hex() for node in consistency_proof(LEAVES, 6)] == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]


@given(st.integers(0, 200))
def test_the_frontier_gives_the_root_of_the_definition(size: int) -> None:
    leaves = made(size)
    frontier = Frontier()
    for leaf in leaves:
        frontier = Frontier.unpack(frontier.size, frontier.pack())
        frontier.append(leaf)
    assert frontier.root() == naive_root(leaves)


@given(sizes, st.data())
def test_inclusion_holds_for_every_leaf_and_for_no_other(size: int, data: st.DataObject) -> None:
    leaves = made(size)
    index = data.draw(st.integers(0, size - 1))
    proof, root = inclusion_proof(leaves, index), naive_root(leaves)
    assert verify_inclusion(leaves[index], index, size, proof, root)
    assert not verify_inclusion(leaf_hash(b"forged"), index, size, proof, root)
    assert not verify_inclusion(leaves[index], index, size, [*proof, root], root)
    if proof:
        assert not verify_inclusion(leaves[index], index, size, proof[:-1], root)
    other = data.draw(st.integers(0, size - 1))
    if other != index:
        assert not verify_inclusion(leaves[index], other, size, proof, root)


@given(sizes, st.data())
def test_consistency_holds_for_prefixes_alone(size: int, data: st.DataObject) -> None:
    leaves = made(size)
    first = data.draw(st.integers(1, size))
    old, new = naive_root(leaves[:first]), naive_root(leaves)
    proof = consistency_proof(leaves, first)
    assert verify_consistency(first, size, old, new, proof)
    assert not verify_consistency(first, size, leaf_hash(b"forked"), new, proof)
    assert not verify_consistency(first, size, old, leaf_hash(b"forked"), proof)
    assert not verify_consistency(first, size, old, new, [*proof, old])
    if proof:
        broken = data.draw(st.integers(0, len(proof) - 1))
        proof[broken] = leaf_hash(b"other node")
        assert not verify_consistency(first, size, old, new, proof)


@given(st.integers(0, 100), st.data())
def test_a_subset_leads_to_the_root_and_a_changed_one_does_not(size: int, data: st.DataObject) -> None:
    leaves = made(size)
    chosen = sorted(data.draw(st.sets(st.integers(0, max(size - 1, 0)), max_size=size))) if size else []
    proof, root = subset_proof(leaves, chosen), naive_root(leaves)
    picked = {index: leaves[index] for index in chosen}
    assert root_from_subset(size, picked, proof) == root
    assert root_from_subset(size, picked, [*proof, root]) is None
    if chosen:
        assert root_from_subset(size, {**picked, chosen[0]: leaf_hash(b"forged")}, proof) != root
        assert root_from_subset(size, dict(list(picked.items())[1:]), proof) != root
    if proof:
        assert root_from_subset(size, picked, proof[:-1]) is None
    assert root_from_subset(size, {size: leaf_hash(b"outside")}, proof) is None


@pytest.mark.parametrize("index", [-1, 4])
def test_a_leaf_outside_the_tree_has_no_proof(index: int) -> None:
    with pytest.raises(IndexError, match="tree of 4"):
        inclusion_proof(made(4), index)
    assert not verify_inclusion(made(4)[0], index, 4, [], root_of(made(4)))


def test_a_frontier_with_missing_peaks_is_refused() -> None:
    with pytest.raises(ValueError, match="7 leaves has 3 peaks, got 1"):
        Frontier(7, [EMPTY_ROOT])
