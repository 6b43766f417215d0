"""Whole numbers for fills that a venue names by a text.

The same fill always has the same number, numbers grow with time, and they fit 63 bits until 2089: 41 bits of
milliseconds since 2020, then 22 bits of the name's SHA-256. Two fills of one millisecond share a number with a
probability of one in four million.
"""

from __future__ import annotations

import hashlib
from typing import Final

EPOCH_MS: Final = 1_577_836_800_000
HASH_BITS: Final = 22


def fill_number(name: str, at_ns: int) -> int:
    """Number of the fill ``name`` that happened at ``at_ns``."""
    short = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") >> (32 - HASH_BITS)
    return (at_ns // 1_000_000 - EPOCH_MS) << HASH_BITS | short


def fill_ms(number: int) -> int:
    """Milliseconds since 1970 of a number that ``fill_number`` made."""
    return (number >> HASH_BITS) + EPOCH_MS
