"""Secrets of one installation: made once, kept in files that only the owner can read, never logged."""

from __future__ import annotations

import base64
import os
import secrets
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.core.exceptions import ImproperlyConfigured


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


OWN = ("field_key", "recovery_pepper", "audit_signing_key.pem")
"""Lost with these: second factors and recovery codes; the proof that checkpoints are ours."""
VENUE = {"venue_api_key": "GEKKO_VENUE_API_KEY", "venue_api_secret": "GEKKO_VENUE_API_SECRET"}


def _venue_missing(folder: Path) -> list[str]:
    return [name for name, variable in VENUE.items() if not os.environ.get(variable) and not (folder / name).exists()]


def demand(folder: Path, *, live: bool) -> None:
    """Raise ImproperlyConfigured that names each missing secret and how to make it; makes none."""
    own = [name for name in OWN if not (folder / name).exists()]
    venue = _venue_missing(folder)
    told = [f"{', '.join(own)} (make them with: gekko secrets)"] if own else []
    if venue:
        how = "set them to the venue's key pair" if live else "set them, or make paper ones with: gekko secrets"
        told.append(f"{', '.join(VENUE[name] for name in venue)} ({how})")
    if told:
        raise ImproperlyConfigured(f"secrets are missing in {folder}: {'; '.join(told)}")


def provide(folder: Path, *, live: bool) -> list[str]:
    """Make what is missing, by name; a live venue's keys cannot be made here."""
    missing = [name for name in OWN if not (folder / name).exists()]
    missing += [] if live else _venue_missing(folder)
    for name in missing:
        if name in VENUE:
            text_secret(folder, name)
        elif name.endswith(".pem"):
            signing_key(folder, name)
        else:
            key_secret(folder, name)
    return missing
