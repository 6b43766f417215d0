"""Secrets of one installation: made once, kept in files that only the owner can read, never logged."""

from __future__ import annotations

import base64
import os
import secrets
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


def _write_once(path: Path, content: bytes) -> None:
    """Create ``path`` with ``content`` unless it exists; two processes that start together agree on the first."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def text_secret(folder: Path, name: str, length: int = 32) -> str:
    """A random URL-safe text."""
    path = folder / name
    if not path.exists():
        _write_once(path, secrets.token_urlsafe(length).encode())
    return path.read_text().strip()


def key_secret(folder: Path, name: str, size: int = 32) -> bytes:
    """``size`` random bytes, kept as base64."""
    path = folder / name
    if not path.exists():
        _write_once(path, base64.b64encode(secrets.token_bytes(size)))
    return base64.b64decode(path.read_bytes())


def signing_key(folder: Path, name: str) -> Path:
    """The path of an Ed25519 private key in PEM."""
    path = folder / name
    if not path.exists():
        pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        _write_once(path, pem)
    return path
