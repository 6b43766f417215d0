"""Client order ids: reproducible, unique, and recognisable among foreign orders of the same account.

``gk1-<run>-<epoch>-<number>``: twelve characters of the SHA-256 of the run id, then the journal's epoch and the number
of the decision in base 36. The number grows over the whole journal, so an id never comes twice, and the same journal
gives the same ids: a repeated send is refused by the venue as a duplicate instead of trading twice.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import Final

PREFIX: Final = "gk1-"
MAX_LENGTH: Final = 36
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_PATTERN: Final = re.compile(r"gk1-[0-9a-f]{12}-[0-9a-z]{1,7}-[0-9a-z]{1,11}")


def base36(number: int) -> str:
    """Non-negative integer in base 36."""
    if number < 0:
        raise ValueError(f"expected a non-negative number, was {number}")
    digits = ""
    while True:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
        if number == 0:
            return digits


@lru_cache(maxsize=64)
def run_prefix(run_id: str, epoch: int) -> str:
    """What the ids of one run in one epoch begin with."""
    return f"{PREFIX}{hashlib.sha256(run_id.encode()).hexdigest()[:12]}-{base36(epoch)}-"


def client_order_id(run_id: str, epoch: int, number: int) -> str:
    """Id of the ``number``-th decision; ValueError when it would not fit the venue's 36 characters."""
    client_id = run_prefix(run_id, epoch) + base36(number)
    if len(client_id) > MAX_LENGTH:
        raise ValueError(f"expected a client id of at most {MAX_LENGTH} characters, was {client_id}")
    return client_id


def is_ours(client_id: str) -> bool:
    """True when the id has the form that Gekko gives; the venue's order list also holds other people's."""
    return _PATTERN.fullmatch(client_id) is not None
