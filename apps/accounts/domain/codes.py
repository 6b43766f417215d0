"""Recovery codes: 112 random bits, shown as grouped base32, kept as a keyed hash."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Final

BITS: Final = 112
BYTES: Final = BITS // 8
COUNT: Final = 10
_GROUP: Final = 4
_LENGTH: Final = 23
"""Base32 digits of 112 bits without padding."""
_ALIKE: Final = str.maketrans({"0": "O", "1": "I", "8": "B"})


def format_code(entropy: bytes) -> str:
    """``ABCD-EFGH-...`` of 14 bytes; ValueError for another length."""
    if len(entropy) != BYTES:
        raise ValueError(f"expected {BYTES} bytes, got {len(entropy)}")
    digits = base64.b32encode(entropy).decode().rstrip("=")
    return "-".join(digits[start : start + _GROUP] for start in range(0, len(digits), _GROUP))


def normalise_code(text: str) -> str | None:
    """What the person typed as 23 base32 digits: case, spaces and dashes do not matter, 0/1/8 read as O/I/B.

    None when it cannot be a recovery code.
    """
    digits = "".join(text.split()).replace("-", "").upper().translate(_ALIKE)
    allowed = set("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
    return digits if len(digits) == _LENGTH and set(digits) <= allowed else None


def code_digest(digits: str, pepper: bytes, owner: str) -> bytes:
    """HMAC-SHA256 under the pepper, bound to ``owner`` so that one stolen row tells nothing of another."""
    return hmac.new(pepper, f"recovery\n{owner}\n{digits}".encode(), hashlib.sha256).digest()
