"""The question "may this caller?" for apps below accounts, which answers it. Unanswered means no."""

from __future__ import annotations

from typing import Protocol

from django.http import HttpRequest

from apps.core.context import Context
from apps.core.errors import PermissionRefused


class Guard(Protocol):
    """What accounts provides."""

    def require(self, ctx: Context, capability: str, *, object_type: str, object_id: str) -> None:
        """Return when the caller may; raise PermissionRefused or NotAuthenticated, recorded, when not."""

    def allowed(self, ctx: Context, capability: str) -> bool:
        """Whether the caller may; nothing is recorded."""

    def verified_staff(self, request: HttpRequest) -> bool:
        """Whether a person of the staff, signed in with a second factor, sent ``request``."""


_guards: list[Guard] = []


def install_guard(guard: Guard) -> None:
    """Accounts calls this once at start."""
    _guards[:] = [guard]


def require(ctx: Context, capability: str, *, object_type: str, object_id: str) -> None:
    if not _guards:
        raise PermissionRefused("nobody is here to check permissions", capability=capability)
    _guards[0].require(ctx, capability, object_type=object_type, object_id=object_id)


def allowed(ctx: Context, capability: str) -> bool:
    return bool(_guards) and _guards[0].allowed(ctx, capability)


def verified_staff(request: HttpRequest) -> bool:
    return bool(_guards) and _guards[0].verified_staff(request)
