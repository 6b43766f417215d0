"""What the signature of published limits covers, and how it is checked."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def signed_bytes(number: int, digest: str) -> bytes:
    """What the signature of published limits covers."""
    return f"gekko risk limits\n{number}\n{digest}".encode()


def override_bytes(override_id: str, digest: str) -> bytes:
    """What the signature of an approved override covers."""
    return f"gekko risk override\n{override_id}\n{digest}".encode()


def is_signed(public_key: bytes, number: int, digest: str, signature: str) -> bool:
    """True when ``signature`` (hex) was made for this version and digest with the key of ``public_key`` (32 bytes)."""
    return _verifies(public_key, signature, signed_bytes(number, digest))


def is_override_signed(public_key: bytes, override_id: str, digest: str, signature: str) -> bool:
    """True when ``signature`` (hex) was made for this override with the key of ``public_key`` (32 bytes)."""
    return _verifies(public_key, signature, override_bytes(override_id, digest))


def _verifies(public_key: bytes, signature: str, content: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(bytes.fromhex(signature), content)
    except (InvalidSignature, ValueError):
        return False
    return True
