"""The key that signs checkpoints: an Ed25519 key in a file of the state folder, readable by its owner alone."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from django.conf import settings

from apps.audit.domain.checkpoints import key_id
from apps.core.errors import Unavailable


def signing_key() -> Ed25519PrivateKey:
    """The private key, made on first use. Unavailable when the file holds something else."""
    path: Path = settings.GEKKO_AUDIT_SIGNING_KEY
    if not path.exists():
        _make(path)
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise Unavailable(f"{path} holds {type(key).__name__}; expected an Ed25519 key")
    return key


def trusted_keys() -> dict[str, Ed25519PublicKey]:
    """Public keys whose signatures count, by id."""
    public = signing_key().public_key()
    return {key_id(public): public}


def _make(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(handle, "wb") as file:
        file.write(pem)
