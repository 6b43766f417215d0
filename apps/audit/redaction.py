"""Secrets never enter the trail: values under these names are replaced, and bytes are refused altogether."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

from django.apps import apps

REDACTED: Final = "[redacted]"

NAMES: Final = frozenset(
    {
        "password",
        "passphrase",
        "secret",
        "token",
        "key",
        "code",
        "codes",
        "otp",
        "otpauth_uri",
        "pepper",
        "recovery_codes",
        "session_key",
        "cookie",
        "authorization",
        "credentials",
        "listen_key",
    }
)
SUFFIXES: Final = ("_password", "_secret", "_token", "_key", "_code", "_codes", "_pepper", "_credentials")
OPEN: Final = frozenset({"idempotency_key", "reason_code", "event_code", "public_key", "model_digest"})
"""Names that would match but are no secrets."""


@functools.cache
def declared() -> frozenset[str]:
    """Further names that apps declare as ``AUDIT_SECRETS`` in their ``events`` module."""
    names: set[str] = set()
    for config in apps.get_app_configs():
        if config.name.startswith("apps.") and find_spec(f"{config.name}.events") is not None:
            names.update(getattr(import_module(f"{config.name}.events"), "AUDIT_SECRETS", ()))
    return frozenset(names)


def is_secret(name: str) -> bool:
    lowered = name.lower().replace("-", "_")
    if lowered in OPEN:
        return False
    return lowered in NAMES or lowered in declared() or lowered.endswith(SUFFIXES)


def redact(value: Any) -> Any:
    """``value`` with every secret's value replaced, at any depth."""
    if isinstance(value, Mapping):
        return {
            name: REDACTED if isinstance(name, str) and inner is not None and is_secret(name) else redact(inner)
            for name, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [redact(inner) for inner in value]
    return value
