"""System checks that refuse settings with which nobody should trade."""

from __future__ import annotations

import os
from typing import Any

from django.conf import settings
from django.core.checks import Error, register


def _error(number: int, message: str, hint: str) -> Error:
    return Error(message, hint=hint, id=f"gekko.E{number:03}")


@register()
def mode_is_known(**_kwargs: Any) -> list[Error]:
    if settings.GEKKO_MODE in ("paper", "live"):
        return []
    return [_error(1, f"GEKKO_MODE is {settings.GEKKO_MODE!r}", "Set it to paper or live.")]


@register()
def live_needs_production(**_kwargs: Any) -> list[Error]:
    if settings.GEKKO_MODE == "live" and not settings.GEKKO_PRODUCTION:
        hint = "Use DJANGO_SETTINGS_MODULE=controlplane.settings.prod, or GEKKO_MODE=paper."
        return [_error(2, "live trading without production settings", hint)]
    return []


@register()
def production_is_explicit(**_kwargs: Any) -> list[Error]:
    """In production nothing that matters may come from a default made for one machine."""
    if not settings.GEKKO_PRODUCTION:
        return []
    found = []
    for number, name in enumerate(("GEKKO_SECRET_KEY", "DATABASE_URL", "REDIS_URL", "GEKKO_ALLOWED_HOSTS"), start=10):
        if not os.environ.get(name):
            found.append(_error(number, f"{name} is not set in production", "See .env.example."))
    if "*" in settings.ALLOWED_HOSTS:
        found.append(_error(20, "GEKKO_ALLOWED_HOSTS contains *", "Name each host: websocket origins follow it."))
    if settings.REDIS_URL.startswith("redis://") and "127.0.0.1" not in settings.REDIS_URL:
        found.append(_error(21, "REDIS_URL leaves the host without TLS", "Use rediss://."))
    if settings.DEBUG:
        found.append(_error(22, "DEBUG is on in production", "Remove it."))
    return found
