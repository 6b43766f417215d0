"""Chance that is given: the same seed and number always make the same draw, on every machine and after a restart."""

from __future__ import annotations

from typing import Final

_MASK: Final = (1 << 64) - 1


def uniform(seed: int, number: int) -> float:
    """The ``number``-th draw of ``seed`` in [0, 1): one step of SplitMix64 (Steele, Lea, Flood 2014)."""
    mixed = (seed * 0x9E3779B97F4A7C15 + (number + 1) * 0xBF58476D1CE4E5B9) & _MASK
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
    return ((mixed ^ (mixed >> 31)) >> 11) / (1 << 53)
