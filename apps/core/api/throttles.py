"""Request rates per caller and per address; ``settings.GEKKO_THROTTLES`` changes them.

Fixed windows, counted in the shared cache: two small commands a request, however high the rate. At the border of
two windows a caller may for a moment have twice its rate, which these limits allow for.
"""

from __future__ import annotations

import logging
import time
from typing import Any, Final

import redis
from django.conf import settings
from django.core.cache import cache
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from apps.core.api.context import client_ip, http_of
from apps.core.errors import Invalid

RATES: Final[dict[str, str]] = {
    "read": "1200/min",
    "write": "240/min",
    "sign_in": "60/min",
    "export": "30/min",
    "address": "3000/min",
}
"""Reads and writes count per user or token; ``address`` counts all callers of one address together."""
_AWAY_S: Final = 5.0
_LOG: Final = logging.getLogger(__name__)
_away_until = 0.0
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def parse_rate(rate: str) -> tuple[int, int]:
    """(requests, seconds) of a rate such as ``240/min``; Invalid for another form."""
    number, _, period = rate.partition("/")
    if not number.isdigit() or period[:1] not in _SECONDS:
        raise Invalid(f"expected a rate such as 240/min, was {rate!r}")
    return int(number), _SECONDS[period[0]]


def scope_rate(scope: str) -> tuple[int, int]:
    rates: dict[str, str] = {**RATES, **getattr(settings, "GEKKO_THROTTLES", {})}
    return parse_rate(rates[scope])


class AddressThrottle(BaseThrottle):
    """Counts every request of one address, so that many names do not multiply the budget."""

    left_s = 0.0

    def scope(self, request: Request, view: Any) -> str:  # noqa: ARG002 - the subclass needs them
        return "address"

    def ident(self, request: Request) -> str:
        return f"ip:{client_ip(http_of(request))}"

    def allow_request(self, request: Request, view: Any) -> bool:
        scope = self.scope(request, view)
        limit, seconds = scope_rate(scope)
        now = time.time()
        window = int(now // seconds)
        self.left_s = seconds * (window + 1) - now
        return _count(f"throttle:{scope}:{self.ident(request)}:{window}", seconds) <= limit

    def wait(self) -> float:
        return self.left_s


class CallerThrottle(AddressThrottle):
    """Counts by the view's ``throttle_scope``, else by reading or writing."""

    def scope(self, request: Request, view: Any) -> str:
        writes = request.method not in ("GET", "HEAD", "OPTIONS")
        return str(getattr(view, "throttle_scope", None) or ("write" if writes else "read"))

    def ident(self, request: Request) -> str:
        user = request.user
        return f"user:{user.pk}" if user is not None and user.is_authenticated else super().ident(request)


def _count(key: str, seconds: int) -> int:
    """One more in this window; the number so far.

    While the cache is away nothing counts: the brakes on passwords and codes are in the database, and a halt must
    not wait. It is asked again, and its absence logged again, every few seconds only.
    """
    global _away_until  # noqa: PLW0603 - one cache, and one memory of its absence, for the whole process
    if time.monotonic() < _away_until:
        return 0
    try:
        return _counted(key, seconds)
    except (redis.RedisError, OSError) as error:
        _away_until = time.monotonic() + _AWAY_S
        _LOG.warning("requests are not counted: the cache does not answer: %s", error)
        return 0


def _counted(key: str, seconds: int) -> int:
    try:
        return cache.incr(key)
    except ValueError:
        # The window is new; of two first requests the one that adds second counts onto the other's.
        return 1 if cache.add(key, 1, timeout=seconds + 5) else cache.incr(key)
