"""Signed statements of the log's root at a size: Ed25519 over canonical bytes."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from apps.audit.domain.canonical import canonical_bytes

LOG: Final = "gekko-audit"


class Malformed(ValueError):
    """A checkpoint line that cannot be read."""


@dataclass(frozen=True, kw_only=True)
class Statement:
    """What a checkpoint says; ``at`` is UTC text."""

    size: int
    root: bytes
    chain_hash: bytes
    at: str

    def note(self) -> bytes:
        """The signed bytes."""
        return canonical_bytes(
            {
                "at": self.at,
                "chain_hash": self.chain_hash.hex(),
                "log": LOG,
                "root": self.root.hex(),
                "size": self.size,
                "v": 1,
            }
        )


@dataclass(frozen=True, kw_only=True)
class Signed:
    """A statement, its signature and where it was read: ``database``, ``file`` or ``export``."""

    statement: Statement
    key_id: str
    signature: bytes
    source: str

    def as_json(self) -> dict[str, Any]:
        said = self.statement
        return {
            "size": said.size,
            "root": said.root.hex(),
            "chain_hash": said.chain_hash.hex(),
            "at": said.at,
            "key_id": self.key_id,
            "signature": base64.b64encode(self.signature).decode(),
        }

    @classmethod
    def from_json(cls, data: Any, source: str) -> Signed:
        """Raises Malformed for anything that ``as_json`` did not write."""
        try:
            said = Statement(
                size=int(data["size"]),
                root=bytes.fromhex(data["root"]),
                chain_hash=bytes.fromhex(data["chain_hash"]),
                at=str(data["at"]),
            )
            signature = base64.b64decode(data["signature"], validate=True)
            return cls(statement=said, key_id=str(data["key_id"]), signature=signature, source=source)
        except (KeyError, TypeError, ValueError, binascii.Error) as error:
            raise Malformed(f"not a checkpoint: {error}") from error


def key_id(key: Ed25519PublicKey) -> str:
    """Sixteen hex digits that name a public key."""
    return hashlib.sha256(raw_public(key)).hexdigest()[:16]


def raw_public(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def sign(statement: Statement, key: Ed25519PrivateKey, source: str) -> Signed:
    signature = key.sign(statement.note())
    return Signed(statement=statement, key_id=key_id(key.public_key()), signature=signature, source=source)


def signature_fault(signed: Signed, keys: Mapping[str, Ed25519PublicKey]) -> str:
    """Why the signature does not hold, or an empty text."""
    key = keys.get(signed.key_id)
    if key is None:
        return f"signed with the unknown key {signed.key_id}"
    try:
        key.verify(signed.signature, signed.statement.note())
    except InvalidSignature:
        return "the signature does not fit what the checkpoint says"
    return ""
