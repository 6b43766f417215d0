"""Request rates per caller and per address; ``settings.GEKKO_THROTTLES`` changes them."""

from __future__ import annotations

from typing import Any, Final

from django.conf import settings
from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle

RATES: Final[dict[str, str]] = {
    "read": "1200/min",
    "write": "240/min",
    "sign_in": "60/min",
    "export": "30/min",
    "address": "3000/min",
}
"""Reads and writes count per user or token; ``address`` counts all callers of one address together."""


class _Rate(SimpleRateThrottle):
    def get_rate(self) -> str | None:
        rates: dict[str, str] = {**RATES, **getattr(settings, "GEKKO_THROTTLES", {})}
        return rates[self.scope] if self.scope else None

    def ident(self, request: Request) -> str:
        if request.user is not None and request.user.is_authenticated:
            return f"user:{request.user.pk}"
        return f"ip:{self.get_ident(request)}"

    def get_cache_key(self, request: Request, view: Any) -> str | None:  # noqa: ARG002 - the base class names it
        return self.cache_format % {"scope": self.scope, "ident": self.ident(request)}


class CallerThrottle(_Rate):
    """Counts by the view's ``throttle_scope``, else by reading or writing."""

    scope = "read"

    def allow_request(self, request: Request, view: Any) -> bool:
        writes = request.method not in ("GET", "HEAD", "OPTIONS")
        self.scope = getattr(view, "throttle_scope", None) or ("write" if writes else "read")
        self.rate = self.get_rate()
        self.num_requests, self.duration = self.parse_rate(self.rate)
        return super().allow_request(request, view)


class AddressThrottle(_Rate):
    """Counts every request of one address, so that many names do not multiply the budget."""

    scope = "address"

    def ident(self, request: Request) -> str:
        return f"ip:{self.get_ident(request)}"
