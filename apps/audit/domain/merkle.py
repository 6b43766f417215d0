"""RFC 9162 (Certificate Transparency 2) Merkle trees over leaf hashes: roots, inclusion, consistency, subset proofs.

All functions take and give 32-byte SHA-256 values; sizes and indexes count leaves from 0.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

EMPTY_ROOT: Final = hashlib.sha256(b"").digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """RFC 9162 section 2.1.1: SHA-256 of 0x01 and the two children."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def _split(size: int) -> int:
    """The largest power of two smaller than ``size`` (size >= 2)."""
    return 1 << (size - 1).bit_length() - 1


class Frontier:
    """The roots of the perfect subtrees of a growing tree, largest first: all that appending needs (log n hashes)."""

    __slots__ = ("peaks", "size")

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        if len(peaks) != size.bit_count():
            raise ValueError(f"a tree of {size} leaves has {size.bit_count()} peaks, got {len(peaks)}")
        self.size = size
        self.peaks = list(peaks)

    @classmethod
    def unpack(cls, size: int, packed: bytes) -> Frontier:
        """From ``pack``'s bytes."""
        return cls(size, [packed[start : start + 32] for start in range(0, len(packed), 32)])

    def pack(self) -> bytes:
        return b"".join(self.peaks)

    def append(self, leaf: bytes) -> None:
        merges = (~self.size & (self.size + 1)).bit_length() - 1
        for _ in range(merges):
            leaf = node_hash(self.peaks.pop(), leaf)
        self.peaks.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        if not self.peaks:
            return EMPTY_ROOT
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = node_hash(peak, root)
        return root


def root_of(leaves: Iterable[bytes]) -> bytes:
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    return frontier.root()


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """RFC 9162 section 2.1.3.1: the siblings from the leaf up. IndexError outside the tree."""
    if not 0 <= index < len(leaves):
        raise IndexError(f"leaf {index} is not in a tree of {len(leaves)}")
    if len(leaves) == 1:
        return []
    k = _split(len(leaves))
    if index < k:
        return [*inclusion_proof(leaves[:k], index), root_of(leaves[k:])]
    return [*inclusion_proof(leaves[k:], index - k), root_of(leaves[:k])]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """RFC 9162 section 2.1.3.2."""
    if not 0 <= index < size:
        return False
    fn, sn, found = index, size - 1, leaf
    for sibling in proof:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            found = node_hash(sibling, found)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            found = node_hash(found, sibling)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and found == root


def consistency_proof(leaves: Sequence[bytes], first: int) -> list[bytes]:
    """RFC 9162 section 2.1.4.1: that the tree of the first ``first`` leaves is a prefix of the whole."""
    if not 0 < first <= len(leaves):
        raise IndexError(f"no consistency proof from {first} to {len(leaves)}")
    return _subproof(leaves, first, whole=True)


def _subproof(leaves: Sequence[bytes], first: int, *, whole: bool) -> list[bytes]:
    if first == len(leaves):
        return [] if whole else [root_of(leaves)]
    k = _split(len(leaves))
    if first <= k:
        return [*_subproof(leaves[:k], first, whole=whole), root_of(leaves[k:])]
    return [*_subproof(leaves[k:], first - k, whole=False), root_of(leaves[:k])]


def verify_consistency(first: int, second: int, first_root: bytes, second_root: bytes, proof: Sequence[bytes]) -> bool:
    """RFC 9162 section 2.1.4.2. An empty first tree is a prefix of everything."""
    if not 0 <= first <= second:
        return False
    if first == second:
        return not proof and first_root == second_root
    if first == 0:
        return not proof and first_root == EMPTY_ROOT
    path = [first_root, *proof] if first & (first - 1) == 0 else list(proof)
    return bool(path) and _walk_consistency(first, second, path) == (first_root, second_root)


def _walk_consistency(first: int, second: int, path: Sequence[bytes]) -> tuple[bytes, bytes] | None:
    """The two roots that a non-empty ``path`` leads to; None when its length does not fit."""
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for step in path[1:]:
        if sn == 0:
            return None
        if fn & 1 or fn == sn:
            fr, sr = node_hash(step, fr), node_hash(step, sr)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node_hash(sr, step)
        fn, sn = fn >> 1, sn >> 1
    return (fr, sr) if sn == 0 else None


def subset_proof(leaves: Sequence[bytes], chosen: Sequence[int]) -> list[bytes]:
    """The roots of the largest subtrees without a chosen leaf, left to right; the chosen leaves complete them.

    ``chosen`` is sorted. The size is k log(n/k) for k scattered leaves and 2 log n for one run of leaves.
    """
    return list(_gaps(leaves, 0, len(leaves), list(chosen)))


def _gaps(leaves: Sequence[bytes], low: int, high: int, chosen: list[int]) -> Iterator[bytes]:
    if high == low:
        return
    if not chosen:
        yield root_of(leaves[low:high])
        return
    if high - low == 1:
        return
    middle = low + _split(high - low)
    yield from _gaps(leaves, low, middle, [index for index in chosen if index < middle])
    yield from _gaps(leaves, middle, high, [index for index in chosen if index >= middle])


def root_from_subset(size: int, chosen: Mapping[int, bytes], proof: Sequence[bytes]) -> bytes | None:
    """The root that ``chosen`` (index to leaf hash) and ``subset_proof`` lead to; None when the proof does not fit."""
    if any(not 0 <= index < size for index in chosen):
        return None
    if size == 0:
        return EMPTY_ROOT if not proof else None
    rest = iter(proof)
    try:
        root = _assemble(0, size, sorted(chosen), chosen, rest)
    except StopIteration:
        return None
    return None if next(rest, None) is not None else root


def _assemble(low: int, high: int, inside: list[int], chosen: Mapping[int, bytes], proof: Iterator[bytes]) -> bytes:
    if not inside:
        return next(proof)
    if high - low == 1:
        return chosen[low]
    middle = low + _split(high - low)
    left = _assemble(low, middle, [index for index in inside if index < middle], chosen, proof)
    right = _assemble(middle, high, [index for index in inside if index >= middle], chosen, proof)
    return node_hash(left, right)
