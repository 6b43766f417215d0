"""Secrets at rest: AES-256-GCM bound to the place where the value lives.

Layout of a sealed value: one byte of format version, four bytes of key id, twelve of nonce, then
the ciphertext with its tag.
The place (``model``, ``field``, ``primary key``) is associated data: a ciphertext copied to another row does not open.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

_VERSION: Final = b"\x01"
_NONCE_BYTES: Final = 12
_HEADER_BYTES: Final = 5


class SealBroken(Exception):
    """The value was changed, moved from another place, or sealed under a key that is not here."""


def key_id(key: bytes) -> bytes:
    """Four bytes that name a key without telling it."""
    return hashlib.sha256(b"gekko key id" + key).digest()[:4]


def seal(plain: bytes, *, place: tuple[str, str, str]) -> bytes:
    """Encrypt ``plain`` for ``place`` (model, field, primary key) under ``settings.GEKKO_FIELD_KEY``."""
    key: bytes = settings.GEKKO_FIELD_KEY
    nonce = secrets.token_bytes(_NONCE_BYTES)
    header = _VERSION + key_id(key)
    return header + nonce + AESGCM(key).encrypt(nonce, plain, _associated(header, place))


def unseal(sealed: bytes, *, place: tuple[str, str, str]) -> bytes:
    """The plain bytes; SealBroken when anything about the value or its place differs."""
    key: bytes = settings.GEKKO_FIELD_KEY
    sealed = bytes(sealed)
    header, nonce = sealed[:_HEADER_BYTES], sealed[_HEADER_BYTES : _HEADER_BYTES + _NONCE_BYTES]
    if header != _VERSION + key_id(key):
        raise SealBroken(f"sealed under key {header[1:].hex()}, this process has {key_id(key).hex()} ({place[0]})")
    try:
        return AESGCM(key).decrypt(nonce, sealed[_HEADER_BYTES + _NONCE_BYTES :], _associated(header, place))
    except InvalidTag as error:
        raise SealBroken(f"the sealed {place[1]} of {place[0]} {place[2]} does not open") from error


def _associated(header: bytes, place: tuple[str, str, str]) -> bytes:
    return header + b"\x00".join(part.encode() for part in place)
