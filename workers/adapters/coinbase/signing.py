"""JSON Web Tokens as Coinbase wants them: signed with the API key's ES256 or Ed25519 private key, good for two minutes.

Source: Coinbase developer documentation, "API key authentication"; RFC 7515 and RFC 7518 section 3.4 for the form of an
ES256 signature (r and s of 32 bytes each), RFC 8037 for EdDSA.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Callable
from typing import Final

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_private_key

LIFE_S: Final = 120
ED25519_SEED: Final = 32

Key = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


class KeyProblem(ValueError):
    """An API key that cannot sign; the message never contains the key."""


def read_key(secret: str) -> Key:
    """The private key of an API key: PEM (P-256 or Ed25519), or base64 of an Ed25519 seed. Raises KeyProblem."""
    text = secret.replace("\\n", "\n").strip()
    try:
        key = load_pem_private_key(text.encode(), None) if text.startswith("-----") else _from_base64(text)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyProblem(f"expected a Coinbase private key in PEM or base64: {type(error).__name__}") from None
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key
    raise KeyProblem(f"expected a P-256 or Ed25519 private key, was {type(key).__name__}")


def _from_base64(text: str) -> ed25519.Ed25519PrivateKey:
    try:
        seed = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
    if len(seed) not in (ED25519_SEED, 2 * ED25519_SEED):
        raise ValueError("not an Ed25519 key")
    return ed25519.Ed25519PrivateKey.from_private_bytes(seed[:ED25519_SEED])


class Signer:
    """Makes tokens for one API key."""

    def __init__(
        self,
        name: str,
        secret: str,
        *,
        clock: Callable[[], int],
        nonce: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        """``name`` is the key's name (``organizations/.../apiKeys/...``), ``clock`` gives ns since 1970."""
        self._name = name
        self._key = read_key(secret)
        self._clock = clock
        self._nonce = nonce

    def token(self, method: str = "", host: str = "", path: str = "", *, deadline: int = 0) -> str:
        """A token for one REST request, without its query; without arguments one for the websocket.

        With a ``deadline`` (ns) it is good until then, to the next whole second, and no longer.
        """
        now = self._clock() // 1_000_000_000
        end = min(now + LIFE_S, -(-deadline // 1_000_000_000)) if deadline else now + LIFE_S
        claims: dict[str, object] = {"sub": self._name, "iss": "cdp", "nbf": now, "exp": end}
        if method:
            claims["uri"] = f"{method} {host}{path}"
        algorithm = "ES256" if isinstance(self._key, ec.EllipticCurvePrivateKey) else "EdDSA"
        head = {"alg": algorithm, "typ": "JWT", "kid": self._name, "nonce": self._nonce()}
        signed = f"{_text(msgspec.json.encode(head))}.{_text(msgspec.json.encode(claims))}"
        return f"{signed}.{_text(self._sign(signed.encode()))}"

    def _sign(self, message: bytes) -> bytes:
        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            return self._key.sign(message)
        r, s = decode_dss_signature(self._key.sign(message, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
