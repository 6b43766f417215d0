"""Typed access to environment variables; a bad value is named together with what was expected."""

from __future__ import annotations

import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

ROOT = Path(__file__).resolve().parent.parent


def text(name: str, default: str) -> str:
    return os.environ.get(name) or default


def integer(name: str, default: int) -> int:
    raw = os.environ.get(name)
    if not raw:
        return default
    try:
        return int(raw)
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a whole number, was {raw!r}") from None


def count(name: str, default: int) -> int:
    number = integer(name, default)
    if number < 0:
        raise ImproperlyConfigured(f"{name} must be 0 or more, was {number}")
    return number


def port(name: str, default: int) -> int:
    number = integer(name, default)
    if not 0 < number < 65536:
        raise ImproperlyConfigured(f"{name} must be a port between 1 and 65535, was {number}")
    return number


def flag(name: str, *, default: bool) -> bool:
    raw = os.environ.get(name, "").lower()
    if raw in ("", None):
        return default
    if raw in ("1", "true", "yes", "on"):
        return True
    if raw in ("0", "false", "no", "off"):
        return False
    raise ImproperlyConfigured(f"{name} must be true or false, was {raw!r}")


def words(name: str, default: list[str]) -> list[str]:
    raw = os.environ.get(name)
    return [word.strip() for word in raw.split(",") if word.strip()] if raw else default


def state_folder() -> Path:
    """Where this installation keeps everything that it makes."""
    return folder("GEKKO_STATE_DIR", ROOT / ".gekko")


def folder(name: str, default: Path) -> Path:
    raw = os.environ.get(name)
    return Path(raw).expanduser().resolve() if raw else default.resolve()
