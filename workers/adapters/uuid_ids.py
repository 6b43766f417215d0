"""Our client order ids as UUIDs and back, for venues that take nothing else. Pure and exact, so that no table is kept.

A UUID of version 8 (RFC 9562, custom) holds the 48 bits of the run, 20 of the epoch, 40 of the number and 14 that check
the others. An id of somebody else is hardly ever taken for ours, and is no order that the journal knows if it is.
"""

from __future__ import annotations

import hashlib
from typing import Final
from uuid import UUID

from workers.engine.execution.client_ids import PREFIX, base36, is_ours

EPOCH_BITS: Final = 20
NUMBER_BITS: Final = 40
CHECK_BITS: Final = 14
VERSION: Final = 8
VARIANT: Final = 2


def to_uuid(client_id: str) -> str:
    """The id on the wire; ValueError for one that is not of ours or does not fit."""
    if not is_ours(client_id):
        raise ValueError(f"expected a client id of ours, was {client_id!r}")
    run, epoch, number = client_id.removeprefix(PREFIX).split("-")
    first, second, third = int(run, 16), int(epoch, 36), int(number, 36)
    if second >> EPOCH_BITS or third >> NUMBER_BITS:
        raise ValueError(f"expected an epoch and a number that a UUID holds, was {client_id!r}")
    value = first << EPOCH_BITS | second
    value = (value << NUMBER_BITS | third) << CHECK_BITS
    value |= _check(value >> CHECK_BITS)
    high, middle, low = value >> 74, value >> 62 & 0xFFF, value & (1 << 62) - 1
    return str(UUID(int=high << 80 | VERSION << 76 | middle << 64 | VARIANT << 62 | low))


def from_uuid(text: str) -> str:
    """Our id of what the venue says; the text itself where it is none of ours."""
    try:
        whole = UUID(text).int
    except ValueError:
        return text
    if whole >> 76 & 0xF != VERSION or whole >> 62 & 3 != VARIANT:
        return text
    value = (whole >> 80) << 74 | (whole >> 64 & 0xFFF) << 62 | whole & (1 << 62) - 1
    body = value >> CHECK_BITS
    if value & (1 << CHECK_BITS) - 1 != _check(body):
        return text
    number, epoch = body & (1 << NUMBER_BITS) - 1, body >> NUMBER_BITS & (1 << EPOCH_BITS) - 1
    return f"{PREFIX}{body >> NUMBER_BITS + EPOCH_BITS:012x}-{base36(epoch)}-{base36(number)}"


def _check(body: int) -> int:
    digest = hashlib.sha256(body.to_bytes(14, "big")).digest()
    return int.from_bytes(digest[:2], "big") >> 16 - CHECK_BITS
