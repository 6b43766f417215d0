"""System checks that refuse settings with which nobody should trade; ``refuse_unsafe`` is every process' first step."""

from __future__ import annotations

import os
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from django.core.checks import Error, register
from django.core.exceptions import ImproperlyConfigured

SECRET_KEY_LENGTH: Final = 50
SSL_MODES: Final = frozenset({"require", "verify-ca", "verify-full"})
TLS_SCHEMES: Final = frozenset({"rediss", "amqps", "https", "wss"})
SOCKET_SCHEMES: Final = frozenset({"unix", "redis+socket"})
UNVERIFIED: Final = frozenset({"none", "cert_none"})


def refuse_unsafe() -> None:
    """Raise ImproperlyConfigured that lists all that is unsafe in the settings; servers never run Django's checks."""
    found = [*mode_is_known(), *live_needs_production(), *production_is_explicit(), *nothing_leaves_in_the_clear()]
    if found:
        told = "; ".join(f"{error.id} {error.msg}. {error.hint}" for error in found)
        raise ImproperlyConfigured(f"Gekko does not start with these settings: {told}")


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
    if not settings.ALLOWED_HOSTS:
        found.append(_error(23, "GEKKO_ALLOWED_HOSTS names no host", "Name each host, separated by commas."))
    if settings.DEBUG:
        found.append(_error(22, "DEBUG is on in production", "Remove it."))
    if len(settings.SECRET_KEY) < SECRET_KEY_LENGTH or len(set(settings.SECRET_KEY)) < 2:
        message = f"GEKKO_SECRET_KEY has {len(settings.SECRET_KEY)} characters or only one kind of them"
        hint = f"Use {SECRET_KEY_LENGTH} random ones or more: openssl rand -base64 64"
        found.append(_error(24, message, hint))
    return found


@register()
def nothing_leaves_in_the_clear(**_kwargs: Any) -> list[Error]:
    """In production whatever leaves this host does so over TLS. Messages name no URL, as URLs hold passwords."""
    if not settings.GEKKO_PRODUCTION:
        return []
    found = []
    if any(_in_the_clear(url) for url in _urls(settings.REDIS_URL)):
        found.append(_error(21, "REDIS_URL leaves the host without TLS", "Use rediss:// and verify certificates."))
    if any(_in_the_clear(url) for url in _urls(settings.CELERY_BROKER_URL)):
        hint = "Use amqps:// or rediss:// and verify certificates."
        found.append(_error(25, "CELERY_BROKER_URL leaves the host without TLS", hint))
    database = settings.DATABASES["default"]
    options = database.get("OPTIONS", {})
    hosts = f"{database['HOST']},{options.get('hostaddr', '')}".split(",")
    if not all(_stays_here(host) for host in hosts) and options.get("sslmode") not in SSL_MODES:
        hint = "Add sslmode=verify-full (verify-ca and require are accepted too)."
        found.append(_error(26, "DATABASE_URL leaves the host without TLS", hint))
    addresses = (settings.GEKKO_VENUE_URL, settings.GEKKO_VENUE_REST_URL, settings.GEKKO_VENUE_STREAM_URL)
    if any(_in_the_clear(url) for url in addresses):
        found.append(_error(27, "the home venue has an address without TLS", "Use https://, as orders are signed."))
    for venue in settings.GEKKO_OTHER_VENUES:
        if any(_in_the_clear(url) for url in (venue.url, venue.rest_url, venue.stream_url)):
            message = f"an address of venue {venue.name} leaves the host without TLS"
            found.append(_error(28, message, "Use https:// and wss://, as orders are signed."))
    return found


def _urls(value: str | list[str]) -> Iterator[str]:
    """Celery takes several brokers, as a list or with semicolons between them."""
    for part in [value] if isinstance(value, str) else value:
        yield from part.split(";")


def _in_the_clear(url: str) -> bool:
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    if parts.scheme in SOCKET_SCHEMES or _stays_here(parts.hostname or query.get("host", [""])[-1]):
        return False
    unverified = any(word.lower() in UNVERIFIED for word in query.get("ssl_cert_reqs", []))
    return parts.scheme not in TLS_SCHEMES or unverified


def _stays_here(host: str) -> bool:
    """Whether ``host`` is this machine: a loopback address, a socket's folder, or nothing, which means either."""
    if host in ("", "localhost") or host.startswith(("/", "@")):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
